"""Loading: a checkpoint is loaded completely or not at all."""

import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers.checkpoints import (
    CorruptCheckpointError,
    UnsafeCheckpointError,
    load_checkpoint,
    loading,
    read_metadata,
    reading,
    save_checkpoint,
    verify,
)
from helpers.classroom.faults import flip, payload_offsets
from helpers.state_dicts.differences import is_same
from helpers.training import capture_rng
from tests.checkpoints.runs import Net, Run, plain, problem_of
from tests.state_dicts.samples import KINDS, MODELS, model


def draws():
    return random.random(), np.random.rand(), torch.rand(2).tolist()


# A round trip


def test_a_run_comes_back_bit_for_bit(tmp_path):
    run = Run(seed=1)
    path = save_checkpoint(
        tmp_path / "a.pt",
        **run.parts,
        epoch=2,
        step=30,
        metrics={"loss": 0.25},
        extra={"average": torch.ones(3), "note": "x"},
    )
    expected = run.state()
    following = draws()
    other = Run(seed=2, steps=1)
    found = load_checkpoint(path, **other.parts)
    assert draws() == following
    assert other.state() == expected
    assert (found.epoch, found.step, found.metrics) == (2, 30, {"loss": 0.25})
    assert found.extra["note"] == "x" and torch.equal(found.extra["average"], torch.ones(3))
    assert (found.path, found.skipped) == (path, ())

    # And the two go on alike.
    for each in (run, other):
        torch.manual_seed(5)
        each.step()
    assert other.state() == run.state() != expected


def test_what_the_file_holds_beyond_the_question_is_left_alone(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    model = Net()
    before = draws_after_seed(3)
    torch.manual_seed(3)
    load_checkpoint(path, model=model, restore_rng=False)
    assert torch.rand(2).tolist() == before
    assert plain(model.state_dict()) == plain(Run(seed=1).model.state_dict())


def draws_after_seed(seed):
    torch.manual_seed(seed)
    return torch.rand(2).tolist()


def test_nothing_that_was_loaded_hangs_on_the_file(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run().parts, extra=torch.ones(2000))
    run = Run(seed=1)
    found = load_checkpoint(path, **run.parts)
    before = run.state()
    path.write_bytes(bytes(path.stat().st_size))  # in place: the same file, other bytes
    assert run.state() == before and found.extra.sum() == 2000


class Keeps(nn.Module):
    """Takes the file's own tensor for its buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("bank", torch.rand(2000))

    def _load_from_state_dict(self, state, prefix, *rest):
        self.bank = state[prefix + "bank"]


class Assigns(Net):
    def load_state_dict(self, state, strict=True, assign=False):
        return super().load_state_dict(state, strict=strict, assign=True)


@pytest.mark.parametrize("make", [Keeps, Assigns, lambda: nn.Sequential(Keeps())])
def test_not_even_what_a_module_keeps_of_the_values_hangs_on_the_file(tmp_path, make):
    path = save_checkpoint(tmp_path / "a.pt", model=(saved := make()))
    model = make()
    load_checkpoint(path, model=model)
    path.write_bytes(bytes(path.stat().st_size))
    assert plain(model.state_dict()) == plain(saved.state_dict())


def test_a_hook_may_keep_what_it_is_given(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    model, kept = Net(), []
    model.register_load_state_dict_pre_hook(lambda *given: kept.extend(given[1].values()))
    load_checkpoint(path, model=model)
    before = plain(kept)
    path.write_bytes(bytes(path.stat().st_size))
    assert plain(kept) == before


class PlainDict(Net):
    """As filters for adapters are written: without the keywords."""

    def state_dict(self):
        return super().state_dict()


def test_a_state_dict_without_keywords_will_do(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=(saved := PlainDict()))
    model = PlainDict()
    load_checkpoint(path, model=model)
    assert plain(model.state_dict()) == plain(saved.state_dict())


class Deaf(torch.Tensor):
    """A class whose copy_ writes into something that is thrown away."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), more=None):
        if function is torch.Tensor.copy_:
            return arguments[0]
        return super().__torch_function__(function, types, arguments, more or {})


class Mirror(nn.Module):
    """Its decoder is the encoder transposed, or a matrix of its own."""

    def __init__(self, is_view):
        super().__init__()
        self.encoder = nn.Parameter(torch.rand(3, 2))
        decoder = self.encoder.data.T
        self.register_buffer("decoder", decoder if is_view else torch.rand(2, 3))


def test_views_of_one_memory_cannot_hold_two_values(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Mirror(is_view=False))
    model = Mirror(is_view=True)
    before = plain(model.state_dict())
    with pytest.raises(RuntimeError, match="coder does not hold what the file holds: its"):
        load_checkpoint(path, model=model)
    assert plain(model.state_dict()) == before
    path = save_checkpoint(tmp_path / "b.pt", model=(saved := Mirror(is_view=True)))
    load_checkpoint(path, model=model)
    assert plain(model.state_dict()) == plain(saved.state_dict())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_two_models_that_share_a_layer_cannot_hold_two_values(tmp_path, device):
    path = save_checkpoint(tmp_path / "a.pt", model={"a": Net(), "b": Net()})
    with torch.device(device):
        models = {"a": Net(), "b": Net()}
    models["a"].first = models["b"].first
    before = [p.is_meta or p.tolist() for p in models["a"].parameters()]
    with pytest.raises(RuntimeError, match=r"first.\w+ does not hold what the file holds"):
        load_checkpoint(path, model=models)
    assert [p.is_meta or p.tolist() for p in models["a"].parameters()] == before


@pytest.mark.filterwarnings("ignore")
def test_a_class_that_takes_no_values_is_found_out(tmp_path):
    def make():
        model = nn.Linear(3, 2)
        model.weight = nn.Parameter(model.weight.data.as_subclass(Deaf))
        return model

    with torch.serialization.safe_globals([Deaf]):
        try:
            path = save_checkpoint(tmp_path / "a.pt", model=make())
        except ValueError as error:
            assert "cannot load" in str(error)
            return
        with pytest.raises(RuntimeError, match="weight does not hold what the file holds"):
            load_checkpoint(path, model=make())


def test_a_note_that_is_made_an_error_changes_nothing(tmp_path):
    def make(factor):
        run = Run(seed=1)
        rule = torch.optim.lr_scheduler.LambdaLR(run.optimizer, lambda epoch: factor)
        return run, {**run.parts, "scheduler": rule}

    _, parts = make(0.5)
    path = save_checkpoint(tmp_path / "a.pt", **parts)
    run, parts = make(0.9)
    run.step()
    before, chance = plain([p.state_dict() for p in parts.values()]), plain(capture_rng())
    with warnings.catch_warnings(), pytest.raises(UserWarning, match="lr_lambdas"):
        warnings.simplefilter("error")
        load_checkpoint(path, **parts)
    assert plain([p.state_dict() for p in parts.values()]) == before
    assert plain(capture_rng()) == chance


def test_tied_weights_stay_tied(tmp_path):
    def make():
        model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        model[1].weight = model[0].weight
        return model

    model = make()
    path = save_checkpoint(
        tmp_path / "a.pt", model=model, optimizer=torch.optim.Adam(model.parameters())
    )
    assert read_metadata(path)["optimizer"]["groups"] == [["0.weight"]]
    other = make()
    load_checkpoint(path, model=other, optimizer=torch.optim.Adam(other.parameters()))
    assert other[1].weight is other[0].weight
    assert torch.equal(other[1].weight, model[1].weight)


def test_loading_into_an_optimizer_over_foreign_parameters_changes_nothing(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    run = Run(seed=2)
    before = run.state()
    stranger = torch.optim.AdamW([nn.Parameter(torch.ones(1))])
    with pytest.raises(ValueError, match="a parameter that is not the model's"):
        load_checkpoint(path, model=run.model, optimizer=stranger)
    assert run.state() == before


def test_a_file_of_version_1_still_loads():
    """Written by these helpers before a file could hold several models."""
    path = Path(__file__).parent / "files" / "version_1.pt"
    run = Run(seed=2)
    found = load_checkpoint(path, **run.parts)
    content = torch.load(path, weights_only=True)
    assert run.state() == plain([content[part] for part in run.parts])
    assert (found.epoch, found.step, found.metrics) == (2, 3, {"loss": 0.25})
    assert found.extra == {"note": "x"} and found.metadata["format_version"] == 1


def test_what_is_given_alone_is_still_a_file_of_version_1(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    old = torch.load(Path(__file__).parent / "files" / "version_1.pt", weights_only=True)
    new = torch.load(path, weights_only=True)
    assert new.keys() == old.keys() and new["metadata"].keys() == old["metadata"].keys()
    assert new["metadata"]["format_version"] == 1


# All or nothing


def test_a_damaged_file_changes_nothing(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    for offset in payload_offsets(path, 10, seed=4):
        run = Run(seed=2)
        before, random_before = run.state(), plain(capture_rng())
        flip(path, offset)
        problem_of(path, CorruptCheckpointError, **run.parts)
        flip(path, offset)
        assert run.state() == before and plain(capture_rng()) == random_before


@pytest.mark.parametrize("stage", ["model", "optimizer", "scheduler", "rng"])
@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_a_late_failure_puts_everything_back(tmp_path, monkeypatch, stage, kind):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    run = Run(seed=2)
    before, random_before = run.state(), plain(capture_rng())
    if stage == "rng":
        owner, name, whole = loading, "_restore_rng", loading._restore_rng
    else:
        owner, name = type(run.parts[stage]), "load_state_dict"
        whole = getattr(owner, name)

    failed = []

    def load_and_fail(*args, **kwargs):
        result = whole(*args, **kwargs)
        if not failed:
            failed.append(True)
            raise kind("too late")
        return result

    monkeypatch.setattr(owner, name, load_and_fail)
    with pytest.raises(kind, match="too late"):
        load_checkpoint(path, **run.parts)
    assert failed and run.state() == before
    assert plain(capture_rng()) == random_before


def test_a_broken_state_of_the_generators_is_found_first(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "helpers.checkpoints.saving.capture_rng", lambda: {"python": [3, [1], None]}
    )
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    model = Net()
    before = plain(model.state_dict())
    message = problem_of(path, model=model)
    assert "does not fit the random number generators: this is not a state of" in message
    assert plain(model.state_dict()) == before


# Files of somebody else


def test_a_copy_that_torch_saved_again_still_loads(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    torch.save(torch.load(path, weights_only=True), tmp_path / "b.pt")
    run = Run(seed=2)
    load_checkpoint(tmp_path / "b.pt", **run.parts)
    assert run.state() == Run(seed=1).state()


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_does_not_run_even_where_torch_was_told_to_allow_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "a.pt"
    content = torch.load(save_checkpoint(path, model=Net()), weights_only=True)
    torch.save({**content, "extra": Evil(tmp_path / "trap")}, path)
    for read in (verify, read_metadata, lambda path: load_checkpoint(path, model=Net())):
        with pytest.raises(UnsafeCheckpointError, match="asks for"):
            read(path)
    assert not (tmp_path / "trap").exists()


@pytest.fixture
def replaced(tmp_path, monkeypatch):
    """Replace a checkpoint of one run by another's in the moment before it is loaded."""
    old, new = Run(seed=1), Run(seed=2)
    path = save_checkpoint(tmp_path / "a.pt", **old.parts)
    real, opened = torch.load, []

    def replace_first(file, **kwargs):
        if not opened:
            save_checkpoint(path, **new.parts)
        opened.append(file)
        return real(file, **kwargs)

    monkeypatch.setattr(torch, "load", replace_first)
    return path, old, new, opened


posix = pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is open")


@posix
def test_what_was_checked_is_loaded_though_another_file_is_at_the_path(replaced):
    path, old, new, opened = replaced
    run = Run(seed=3)
    load_checkpoint(path, **run.parts)
    # Where the system names files that are open, nothing has to be read again.
    is_named = str(opened[0]).startswith("/proc/")
    assert is_named == Path("/proc/self/fd").exists()
    assert run.state() == (old if is_named else new).state()
    load_checkpoint(path, **run.parts)
    assert run.state() == new.state()


@posix
def test_elsewhere_a_file_that_is_replaced_while_it_is_read_is_read_again(
    replaced, monkeypatch
):
    path, _, new, opened = replaced
    monkeypatch.setattr(reading, "_as_path", lambda archive: archive.path)
    run = Run(seed=3)
    load_checkpoint(path, **run.parts)
    assert opened == [path] * 2 and run.state() == new.state()
    monkeypatch.setattr(reading, "_is_still", lambda archive, path: False)
    with pytest.raises(CorruptCheckpointError, match="was replaced during each of 10 "):
        load_checkpoint(path, **run.parts)


def test_a_model_without_any_tensor_is_saved_and_loaded(tmp_path):
    path = save_checkpoint(tmp_path / "none.pt", model=nn.Identity(), epoch=3)
    assert load_checkpoint(path, model=nn.Identity()).epoch == 3


# Entries of every kind


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [*KINDS, *MODELS])
def test_every_kind_is_saved_and_loaded_or_refused_before_anything_is_written(
    tmp_path, kind
):
    source, target = model(kind, seed=1), model(kind, seed=2)
    path = tmp_path / "a.pt"
    refused = {"quint4x2", "nested", "jagged", "uint4", "packed parameters", "subclass"}
    if kind in refused:
        with pytest.raises(ValueError, match=r"^model\['1\..*' ?\] is "):
            save_checkpoint(path, model=source)
        assert not list(tmp_path.iterdir())
        return
    save_checkpoint(path, model=source)
    expected = source.state_dict()
    if kind != "zero-size":
        assert not all(is_same(expected[n], v) for n, v in target.state_dict().items())
    places = {name: id(t) for name, t in target.named_buffers()}
    load_checkpoint(path, model=target)
    assert all(is_same(expected[n], v) for n, v in target.state_dict().items())
    assert {name: id(t) for name, t in target.named_buffers()} == places


def buffer(value):
    module = nn.Module()
    module.register_buffer("grid", value)
    return module


@pytest.mark.parametrize(
    ("saved", "ours", "problem"),
    [
        (
            lambda: torch.eye(2).to_sparse_csr(),
            lambda: torch.eye(2),
            "grid is sparse CSR float32 (2, 2) in the file, float32 (2, 2) in the model",
        ),
        (
            lambda: torch.eye(2).to_sparse_csr(),
            lambda: torch.ones(2, 2).to_sparse_csr(),
            "grid cannot be written: torch.copy_: only sparse compressed tensors with the "
            "same number of specified elements are supported.",
        ),
        (
            lambda: torch.arange(6.0).view(2, 3),
            lambda: torch.zeros(3).expand(2, 3),
            "grid repeats its values in the model (expand), and not in the file",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_tensor_of_another_kind_is_refused_before_anything_changes(
    tmp_path, saved, ours, problem
):
    path = save_checkpoint(tmp_path / "a.pt", model=buffer(saved()))
    target = buffer(ours())
    message = problem_of(path, model=target)
    assert message == f"{path} does not fit the model: {problem}. Nothing was changed."
    assert is_same(target.grid, ours())


def test_values_that_repeat_are_taken_from_a_file_where_they_were_written_out(tmp_path):
    dense = torch.tensor([[1.0, float("nan")]]).repeat(3, 1)
    path = save_checkpoint(tmp_path / "a.pt", model=buffer(dense))
    target = buffer(torch.zeros(1, 2).expand(3, 2))
    load_checkpoint(path, model=target)
    assert is_same(target.grid, dense) and target.grid.stride() == (0, 1)


def tied(tie=True):
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    if tie:
        net[1].weight = net[0].weight
    return net


def test_one_tensor_under_two_names_takes_no_two_values(tmp_path):
    """The later name would win, without a word."""
    path = save_checkpoint(tmp_path / "a.pt", model=tied(tie=False))
    target = tied()
    before = target[0].weight.tolist()
    assert "0.weight and 1.weight are one tensor in the model, and differ in the" in (
        problem_of(path, model=target)
    )
    assert target[0].weight.tolist() == before


class Keeps(nn.Module):
    """Keeps what set_extra_state gives it."""

    kept = None

    def get_extra_state(self):
        return {"sum": torch.ones(2000)} if self.kept is None else self.kept

    def set_extra_state(self, state):
        self.kept = state


def test_extra_state_does_not_hang_on_the_file(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Keeps())
    model = Keeps()
    load_checkpoint(path, model=model)
    path.write_bytes(bytes(path.stat().st_size))
    assert model.kept["sum"].sum() == 2000

"""Checkpoints: saved whole, checked to the last byte, loaded completely or not at all."""

import copy
import datetime
import errno
import os
import random
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from helpers import atomic
from helpers.checkpoints import (
    CheckpointError,
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    UnsafeCheckpointError,
    load_checkpoint,
    loading,
    read_metadata,
    save_checkpoint,
    verify,
)
from helpers.classroom.faults import flip, payload_offsets
from helpers.training import capture_rng


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny models: on a busy machine, threads would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Net(nn.Module):
    """Parameters of two shapes, buffers, and batch norm's counter of batches."""

    def __init__(self, hidden=6):
        super().__init__()
        self.first = nn.Linear(4, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.last = nn.Linear(hidden, 2)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))


class Run:
    """A model, its optimizer and its scheduler, after some steps."""

    def __init__(self, seed=0, steps=3, make=Net, optimizer=torch.optim.AdamW):
        torch.manual_seed(seed)
        self.model = make()
        self.optimizer = optimizer(self.model.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 2, gamma=0.5)
        for _ in range(steps):
            self.step()

    def step(self):
        self.optimizer.zero_grad()
        nn.functional.mse_loss(self.model(torch.rand(8, 4)), torch.rand(8, 2)).backward()
        self.optimizer.step()
        self.scheduler.step()

    @property
    def parts(self):
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
        }

    def state(self):
        """Everything that counts, as plain values that can be compared."""
        return plain([part.state_dict() for part in self.parts.values()])


def plain(value):
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return [(key, plain(entry)) for key, entry in value.items()]
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def draws():
    return random.random(), np.random.rand(), torch.rand(2).tolist()


def problem_of(path, kind=IncompatibleCheckpointError, **arguments):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, **arguments)
    assert type(caught.value) is kind
    return str(caught.value)


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


def test_the_file_is_plain_torch_and_has_these_keys(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run().parts, metrics={"loss": 1.0})
    content = torch.load(path, weights_only=True)
    assert " ".join(content) == (
        "model optimizer scheduler rng epoch step metrics extra metadata"
    )
    bare = torch.load(
        save_checkpoint(tmp_path / "b.pt", model=Net(), rng=False), weights_only=True
    )
    assert [key for key, value in bare.items() if value is None] == [
        "optimizer",
        "scheduler",
        "rng",
        "extra",
    ]
    Net().load_state_dict(bare["model"])


def test_the_metadata_says_what_the_file_is(tmp_path):
    path = save_checkpoint(
        tmp_path / "a.pt",
        **Run().parts,
        metrics={"loss": np.float32(0.5), "hits": torch.tensor(3)},
        architecture={"hidden": 6},
    )
    metadata = read_metadata(path)
    written = datetime.datetime.fromisoformat(metadata.pop("time"))
    assert abs(datetime.datetime.now(datetime.UTC) - written).days == 0
    assert metadata == {
        "format_version": 1,
        "torch": str(torch.__version__),
        "architecture": {"class": "Net", "config": {"hidden": 6}},
        "parameters": {
            "first.weight": (6, 4),
            "first.bias": (6,),
            "norm.weight": (6,),
            "norm.bias": (6,),
            "last.weight": (2, 6),
            "last.bias": (2,),
        },
        "optimizer": {
            "class": "AdamW",
            "groups": [[name for name, _ in Net().named_parameters()]],
        },
        "scheduler": {"class": "StepLR"},
        "metrics": {"loss": 0.5, "hits": 3},
    }
    assert type(metadata["metrics"]["loss"]) is float


def test_metadata_is_read_without_the_tensors(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    flip(path, payload_offsets(path, 1)[0])
    assert read_metadata(path)["architecture"]["class"] == "Net"
    with pytest.raises(CorruptCheckpointError):
        verify(path)


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


# Saving


def test_no_other_file_is_left_behind(tmp_path):
    for _ in range(3):
        save_checkpoint(tmp_path / "a.pt", model=Net())
    assert os.listdir(tmp_path) == ["a.pt"]


def test_checksums_are_written_also_where_torch_was_told_not_to(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        path = save_checkpoint(tmp_path / "a.pt", model=Net())
        assert not torch.serialization.get_crc32_options()
    finally:
        torch.serialization.set_crc32_options(True)
    assert verify(path).missing == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"extra": {"when": datetime.datetime(2026, 1, 1)}},
            "extra['when'] is of type datetime.datetime, which torch.load refuses with "
            "weights_only=True; save plain numbers, strings and tensors in its place, "
            "such as float(x), str(x), x.isoformat() or torch.tensor(x)",
        ),
        ({"extra": [1, {"x": np.ones(2)}]}, "extra[1]['x'] is of type numpy.ndarray, "),
        ({"extra": {np.int64(1): 2}}, "a key of extra is of type numpy.int64, which "),
        ({"extra": torch.ones(2, device="meta")}, "extra is on the meta device: it has "),
        ({"extra": 2**5000}, "its pickle is not one that torch.save writes"),
        ({"metrics": {"loss": "low"}}, "metrics['loss'] is of type str; expected one num"),
        ({"metrics": {"loss": np.ones(2)}}, "metrics['loss'] is of type ndarray; expec"),
        ({"architecture": {"net": Net}}, "metadata['architecture']['config']['net'] is "),
    ],
    ids=["datetime", "array", "key", "meta", "huge", "text", "two", "class"],
)
def test_what_could_not_be_loaded_again_is_not_saved(tmp_path, arguments, message):
    path = tmp_path / "a.pt"
    path.write_bytes(b"old")
    with pytest.raises(ValueError) as caught:
        save_checkpoint(path, model=Net(), **arguments)
    assert message in str(caught.value)
    assert os.listdir(tmp_path) == ["a.pt"] and path.read_bytes() == b"old"


def test_an_optimizer_over_foreign_parameters_is_refused(tmp_path):
    model = Net()
    stranger = torch.optim.SGD([*model.parameters(), nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.raises(ValueError) as caught:
        save_checkpoint(tmp_path / "a.pt", model=model, optimizer=stranger)
    assert str(caught.value) == (
        "the optimizer holds a parameter that is not the model's, so its state could not "
        "be matched by name; pass a module that holds all of them, such as nn.ModuleDict"
    )


def test_loading_into_an_optimizer_over_foreign_parameters_changes_nothing(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    run = Run(seed=2)
    before = run.state()
    stranger = torch.optim.AdamW([nn.Parameter(torch.ones(1))])
    with pytest.raises(ValueError, match="a parameter that is not the model's"):
        load_checkpoint(path, model=run.model, optimizer=stranger)
    assert run.state() == before


def test_a_state_dict_is_not_a_model(tmp_path):
    path = tmp_path / "a.pt"
    for function in (save_checkpoint, load_checkpoint):
        with pytest.raises(TypeError) as caught:
            function(path, model=Net().state_dict())
        assert str(caught.value) == (
            "model is of type OrderedDict; expected a torch.nn.Module"
        )
        save_checkpoint(path, model=Net())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"metrics": [0.5]}, "metrics is of type list; expected a dict: name -> number"),
        (
            {"optimizer": "adam"},
            "optimizer is of type str; expected one with a state_dict()",
        ),
        (
            {"scheduler": 0.1},
            "scheduler is of type float; expected one with a state_dict()",
        ),
    ],
)
def test_parts_of_another_type_are_refused_by_name(tmp_path, given, expected):
    with pytest.raises(TypeError) as caught:
        save_checkpoint(tmp_path / "a.pt", model=Net(), **given)
    assert str(caught.value) == expected
    assert not list(tmp_path.iterdir())


def test_the_suffix_of_another_format_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError) as caught:
        save_checkpoint(path, model=Net())
    assert str(caught.value) == (
        f"{path}: torch.load expects another format with this suffix; use .pt"
    )


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_what_stops_a_write_is_what_is_raised(tmp_path, monkeypatch, kind):
    """torch.save's own clean-up would turn it into 'unexpected pos'."""
    real = os.fdopen

    class Stopped:
        def __init__(self, file, left):
            self.file, self.left = file, left

        def write(self, data):
            self.left -= 1
            if self.left == 0:
                raise kind
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

    path = tmp_path / "a.pt"
    for writes in (1, 2, 5, 20, 40):
        with monkeypatch.context() as patch, pytest.raises(kind):
            patch.setattr(os, "fdopen", lambda *args: Stopped(real(*args), writes))  # noqa: B023
            save_checkpoint(path, model=Net())
        assert os.listdir(tmp_path) == []


def test_a_save_in_an_except_block_reports_its_own_error(tmp_path):
    values = torch.ones(2)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            extra = [values, values.view(torch.int32)]
            save_checkpoint(tmp_path / "a.pt", model=Net(), extra=extra)
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_disk_says_how_much_a_checkpoint_needs(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic, "flush_to_disk", fail)
    path = tmp_path / "a.pt"
    with pytest.raises(OSError) as caught:
        save_checkpoint(path, model=nn.Linear(1000, 10), rng=False)
    needed = 4 * 10_010 + 4096
    message = f"cannot save {path}: the disk is full. About {needed} bytes are needed; "
    assert caught.value.errno == errno.ENOSPC and message in str(caught.value)
    assert os.listdir(tmp_path) == []


# Verification


def test_verify_says_that_every_byte_is_checked(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net(), rng=False)
    found = verify(path)
    assert (found.missing, found.verifiable) == ((), True)
    with zipfile.ZipFile(path) as archive:
        records = len(archive.namelist())
    assert (found.path, found.size, found.records) == (path, path.stat().st_size, records)
    assert str(found) == f"a.pt: {records} records, every byte is checked"


def test_verify_says_what_a_file_of_torch_save_does_not_guarantee(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"weight": torch.ones(30)}, path)
    found = verify(path)
    assert found.verifiable
    assert found.missing == (
        "no digest of headers and directory: changes there may go unseen",
    )
    flip(path, payload_offsets(path, 1)[0])
    with pytest.raises(CorruptCheckpointError):
        verify(path)


def test_a_file_without_checksums_is_called_unverifiable(tmp_path):
    path = tmp_path / "a.pt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.ones(30)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    found = verify(path)
    assert not found.verifiable
    assert str(found).endswith(
        "no CRC-32 of the records (switched off when it was saved): unverifiable"
    )
    for read in (lambda: read_metadata(path), lambda: load_checkpoint(path, model=Net())):
        with pytest.raises(IncompatibleCheckpointError) as caught:
            read()
        assert str(caught.value) == (
            f"{path} has no CRC-32 of the records (switched off when it was saved): "
            "unverifiable. If you trust it, save it again: "
            "torch.save(torch.load(path, weights_only=True), new_path)."
        )


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


class Smaller(Net):
    def __init__(self):
        super().__init__(hidden=5)


class Renamed(Net):
    def __init__(self):
        super().__init__()
        self.end = self.last
        del self.last

    def forward(self, x):
        return self.end(torch.relu(self.norm(self.first(x))))


def half():
    return Net().bfloat16()


def compiled():
    model = Net()
    return nn.ModuleDict({"module": model})


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            Smaller,
            "first.weight is float32 (6, 4) in the file, float32 (5, 4) in the model; "
            "first.bias is float32 (6,) in the file, float32 (5,) in the model; "
            "norm.weight is float32 (6,) in the file, float32 (5,) in the model; "
            "norm.bias is float32 (6,) in the file, float32 (5,) in the model; and 3 more",
        ),
        (
            Renamed,
            "end.weight is missing from the file; end.bias is missing from the file; "
            "last.weight is not in the model; last.bias is not in the model",
        ),
        (half, "first.weight is float32 (6, 4) in the file, bfloat16 (6, 4) in the model"),
        (
            compiled,
            "only the model's names begin with 'module.', DataParallel's or "
            "DistributedDataParallel's: unwrap it",
        ),
        (
            lambda: Net().to("meta"),
            "first.weight of the model is on the meta device, without memory",
        ),
    ],
    ids=["shapes", "names", "dtypes", "wrapped", "meta"],
)
def test_a_model_that_does_not_fit_is_not_touched(tmp_path, make, problem):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    model = make()
    before = copy.deepcopy(model.state_dict())
    random_before = plain(capture_rng())
    message = problem_of(path, model=model)
    assert message.startswith(f"{path} does not fit the model: {problem}")
    assert message.endswith(". Nothing was changed.")
    assert plain(capture_rng()) == random_before
    for name, value in model.state_dict().items():
        assert value.is_meta or torch.equal(value, before[name])


def test_a_file_of_a_wrapped_model_says_so(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=nn.ModuleDict({"module": Net()}))
    assert problem_of(path, model=Net()) == (
        f"{path} does not fit the model: its names begin with 'module.', DataParallel's or "
        "DistributedDataParallel's: wrap the model first. Nothing was changed."
    )


def sgd_of_two_groups(model):
    return torch.optim.SGD(
        [{"params": model.first.parameters()}, {"params": model.last.parameters()}], lr=0.1
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda m: {"optimizer": torch.optim.SGD(m.parameters())},
            "does not fit the optimizer: the optimizer is of class SGD, the saved one of "
            "class AdamW",
        ),
        (
            lambda m: {"optimizer": torch.optim.AdamW(m.first.parameters())},
            "does not fit the optimizer: the optimizer's parameters differ: last.bias is "
            "only in the file; last.weight is only in the file; norm.bias is only in the "
            "file; norm.weight is only in the file",
        ),
        (
            lambda m: {
                "optimizer": torch.optim.AdamW([{"params": [p]} for p in m.parameters()])
            },
            "does not fit the optimizer: the optimizer's parameters differ: the same "
            "parameters are grouped differently",
        ),
        (
            lambda m: {
                "scheduler": torch.optim.lr_scheduler.ConstantLR(
                    torch.optim.AdamW(m.parameters())
                )
            },
            "does not fit the scheduler: the scheduler is of class ConstantLR, the saved "
            "one of class StepLR",
        ),
    ],
    ids=["class", "parameters", "groups", "scheduler"],
)
def test_another_optimizer_or_scheduler_is_refused(tmp_path, change, problem):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    run = Run(seed=2)
    arguments = {**run.parts, **change(run.model)}
    before = [plain(part.state_dict()) for part in arguments.values()]
    message = problem_of(path, **arguments)
    assert message == f"{path} {problem}. Nothing was changed."
    assert [plain(part.state_dict()) for part in arguments.values()] == before


def test_an_optimizer_asked_of_a_file_without_one_is_an_error(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    run = Run()
    assert problem_of(path, model=run.model, optimizer=run.optimizer) == (
        f"{path} does not fit the optimizer: the file holds no optimizer: load it without "
        "optimizer=. Nothing was changed."
    )
    assert "the file holds no scheduler: load it without scheduler=" in problem_of(
        path, model=run.model, scheduler=run.scheduler
    )


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


# The optimizer is matched by name


class Reordered(Net):
    """The same parameters, registered in another order."""

    def __init__(self):
        nn.Module.__init__(self)
        self.last = nn.Linear(6, 2)
        self.norm = nn.BatchNorm1d(6)
        self.first = nn.Linear(4, 6)


def moments(run):
    return {
        name: run.optimizer.state[parameter]["exp_avg"].tolist()
        for name, parameter in run.model.named_parameters()
    }


def test_moments_follow_their_names_into_another_order(tmp_path):
    run = Run(seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(seed=2, make=Reordered)
    load_checkpoint(path, **other.parts)
    assert moments(other) == moments(run)
    names = [name for name, _ in other.model.named_parameters()]
    assert names[0] == "last.weight", "the order is the same: nothing was tested"


def two_groups(names):
    def make(parameters, lr):
        names_of_all = [name for name, _ in Net().named_parameters()]
        named = dict(zip(names_of_all, parameters, strict=True))
        first = [named[name] for name in names]
        rest = [value for name, value in named.items() if name not in names]
        return torch.optim.AdamW(
            [{"params": first, "lr": lr / 10}, {"params": rest, "lr": lr}]
        )

    return make


def test_groups_follow_their_parameters(tmp_path):
    weights = ["first.weight", "norm.weight", "last.weight"]
    biases = ["first.bias", "norm.bias", "last.bias"]
    run = Run(seed=1, optimizer=two_groups(weights))
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(seed=2, optimizer=two_groups(list(reversed(biases))))
    load_checkpoint(path, model=other.model, optimizer=other.optimizer)
    assert moments(other) == moments(run)
    rates = [group["lr"] for group in other.optimizer.param_groups]
    assert rates == [group["lr"] for group in reversed(run.optimizer.param_groups)]


def test_an_optimizer_that_knows_names_keeps_its_own(tmp_path):
    run = Run(seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    model = Net()
    optimizer = torch.optim.AdamW(model.named_parameters())
    load_checkpoint(path, model=model, optimizer=optimizer)
    names = [name for name, _ in model.named_parameters()]
    assert optimizer.param_groups[0]["param_names"] == names
    back = save_checkpoint(tmp_path / "b.pt", model=model, optimizer=optimizer)
    load_checkpoint(back, model=run.model, optimizer=run.optimizer)
    assert "param_names" not in run.optimizer.param_groups[0]


# Files of somebody else


def test_a_checkpoint_by_hand_is_whole_and_not_ours(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"epoch": 3, "model_state_dict": Net().state_dict(), "loss": 0.1}, path)
    assert problem_of(path, model=Net()) == (
        f"{path} was not written by save_checkpoint: it holds the keys epoch, "
        "model_state_dict, loss. Read it by hand: torch.load(path, weights_only=True), "
        "then load_state_dict of each part."
    )
    torch.save([1, 2], path)
    assert "it holds a list" in problem_of(path, model=Net())


def test_a_later_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.checkpoints.saving.FORMAT_VERSION", 2)
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    assert problem_of(path, model=Net()) == (
        f"{path} has format version 2; this code reads 1. Read it with the version of the "
        "helpers that wrote it."
    )


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


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace a file that is open")
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    old, new = Run(seed=1), Run(seed=2)
    path = save_checkpoint(tmp_path / "a.pt", **old.parts)
    other = save_checkpoint(tmp_path / "b.pt", **new.parts)
    real, calls = torch.load, []

    def replace_first(*args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            os.replace(other, path)
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, "load", replace_first)
    run = Run(seed=3)
    load_checkpoint(path, **run.parts)
    assert len(calls) == 2 and run.state() == new.state()


def test_an_unknown_device_is_not_damage(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    with pytest.raises(RuntimeError, match="nowhere"):
        load_checkpoint(path, model=Net(), map_location="nowhere")


def test_a_model_without_any_tensor_is_saved_and_loaded(tmp_path):
    path = save_checkpoint(tmp_path / "none.pt", model=nn.Identity(), epoch=3)
    assert load_checkpoint(path, model=nn.Identity()).epoch == 3


def test_a_whole_number_of_numpy_becomes_a_plain_one(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, model=Net(), epoch=np.int64(3), step=torch.tensor(30))
    found = load_checkpoint(path, model=Net())
    assert (found.epoch, found.step) == (3, 30) and type(found.epoch) is int


@pytest.mark.parametrize("name", ["epoch", "step"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "3"])
def test_epoch_and_step_are_whole_numbers(tmp_path, name, value):
    with pytest.raises(ValueError) as caught:
        save_checkpoint(tmp_path / "a.pt", model=Net(), **{name: value})
    assert str(caught.value) == (
        f"{name} is {value!r}; expected a whole number of 0 or more"
    )
    assert os.listdir(tmp_path) == []

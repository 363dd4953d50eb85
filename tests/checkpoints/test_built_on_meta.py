"""A model that was built on the meta device gets the file's own tensors, or nothing."""

import copy
import mmap
import os

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from helpers.checkpoints import (
    IncompatibleCheckpointError,
    load_checkpoint,
    save_checkpoint,
    verify,
)
from helpers.measurement import peak_memory
from helpers.state_dicts.differences import is_same
from tests.checkpoints.interrupts import interrupt_everywhere
from tests.checkpoints.runs import Net, Run, plain, problem_of
from tests.state_dicts import samples
from tests.state_dicts.samples import KINDS, MODELS


def shell(make=Net):
    with torch.device("meta"):
        return make()


def shells():
    """Return what a run consists of, none of it with memory."""
    model = shell()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 9)
    return {"model": model, "optimizer": optimizer, "scheduler": scheduler}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight


class Untied(Tied):
    def __init__(self):
        super().__init__()
        self.head.weight = nn.Parameter(torch.zeros(5, 4))


class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("angles", torch.arange(3.0), persistent=False)


def storages(model):
    return [value.untyped_storage().data_ptr() for value in model.state_dict().values()]


def test_a_run_built_on_meta_goes_on_like_the_saved_one(tmp_path):
    run = Run(seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(steps=0)
    parts = shells()
    objects = [id(p) for p in parts["model"].parameters()]
    load_checkpoint(path, **parts)
    other.model, other.optimizer, other.scheduler = parts.values()
    assert [id(p) for p in other.model.parameters()] == objects, "the optimizer has others"
    assert other.state() == run.state()
    for each in (run, other):
        torch.manual_seed(5)
        each.step()
    assert other.state() == run.state()


def test_training_it_does_not_write_into_the_file(tmp_path):
    run = Run(seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    before, parts = path.read_bytes(), shells()
    load_checkpoint(path, **parts)
    other = Run(steps=0)
    other.model, other.optimizer, other.scheduler = parts.values()
    other.step()
    assert path.read_bytes() == before
    assert save_checkpoint(path, **parts) == path, "in place of the file that is mapped"


def test_what_is_no_parameter_and_what_is_frozen_stays_so(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    model = shell()
    model.first.weight.requires_grad_(False)
    model.first.weight.kind = "frozen"
    load_checkpoint(path, model=model)
    assert not model.first.weight.requires_grad and model.first.bias.requires_grad
    assert model.first.weight.kind == "frozen"
    assert type(model.first.weight) is nn.Parameter
    assert type(model.norm.running_mean) is torch.Tensor


def test_ties_are_those_of_the_model(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=(saved := Tied()))
    model = shell(Tied)
    load_checkpoint(path, model=model)
    assert model.head.weight is model.embed.weight
    assert torch.equal(model.head.weight, saved.head.weight)

    model = shell(Untied)  # two in the model, one in the file
    load_checkpoint(path, model=model)
    with torch.no_grad():
        model.head.weight.zero_()
    assert torch.equal(model.embed.weight, saved.embed.weight)

    path = save_checkpoint(tmp_path / "b.pt", model=Untied())  # one in the model, two here
    model = shell(Tied)
    assert "are one tensor in the model, and differ in the file" in problem_of(
        path, model=model
    )
    assert model.head.weight.is_meta


@pytest.mark.parametrize(
    "stored",
    [
        lambda: torch.arange(3.0).expand(2, 3),
        lambda: torch.arange(12.0).view(2, 6)[:, ::2],
        lambda: torch.arange(6.0).view(3, 2).T,
        lambda: torch.complex(torch.ones(2, 3), torch.ones(2, 3)).conj(),
        lambda: torch.complex(torch.ones(2, 3), torch.ones(2, 3)).conj().imag,
    ],
)
def test_however_the_file_lays_it_out_each_element_is_one_of_its_own(tmp_path, stored):
    saved, model = nn.Module(), nn.Module()
    saved.register_buffer("grid", stored())
    model.register_buffer("grid", torch.empty_like(stored(), device="meta").resolve_conj())
    load_checkpoint(save_checkpoint(tmp_path / "a.pt", model=saved), model=model)
    assert torch.equal(model.grid, stored())
    model.grid[0, 0] = 7
    assert (model.grid == 7).sum() == 1


def test_half_of_it_may_have_memory(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=(saved := Net()))
    model = shell()
    model.last = nn.Linear(6, 2)
    place = model.last.weight.data_ptr()
    load_checkpoint(path, model=model)
    assert plain(model.state_dict()) == plain(saved.state_dict())
    assert model.last.weight.data_ptr() == place


def test_what_no_file_can_hold_is_named(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Rotary())
    model = shell(Rotary)
    with pytest.warns(UserWarning, match="no values for angles: still on meta"):
        found = load_checkpoint(path, model=model)
    assert found.notes == ("model: the file has no values for angles: still on meta",)
    assert not model.layer.weight.is_meta


def test_so_it_is_in_every_module_that_was_given(tmp_path):
    models, others = (
        {"a": Rotary()},
        {"ema": Rotary(), "scale": torch.amp.GradScaler("cpu")},
    )
    path = save_checkpoint(tmp_path / "a.pt", model=models, others=others)
    models, others = {"a": shell(Rotary)}, {**others, "ema": shell(Rotary)}
    with pytest.warns(UserWarning, match="still on meta"):
        found = load_checkpoint(path, model=models, others=others)
    tail = "the file has no values for angles: still on meta"
    assert found.notes == (f"model['a']: {tail}", f"others['ema']: {tail}")


class Copies(Net):
    def state_dict(self, *args, **kwargs):
        own = super().state_dict(*args, **kwargs)
        return type(own)((name, value.clone()) for name, value in own.items())


@pytest.mark.parametrize("make", [Copies, lambda: torch.jit.script(Net())])
def test_a_model_that_hides_its_tensors_is_refused(tmp_path, make):
    path = save_checkpoint(tmp_path / "a.pt", model=make())
    model = make().to("meta")
    assert "first.weight of the model has no memory (meta, or fake)" in problem_of(
        path, model=model
    )
    assert all(p.is_meta for p in model.parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [*KINDS, *MODELS])
def test_every_kind_gets_the_right_values_or_is_refused(tmp_path, kind):
    source, path = samples.model(kind, seed=1), tmp_path / "a.pt"
    try:
        target = samples.model(kind, seed=2).to("meta")
        save_checkpoint(path, model=source)
    except (ValueError, NotImplementedError, RuntimeError):  # cannot be saved, or be there
        return
    try:
        load_checkpoint(path, model=target)
    except IncompatibleCheckpointError as error:
        assert "has no memory (meta, or fake): call model.to_empty()" in str(error)
        assert any(t.is_meta for t in (*target.parameters(), *target.buffers()))
    else:
        expected = source.state_dict()
        assert all(is_same(expected[n], v) for n, v in target.state_dict().items())


def test_a_recurrent_layer_computes_with_what_it_got(tmp_path):
    saved, steps = nn.LSTM(3, 4), torch.rand(5, 2, 3)
    path = save_checkpoint(tmp_path / "a.pt", model=saved)
    model = shell(lambda: nn.LSTM(3, 4))
    load_checkpoint(path, model=model)
    assert torch.equal(model(steps)[0], saved(steps)[0])
    model(steps)[0].sum().backward()
    assert model.weight_hh_l0.grad is not None


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_fake_tensors_are_refused(tmp_path, device):
    path = save_checkpoint(tmp_path / "a.pt", model=nn.Linear(3, 2))
    with FakeTensorMode():
        model = nn.Linear(3, 2, device=device)
    assert "has no memory (meta, or fake): call model.to_empty()" in problem_of(
        path, model=model
    )


def test_after_an_interruption_anywhere_it_is_on_meta_again(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    parts = shells()
    parts["model"].first.weight.kind = "first"
    assert interrupt_everywhere(monkeypatch, path, parts, **parts) > 20
    assert not any(p.is_meta for p in parts["model"].parameters()), "the last one loads"


def test_a_failure_after_the_model_gives_no_memory_to_it(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    parts = shells()
    parts["scheduler"].load_state_dict = lambda state: 1 / 0
    before = copy.deepcopy(parts["optimizer"].state_dict())
    with pytest.raises(ZeroDivisionError):
        load_checkpoint(path, **parts)
    assert all(p.is_meta for p in parts["model"].parameters())
    assert parts["optimizer"].state_dict() == before
    del parts["scheduler"].load_state_dict
    load_checkpoint(path, **parts)
    assert not any(p.is_meta for p in parts["model"].parameters())


def test_one_that_does_not_fit_is_refused_as_any_other(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    model = shell(lambda: Net(hidden=5))
    with pytest.raises(
        IncompatibleCheckpointError, match=r"first.weight is float32 \(6, 4\)"
    ):
        load_checkpoint(path, model=model)


def load_into_a_shell(path, is_loaded):
    model = shell(lambda: nn.Linear(4000, 1000))
    if is_loaded:
        load_checkpoint(path, model=model)
    return int(model.weight.is_meta)


def test_there_is_no_second_copy_in_memory(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=nn.Linear(4000, 1000))
    bare = peak_memory(load_into_a_shell, path, False)
    used = peak_memory(load_into_a_shell, path, True)
    assert (bare.result, used.result) == (1, 0)
    assert used.allocated - bare.allocated < 4_000_000 < path.stat().st_size / 3


# What else is there


def test_two_models_get_memory_of_their_own_where_the_file_has_one(tmp_path):
    student = Net()
    teacher = nn.ModuleDict({"first": student.first})
    path = save_checkpoint(tmp_path / "a.pt", model=student, others={"teacher": teacher})
    again, kept = shell(), nn.ModuleDict({"first": shell().first})
    load_checkpoint(path, model=again, others={"teacher": kept})
    with torch.no_grad():
        again.first.weight.zero_()
    assert torch.equal(kept["first"].weight, student.first.weight)


class Resizes(nn.Module):
    """Clears its table, and takes as many rows as the file has."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 2))

    def _load_from_state_dict(self, state, prefix, *rest):
        with torch.no_grad():
            self.weight.zero_()
            self.weight[:4].copy_(state[prefix + "weight"])
        state[prefix + "weight"].fill_(7)


def test_a_module_that_loads_in_its_own_way_sees_the_values_of_the_file(tmp_path):
    saved = nn.Sequential(Resizes(), nn.Linear(2, 1))
    path = save_checkpoint(tmp_path / "a.pt", model=saved)
    model = shell(lambda: nn.Sequential(Resizes(), nn.Linear(2, 1)))
    load_checkpoint(path, model=model)
    assert torch.equal(model[0].weight, saved[0].weight)
    assert verify(path).verifiable, "the file is as it was"


@pytest.mark.parametrize("way", ["register_hook", "register_post_accumulate_grad_hook"])
def test_hooks_that_would_be_lost_are_named(tmp_path, way):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    model, seen = shell(), []
    getattr(model.first.weight, way)(lambda *_: seen.append(1))
    assert "first.weight of the model has hooks and no memory (meta)" in problem_of(
        path, model=model
    )
    assert model.first.weight.is_meta


class TiedByData(Untied):
    def __init__(self):
        super().__init__()
        self.head.weight.data = self.embed.weight.data


class Viewing(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3, 2))
        self.register_buffer("row", self.weight.data[0])


def test_memory_that_two_tensors_share_is_shared_again(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=(saved := TiedByData()))
    model = shell(TiedByData)
    load_checkpoint(path, model=model)
    assert torch.equal(model.embed.weight, saved.embed.weight)
    with torch.no_grad():
        model.head.weight[0, 0] = 9
    assert model.embed.weight[0, 0] == 9 and model.head.weight.requires_grad

    path = save_checkpoint(tmp_path / "b.pt", model=Untied())
    model = shell(TiedByData)
    assert "are one tensor in the model, and differ" in problem_of(path, model=model)

    path = save_checkpoint(tmp_path / "c.pt", model=Viewing())
    assert "weight and row are views of one memory in the model, and have none" in (
        problem_of(path, model=shell(Viewing))
    )


def test_the_layout_is_that_of_the_model(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=(saved := nn.Conv2d(3, 4, 2)))
    model = nn.Conv2d(3, 4, 2).to("meta", memory_format=torch.channels_last)
    load_checkpoint(path, model=model)
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(model.weight, saved.weight)


def test_in_inference_mode_it_can_be_trained_afterwards(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=nn.Linear(3, 2))
    model = shell(lambda: nn.Linear(3, 2))
    with torch.inference_mode():
        load_checkpoint(path, model=model)
    model(torch.rand(1, 3)).sum().backward()
    assert model.weight.grad is not None


@pytest.mark.skipif(os.name == "nt", reason="Windows maps in one way only")
def test_training_never_reaches_the_file_whatever_the_default(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    before, model = path.read_bytes(), shell()
    with torch.serialization.set_default_mmap_options(mmap.MAP_SHARED):
        load_checkpoint(path, model=model)
    with torch.no_grad():
        model.first.weight.zero_()
    assert path.read_bytes() == before

"""What a checkpoint may hold: it is what comes back from the file, and nothing else."""

import io
from collections import Counter, OrderedDict, defaultdict

import pytest
import torch
from torch import nn

from helpers.checkpoints import load_checkpoint, save_checkpoint
from helpers.checkpoints.plain import PlainCheck, loading_problem
from helpers.state_dicts.differences import is_same
from tests.checkpoints.runs import Net

LOADABLE = {
    "numbers": [None, True, 3, 2**200, 0.5, 1 + 2j],
    "texts": ["ä", b"x", bytearray(b"yz")],
    "containers": {"a": OrderedDict(b=1), "c": Counter("aab"), 4: (1, {2, 3}), "d": []},
    "words": [torch.float8_e4m3fn, torch.device("cuda:1"), torch.Size([2])],
    "layouts": [torch.strided, torch.sparse_csr, torch.per_tensor_affine],
}


@pytest.mark.parametrize("kind", LOADABLE)
def test_what_is_accepted_comes_back_as_it_was(tmp_path, kind):
    path = save_checkpoint(tmp_path / "a.pt", model=Net(), extra=LOADABLE[kind])
    found = load_checkpoint(path, model=Net()).extra
    assert repr(found) == repr(LOADABLE[kind])


@pytest.mark.parametrize(
    "value",
    [defaultdict(int), range(3), frozenset({1}), slice(1), io.BytesIO(), nn.Linear(2, 2)],
    ids=lambda value: type(value).__name__,
)
def test_what_weights_only_refuses_is_named(value):
    kind = type(value)
    named = f"extra[1]['x'] is of type {kind.__module__}.{kind.__qualname__}, which torch."
    with pytest.raises(ValueError) as caught:
        PlainCheck()([0, {"x": value}], "extra")
    assert str(caught.value).startswith(named)


class Marked(torch.Tensor):
    """A tensor of a class that torch.load does not know."""


def test_a_tensor_of_a_class_of_your_own_is_saved_once_torch_knows_the_class(tmp_path):
    net = nn.Module()
    net.register_buffer("scale", torch.ones(2).as_subclass(Marked))
    path = tmp_path / "a.pt"
    with pytest.raises(ValueError) as caught:
        save_checkpoint(path, model=net)
    assert str(caught.value) == (
        f"model['scale'] is of type {__name__}.Marked, which torch.load refuses with "
        "weights_only=True; call torch.serialization.add_safe_globals([Marked]) before "
        "saving and before loading"
    )
    with torch.serialization.safe_globals([Marked]):
        save_checkpoint(path, model=net)
        net.scale.zero_()
        load_checkpoint(path, model=net)
    assert type(net.scale) is Marked and net.scale.tolist() == [1.0, 1.0]


@pytest.mark.filterwarnings("ignore")
def test_a_tensor_that_cannot_be_copied_deeply_comes_back(tmp_path):
    extra = {"graph": torch.eye(3).to_sparse_csr(), "shared": nn.Parameter(torch.ones(2))}
    path = save_checkpoint(tmp_path / "a.pt", model=Net(), extra=extra)
    found = load_checkpoint(path, model=Net()).extra
    path.write_bytes(bytes(path.stat().st_size))
    assert is_same(found["graph"], extra["graph"]) and found["shared"].sum() == 2


def test_a_container_that_holds_itself_is_looked_at_once():
    loop = [1]
    loop.append({"again": loop})
    PlainCheck()(loop, "extra")
    loop.append(range(2))
    with pytest.raises(ValueError, match=r"^extra\[2\] is of type builtins.range"):
        PlainCheck()(loop, "extra")


def test_a_storage_counts_once():
    check, values = PlainCheck(), torch.ones(10)
    check([values, values[:2], torch.ones(3)], "extra")
    assert sum(check.storages.values()) == 4 * 13


def test_a_tensor_that_cannot_be_read_again_is_named():
    with pytest.raises(ValueError) as caught:
        PlainCheck()({"w": torch.zeros(2, dtype=torch.uint8).view(torch.uint4)}, "model")
    assert str(caught.value).startswith("model['w'] is uint4 (2,), which torch.load cannot")


def test_one_of_a_kind_is_tried_for_all(monkeypatch):
    tried = []
    real = torch.save
    monkeypatch.setattr(torch, "save", lambda *a: tried.append(a) or real(*a))
    PlainCheck()([torch.eye(2).to_sparse() for _ in range(9)], "extra")
    assert len(tried) == 1


def test_trying_to_write_changes_nothing():
    target = torch.zeros(2)
    assert loading_problem(target, torch.ones(2)) is None
    assert "size mismatch" in loading_problem(target, torch.ones(3))
    assert target.sum() == 0

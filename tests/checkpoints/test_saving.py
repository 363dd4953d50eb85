"""Saving: a plain torch file, whole or not at all, with nothing that cannot be loaded."""

import datetime
import errno
import os

import numpy as np
import pytest
import torch
from torch import nn

from helpers import atomic
from helpers.checkpoints import load_checkpoint, read_metadata, save_checkpoint, verify
from tests.checkpoints.runs import Net, Run


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


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"model": nn.LazyLinear(3)}, "model is lazy and has no weights yet (LazyLinear)"),
        (
            {"model": {"net": nn.Sequential(nn.Tanh(), nn.Sequential(nn.LazyLinear(3)))}},
            "the layer '1.0' of model['net'] is lazy and has no weights yet (LazyLinear)",
        ),
        (
            {"model": nn.Sequential(nn.LazyBatchNorm1d(affine=False))},
            "the layer '0' of model is lazy and has no weights yet (LazyBatchNorm1d)",
        ),
        (
            {"model": Net(), "others": {"ema": nn.Sequential(nn.LazyLinear(3))}},
            "the layer '0' of others['ema'] is lazy and has no weights yet (LazyLinear)",
        ),
    ],
)
def test_a_lazy_layer_is_refused_by_name_until_a_batch_was_seen(tmp_path, parts, what):
    with pytest.raises(ValueError) as caught:
        save_checkpoint(tmp_path / "a.pt", **parts)
    assert str(caught.value) == (
        f"{what}: run one batch through the model before it is saved. Nothing was written."
    )
    assert os.listdir(tmp_path) == []


def test_a_lazy_layer_that_has_seen_a_batch_is_saved(tmp_path):
    model = nn.Sequential(nn.LazyLinear(3))
    model(torch.ones(1, 2))
    path = save_checkpoint(tmp_path / "a.pt", model=model)
    assert read_metadata(path)["parameters"] == {"0.weight": (3, 2), "0.bias": (3,)}


def test_an_optimizer_over_foreign_parameters_is_refused(tmp_path):
    model = Net()
    stranger = torch.optim.SGD([*model.parameters(), nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.raises(ValueError) as caught:
        save_checkpoint(tmp_path / "a.pt", model=model, optimizer=stranger)
    assert str(caught.value) == (
        "the optimizer holds a parameter that is not the model's, so its state could not "
        "be matched by name; pass every module that it trains, as in "
        'model={"generator": ..., "critic": ...}'
    )


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

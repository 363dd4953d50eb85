"""The two models, the weights that ship, their recipe, and what low bits do to them."""

import json
import os
import re
import stat
import struct
from functools import partial

import pytest
import safetensors.torch
import torch
from torch import nn

from helpers.classroom.data import networks as models
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import (
    RECIPE,
    WEIGHTS,
    DigitsNet,
    SimpleNet,
    load_reference_model,
    save_reference_model,
    train_reference_model,
)
from helpers.quantization import Scheme, fake_quantize, fold_batch_norm
from helpers.training import accuracy

CURE = (
    "restore it with `git checkout -- helpers/classroom/data/weights` or "
    "`python -m helpers.classroom.data.networks`"
)
HEADER = 8 + struct.unpack("<Q", WEIGHTS.read_bytes()[:8])[0]


def share_right(model) -> float:
    digits = load_digits()
    return accuracy(model, digits.test_images, digits.test_labels)


def points_lost(model, bits, granularity) -> float:
    """Points of accuracy lost with every weight in few bits, batch norm folded."""
    quantized = fold_batch_norm(model)
    for layer in quantized.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            scheme = Scheme(bits=bits, symmetric=True, granularity=granularity)
            layer.weight.data = fake_quantize(layer.weight, scheme)
    return 100 * (share_right(model) - share_right(quantized))


@pytest.fixture(scope="module")
def reference() -> DigitsNet:
    return load_reference_model()


# Shapes and names


def test_simple_net_is_two_linear_layers():
    net = SimpleNet()
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert shapes == {
        "hidden.weight": (64, 10),
        "hidden.bias": (64,),
        "output.weight": (2, 64),
        "output.bias": (2,),
    }
    assert net(torch.zeros(5, 10)).shape == (5, 2)
    assert SimpleNet(3, 4, 5)(torch.zeros(1, 3)).shape == (1, 5)
    x = torch.randn(6, 10)
    by_hand = net.output(net.hidden(x).clamp(min=0))
    assert torch.equal(net(x), by_hand)


def test_digits_net_maps_pictures_to_ten_logits():
    assert DigitsNet()(torch.zeros(5, 1, 8, 8)).shape == (5, 10)
    assert DigitsNet(width=4, classes=3)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_digits_net_has_the_names_that_the_notebooks_use():
    state_dict = DigitsNet().state_dict()
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = ["stem.0.weight", *(f"stem.1.{name}" for name in norm)]
    for k in range(4):
        for convolution in (0, 3):
            names.append(f"blocks.{k}.{convolution}.weight")
            names += [f"blocks.{k}.{convolution + 1}.{name}" for name in norm]
    assert list(state_dict) == [*names, "head.weight", "head.bias"]
    assert state_dict["blocks.0.0.weight"].shape == (24, 1, 3, 3), "depthwise"
    assert state_dict["blocks.0.3.weight"].shape == (48, 24, 1, 1), "pointwise"


# The weights that ship


def test_the_reference_model_is_trained_and_in_eval_mode(reference):
    assert not any(module.training for module in reference.modules())
    assert share_right(reference) >= 0.975
    assert WEIGHTS.stat().st_size < 150_000


def test_three_bits_hurt_per_tensor_and_much_less_per_channel(reference):
    per_tensor = points_lost(reference, 3, "tensor")
    per_channel = points_lost(reference, 3, "channel")
    assert per_tensor >= 10
    assert per_channel <= per_tensor - 10


def test_four_bits_still_show_the_difference_and_eight_do_not(reference):
    assert points_lost(reference, 4, "tensor") > points_lost(reference, 4, "channel") + 5
    for granularity in ("tensor", "channel"):
        assert abs(points_lost(reference, 8, granularity)) < 0.5


def test_the_file_says_by_which_recipe_it_was_made():
    with safetensors.safe_open(WEIGHTS, framework="pt") as file:
        assert json.loads(file.metadata()["recipe"]) == RECIPE


def test_the_recipe_gives_a_model_like_the_one_that_ships(reference):
    # Not the same weights: those depend on the processor. Accuracy and gap do not.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        again = train_reference_model()
    finally:
        torch.set_num_threads(threads)
    assert not again.training
    assert abs(share_right(again) - share_right(reference)) <= 0.01
    per_tensor, per_channel = (points_lost(again, 3, g) for g in ("tensor", "channel"))
    assert per_tensor >= 10 and per_channel <= per_tensor - 10


def test_the_command_puts_the_trained_weights_in_place(tmp_path, monkeypatch, capsys):
    # Without the training, which the test above has done.
    monkeypatch.setattr(models, "train_reference_model", load_reference_model)
    path = tmp_path / "new.safetensors"
    save = partial(save_reference_model, path=path)
    monkeypatch.setattr(models, "save_reference_model", save)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    models.main()
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"9\d\.\d% of the 719 test images are right: .*new\.safe\w+\n", said
    )
    # Not the same bytes: safetensors writes the metadata in any order.
    new, old = (load_reference_model(some).state_dict() for some in (path, WEIGHTS))
    assert all(torch.equal(new[name], tensor) for name, tensor in old.items())


def test_what_is_saved_is_what_is_loaded(tmp_path):
    torch.manual_seed(0)
    model = DigitsNet()
    path = save_reference_model(model, tmp_path / "own.safetensors")
    assert path == tmp_path / "own.safetensors"
    loaded = load_reference_model(path).state_dict()
    assert all(torch.equal(loaded[name], t) for name, t in model.state_dict().items())


def test_a_save_that_fails_half_way_leaves_the_old_file(tmp_path, reference):
    resource = pytest.importorskip("resource", reason="a file size limit needs POSIX")
    path = save_reference_model(reference, tmp_path / "own.safetensors")
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="would exceed the largest size allowed here"):
            save_reference_model(DigitsNet(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["own.safetensors"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_save_that_is_stopped_leaves_the_old_file_alone(
    tmp_path, reference, monkeypatch, step, error
):
    path = save_reference_model(reference, tmp_path / "own.safetensors")
    before = path.read_bytes()

    def stop(*arguments):
        assert path.read_bytes() == before, "the old file is not written into"
        raise error

    monkeypatch.setattr(os, step, stop)
    with pytest.raises(type(error)):
        save_reference_model(DigitsNet(), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["own.safetensors"]


def test_the_new_file_is_complete_and_on_the_disk_before_it_takes_the_name(
    tmp_path, reference, monkeypatch
):
    steps, fsync, replace = [], os.fsync, os.replace

    def note_fsync(handle):
        steps.append(("fsync", os.fstat(handle).st_size))
        fsync(handle)

    def note_replace(source, target):
        assert source.parent == target.parent, "one step only within a file system"
        steps.append(("replace", source.stat().st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    path = save_reference_model(reference, tmp_path / "own.safetensors")
    size = path.stat().st_size
    assert steps[:2] == [("fsync", size), ("replace", size)]
    # Then the folder, so that the new name lasts.
    assert [step for step, _ in steps[2:]] == ["fsync"] * (os.name == "posix")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask for reading")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_umask_decides_who_may_read_the_file(tmp_path, reference, umask):
    before = os.umask(umask)
    try:
        path = save_reference_model(reference, tmp_path / "own.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


# Files that are not what they should be: one sentence each, with the cure


def complaint(path, error=ValueError) -> str:
    with pytest.raises(error) as caught:
        load_reference_model(path)
    said = str(caught.value)
    assert said.startswith(f"{path} ") or error is FileNotFoundError
    assert said.endswith(f"; {CURE}") and "\n" not in said
    return said.removeprefix(f"{path} ").removesuffix(f"; {CURE}")


def test_a_missing_file(tmp_path):
    path = tmp_path / "gone.safetensors"
    assert complaint(path, FileNotFoundError) == f"the file of weights {path} is missing"
    complaint(tmp_path, FileNotFoundError)  # a folder is not a file either


@pytest.mark.parametrize("kept", [0, 7, 8, 100, HEADER - 1, HEADER, -1])
def test_a_truncated_file(tmp_path, kept):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(WEIGHTS.read_bytes()[:kept])
    assert complaint(path).startswith("is damaged (Error while deserializing header: ")


def test_bytes_after_the_end(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(WEIGHTS.read_bytes() + b"\0")
    assert complaint(path).startswith("is damaged (")


def test_a_flipped_bit_anywhere_in_the_numbers(tmp_path):
    path = tmp_path / "weights.safetensors"
    whole = WEIGHTS.read_bytes()
    for place in [HEADER, *range(HEADER + 1, len(whole), 1009), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        said = complaint(path)
        assert said == "is damaged: its tensors do not match the SHA-256 in it"


def test_a_flipped_bit_in_the_header_is_named_or_does_no_harm(tmp_path, reference):
    # The header also holds the recipe, as text: only there may a flip go unnoticed.
    path = tmp_path / "weights.safetensors"
    whole = WEIGHTS.read_bytes()
    ours = reference.state_dict()
    begin, end = re.search(rb'"recipe":"(?:[^"\\]|\\.)*"', whole).span()
    unnoticed = 0
    for place in [*range(begin, end, 7), *range(0, HEADER, 13)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            theirs = load_reference_model(path).state_dict()
        except ValueError:
            assert complaint(path).startswith(("is damaged", "holds no SHA-256"))
        else:
            unnoticed += 1
            assert begin <= place < end
            assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    assert unnoticed < 30


def test_another_file_of_safetensors(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(SimpleNet().state_dict(), path)
    assert complaint(path) == "holds no SHA-256, so it is not the course's file of weights"


@pytest.mark.parametrize("other", [SimpleNet(), DigitsNet(width=8), DigitsNet(classes=5)])
def test_another_models_weights(tmp_path, other):
    path = save_reference_model(other, tmp_path / "weights.safetensors")
    assert complaint(path) == "does not hold a DigitsNet in float32"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_weights_of_another_dtype(tmp_path, dtype):
    path = save_reference_model(DigitsNet().to(dtype), tmp_path / "weights.safetensors")
    assert complaint(path) == "does not hold a DigitsNet in float32"


def test_a_digest_that_does_not_fit_weights_that_numpy_cannot_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    state_dict = DigitsNet().bfloat16().state_dict()
    safetensors.torch.save_file(state_dict, path, metadata={"sha256": "0" * 64})
    assert complaint(path) == "is damaged: its tensors do not match the SHA-256 in it"

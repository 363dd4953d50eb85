"""Quantized models in files: the same answers bit for bit, few bytes, all or nothing."""

import copy
import json
import os
from dataclasses import asdict

import pytest
import safetensors.torch
import torch
from torch import nn

from helpers.classroom.data.networks import DigitsNet
from helpers.quantization import (
    PRESETS,
    QParams,
    Scheme,
    calibrate,
    dequantize,
    fold_batch_norm,
    load_quantized,
    packed_bytes,
    quantize_model,
    read_quantized,
    save_quantized,
)
from helpers.quantization.packed_files import KEY

SCHEMES = [
    Scheme(bits, (bits + place) % 2 == 0, granularity, group_size=7)
    for bits in (2, 3, 4, 8)
    for place, granularity in enumerate(("tensor", "channel", "group"))
] + [*map(Scheme.preset, PRESETS), Scheme(4, observer="mse", scale_dtype="bfloat16")]


class Recurrent(nn.Module):
    """Words to classes by an LSTM, which stays in float."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 12)
        self.reader, self.head = nn.LSTM(12, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, words):
        return self.head(self.reader(self.words(words))[0][:, -1])


class Encoder(nn.Module):
    """A language model whose head is its embedding."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0, batch_first=True)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.words.weight

    def forward(self, words):
        return self.head(self.layer(self.words(words)))


class Upwards(nn.Module):
    """Transposed and one-dimensional convolutions, one in groups, and a norm."""

    def __init__(self):
        super().__init__()
        self.down, self.norm = nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6)
        self.up = nn.ConvTranspose1d(6, 4, 3, groups=2)
        self.register_buffer("steps", torch.arange(3))

    def forward(self, x):
        return self.up(torch.relu(self.norm(self.down(x))))


WORDS = torch.arange(40).reshape(4, 10)
MODELS = {
    "digits": (DigitsNet, torch.linspace(0, 1, 2 * 64).reshape(2, 1, 8, 8)),
    "recurrent": (Recurrent, WORDS),
    "encoder": (Encoder, WORDS),
    "upwards": (Upwards, torch.linspace(-1, 1, 2 * 4 * 9).reshape(2, 4, 9)),
}


def made(name, seed=0):
    """A model with norms that have seen something, and its inputs."""
    torch.manual_seed(seed)
    kind, inputs = MODELS[name]
    model = kind()
    with torch.no_grad():
        for _ in range(3):
            model(inputs)
    return model, inputs


def answers(model, inputs):
    with torch.no_grad():
        return model.eval()(inputs)


def header_bytes(path) -> int:
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


@pytest.mark.parametrize(
    ("name", "scheme"),
    [(name, each) for name in MODELS for each in SCHEMES[:: 4 if name == "digits" else 1]],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.* stay in float")
def test_the_answers_are_equal_bit_for_bit_and_the_bytes_are_those_counted(
    name, scheme, tmp_path
):
    model, inputs = made(name)
    path = tmp_path / "model.safetensors"
    save_quantized(path, model, scheme)
    other, _ = made(name, seed=1)
    before = copy.deepcopy(other.state_dict())
    loaded, expected = load_quantized(path, other), quantize_model(model, scheme)
    assert torch.equal(answers(loaded, inputs), answers(expected, inputs))
    wanted = expected.state_dict()
    assert list(wanted) == list(loaded.state_dict()) and not loaded.training
    assert all(torch.equal(wanted[n], t) for n, t in loaded.state_dict().items())
    assert all(torch.equal(before[n], t) for n, t in other.state_dict().items())
    size = packed_bytes(model, scheme)
    assert path.stat().st_size - header_bytes(path) == size
    for name, (integers, qparams) in read_quantized(path).items():
        weight = dequantize(integers, qparams)
        if name != "up.weight":  # whose output channels are not its first axis
            assert torch.equal(weight, wanted[name])


def test_a_file_is_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        save_quantized(tmp_path / name, made("encoder")[0], Scheme.preset("NVFP4"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_shipped_model_with_its_activations(model, digits, tmp_path):
    path, kept = tmp_path / "digits.safetensors", ("head",)
    weights, inputs = Scheme(4, granularity="channel"), Scheme(8, symmetric=False)
    folded = fold_batch_norm(model)
    ranges = calibrate(folded, inputs, digits.train_images[:64])
    save_quantized(path, model, weights, kept, ranges)
    expected = quantize_model(model, weights, inputs, ranges, kept)
    for other in (DigitsNet(), fold_batch_norm(DigitsNet()), model):
        loaded = load_quantized(path, other)
        found = answers(loaded, digits.test_images)
        assert torch.equal(found, answers(expected, digits.test_images))
    assert not torch.equal(
        found, answers(quantize_model(model, weights), digits.test_images)
    )
    assert torch.equal(loaded.head.weight, folded.head.weight)


def test_layers_of_different_schemes(tmp_path):
    model, inputs = made("encoder")
    schemes = [Scheme(3), Scheme.preset("NVFP4"), Scheme(5, symmetric=False)]
    for names in (("words", "layer.linear1", "layer.linear2"), ("head",), ()):
        weights, path = dict(zip(names, schemes, strict=False)), tmp_path / "mixed"
        save_quantized(path, model, weights)
        loaded = load_quantized(path, Encoder())
        expected = answers(quantize_model(model, weights), inputs)
        assert torch.equal(answers(loaded, inputs), expected)
        assert len(read_quantized(path)) == len(names)
        stored = sum(each.nbytes for each in safetensors.torch.load_file(path).values())
        assert stored == packed_bytes(model, weights)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_model_of_another_dtype(dtype, tmp_path):
    model, inputs = made("upwards")
    model, inputs, path = model.to(dtype), inputs.to(dtype), tmp_path / "model"
    save_quantized(path, model, Scheme(5))
    loaded = load_quantized(path, Upwards().to(dtype))
    expected = answers(quantize_model(model, Scheme(5)), inputs)
    assert torch.equal(answers(loaded, inputs), expected) and expected.dtype == dtype
    with pytest.raises(
        ValueError, match=f"down.weight is {dtype} there and torch.float32 he"
    ):
        load_quantized(path, Upwards())


def test_an_old_file_stays_where_the_new_one_cannot_be_written(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    broken = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    with torch.no_grad():
        broken[1].weight[0, 0] = torch.nan
    with pytest.raises(
        ValueError, match=r"^weights of 1: the tensor holds NaN, infinity or"
    ):
        save_quantized(path, broken, Scheme())
    with pytest.raises(OSError, match="there is no folder"):
        save_quantized(tmp_path / "none" / "model", nn.Linear(3, 3), Scheme())
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["model"]


class Noted(nn.Linear):
    """Has a state that is no tensor."""

    def get_extra_state(self):
        return {"note": 1}

    def set_extra_state(self, state):
        pass


def without_head(model):
    ranges = calibrate(fold_batch_norm(model), Scheme(symmetric=False), torch.ones(2, 4, 9))
    return {name: each for name, each in ranges.items() if name != "up"}


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (
            lambda p, m: save_quantized(p, m, 4),
            TypeError,
            "scheme is of type int; expected",
        ),
        (
            lambda p, m: save_quantized(p, m, Scheme(), ranges={"up": 1}),
            TypeError,
            "ranges are not what calibrate returns: name -> QParams",
        ),
        (
            lambda p, m: save_quantized(p, m, Scheme(), ranges=without_head(m)),
            ValueError,
            "calibration never reached up, so its input has no range; name",
        ),
        (
            lambda p, m: save_quantized(p, m, Scheme(), "up"),
            ValueError,
            "keep_float is 'up'; expected a tuple of names: ('up',)",
        ),
        (
            lambda p, m: save_quantized(p, m, Scheme(), ["nose"]),
            ValueError,
            "keep_float names 'nose', which is not a layer; there are down, up",
        ),
        (
            lambda p, m: save_quantized(p, Noted(2, 2), Scheme()),
            ValueError,
            "_extra_state is no plain tensor with values: dict",
        ),
    ],
)
def test_what_cannot_be_saved_is_said_and_nothing_written(call, kind, says, tmp_path):
    with pytest.raises(kind) as caught:
        call(tmp_path / "model", made("upwards")[0])
    assert str(caught.value).startswith(says)
    assert not os.listdir(tmp_path)


# Files that are not what they should be


@pytest.fixture
def saved(tmp_path):
    """A file of the upwards model, and how to write it with something changed."""
    path = tmp_path / "model"
    save_quantized(path, made("upwards")[0], Scheme(3, False, "group", 5))

    def change(tensors=None, **fields):
        with safetensors.safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = json.loads(file.metadata()[KEY]) | fields
        if tensors or fields:  # or it would be the checksum that is wrong
            del header["crc32"]
        found |= tensors or {}
        found = {name: tensor for name, tensor in found.items() if tensor is not None}
        safetensors.torch.save_file(found, path, {KEY: json.dumps(header)})
        return path

    return change


def refused(path, model, says):
    with pytest.raises(ValueError) as caught:
        load_quantized(path, model)
    assert str(caught.value).startswith(f"{path} {says}"), caught.value


U8 = torch.uint8


@pytest.mark.parametrize(
    ("tensors", "fields", "says"),
    [
        ({}, {"version": 2}, "has version 2; this code reads 1"),
        (
            {},
            {"scheme": {"bits": 99}},
            "has a damaged header: bits is 99; expected a whole",
        ),
        ({}, {"scheme": {"digits": 9}}, "has a damaged header: "),
        ({}, {"weights": 7}, "has a damaged header: "),
        ({}, {"weights": []}, "has a damaged header: "),
        (
            {"down.weight": torch.zeros(26, dtype=U8)},
            {},
            "has a damaged weight down.weight: 72 integers of 3 bits take 27 bytes in one "
            "row of torch.uint8; found torch.uint8 of shape (26,)",
        ),
        ({"down.weight": None}, {}, "has a damaged weight down.weight: ''"),
        ({"up.weight.scale": None}, {}, "has a damaged weight up.weight: '.scale'"),
        (
            {"up.weight.zero_point": None},
            {},
            "has a damaged weight up.weight: '.zero_point'",
        ),
        (
            {"down.weight.scale": torch.ones(6, 2)},
            {},
            "has a damaged weight down.weight: it has (6, 2) scales; expected (6, 3)",
        ),
        (
            {"down.weight.scale": torch.full((6, 3), torch.inf)},
            {},
            "has a damaged weight down.weight: not all of its values are finite",
        ),
        (
            {"down.bias": None},
            {},
            "is of another model: Error(s) in loading state_dict for Upwards:\n"
            '\tMissing key(s) in state_dict: "down.bias".',
        ),
        (
            {"more": torch.ones(1)},
            {},
            "is of another model: Error(s) in loading state_dict for Upwards:\n"
            '\tUnexpected key(s) in state_dict: "more".',
        ),
        (
            {"down.bias": torch.ones(9)},
            {},
            "is of another model: Error(s) in loading state_dict for Upwards:\n"
            "\tsize mismatch for down.bias",
        ),
        (
            {"steps": torch.ones(3)},
            {},
            "is of another model: steps is torch.float32 there and torch.int64 here",
        ),
        (
            {},
            {"keep_float": ["up"]},
            "is of another model: up.weight is quantized in one of them alone",
        ),
        ({}, {"keep_float": ["nose"]}, "is of another model: keep_float names 'nose'"),
        (
            {},
            {"ranges": {"nose": [1.0, 0, 0, 7, "integer"]}},
            "is of another model: calibr",
        ),
    ],
)
def test_a_changed_file_is_refused_by_what_is_wrong(saved, tensors, fields, says):
    refused(saved(tensors, **fields), Upwards(), says)


def test_each_changed_bit_is_found(saved):
    path = saved()
    whole = path.read_bytes()
    for place in range(len(whole) - 40, len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        refused(path, Upwards(), "has a damaged header: its tensors are not those that we")


def test_a_file_without_a_checksum_is_read(saved):
    model, inputs = made("upwards")
    path = saved(scheme=asdict(Scheme(3, False, "group", 5)))
    expected = answers(quantize_model(model, Scheme(3, False, "group", 5)), inputs)
    assert torch.equal(answers(load_quantized(path, Upwards()), inputs), expected)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello, world" * 9)
    refused(path, Upwards(), "is damaged or no safetensors file: ")
    safetensors.torch.save_file({"a": torch.ones(2)}, path)
    refused(path, Upwards(), "is a safetensors file, but not of save_quantized")
    with pytest.raises(
        ValueError, match="is a safetensors file, but not of save_quantized"
    ):
        read_quantized(path)
    with pytest.raises(OSError, match=str(tmp_path)):
        load_quantized(tmp_path, Upwards())


def test_a_file_that_was_cut_is_refused_wherever(saved):
    path = saved()
    whole = path.read_bytes()
    for count in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:count])
        refused(path, Upwards(), "is damaged or no safetensors file: ")


def test_a_model_of_another_class_is_refused(saved):
    refused(
        saved(), nn.Sequential(nn.Linear(3, 3)), "is of another model: 0.weight is quan"
    )
    narrow = Upwards()
    narrow.down = nn.Conv1d(2, 6, 3)
    refused(saved(), narrow, "is of another model: Error(s) in loading state_dict for Upw")


def test_what_is_tied_must_be_tied_in_both(tmp_path):
    path, (tied, _) = tmp_path / "model", made("encoder")
    apart = copy.deepcopy(tied)
    apart.head.weight = nn.Parameter(tied.words.weight.detach() + 1)
    says = "is of another model: head.weight is"
    save_quantized(path, tied, Scheme())
    refused(path, apart, says)
    save_quantized(path, apart, Scheme())
    refused(path, tied, says)
    kept = ["words", "head", "layer.linear1"]  # tied in float
    save_quantized(path, tied, Scheme(), kept)
    assert "head.weight" not in safetensors.torch.load_file(path)
    loaded, other = load_quantized(path, made("encoder", 1)[0]), made("encoder", 2)[0]
    assert loaded.head.weight is loaded.words.weight
    assert torch.equal(loaded.head.weight, tied.head.weight)
    other.head.weight = nn.Parameter(other.head.weight.detach().clone())
    refused(path, other, "is of another model: head.weight is tied to another tensor in")
    save_quantized(path, other, Scheme(), kept)
    refused(path, tied, "is of another model: head.weight is tied to another tensor in one")


def test_a_model_on_meta_has_nowhere_to_load_to(saved):
    with torch.device("meta"):
        model = Upwards()
    with pytest.raises(ValueError, match="steps is no plain tensor with values: Tensor"):
        load_quantized(saved(), model)


def test_plain_numbers_without_this_library(saved):
    """What a reader in another language does: bits, scales, zero points."""
    tensors = safetensors.torch.load_file(saved())
    number = int.from_bytes(bytes(tensors["down.weight"].tolist()), "little")
    zeros = int.from_bytes(bytes(tensors["down.weight.zero_point"].tolist()), "little")
    found = []
    for place in range(72):
        group = place // 12 * 3 + place % 12 // 5  # 12 weights a channel: 5, 5 and 2
        integer, zero = number >> 3 * place & 7, zeros >> 3 * group & 7
        found.append((integer - zero) * tensors["down.weight.scale"].flatten()[group])
    expected = quantize_model(made("upwards")[0], Scheme(3, False, "group", 5)).down.weight
    assert torch.equal(torch.stack(found).reshape(6, 4, 3), expected)


def test_ranges_are_those_of_calibrate_bit_for_bit(tmp_path):
    model, inputs = made("upwards")
    for scheme in (Scheme(5, False), Scheme(8, format="e4m3")):
        ranges = calibrate(fold_batch_norm(model), scheme, inputs)
        assert all(isinstance(each, QParams) for each in ranges.values())
        save_quantized(tmp_path / "model", model, Scheme(), ranges=ranges)
        loaded = load_quantized(tmp_path / "model", Upwards())
        expected = quantize_model(model, Scheme(), scheme, ranges)
        assert torch.equal(answers(loaded, inputs), answers(expected, inputs))
        assert not torch.equal(
            answers(loaded, inputs), answers(quantize_model(model, Scheme()), inputs)
        )

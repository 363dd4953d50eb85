"""Programs: their weights come out, and none of their code runs."""

import enum
import io
import json
import zipfile

import pytest
import torch

from helpers.model_files.inspecting import inspect_file
from tests.model_files import torch_samples as samples


def inspected(tmp_path, data: bytes, name="a.pt"):
    (tmp_path / name).write_bytes(data)
    return inspect_file(tmp_path / name, verify=True)


def state_of(report) -> dict:
    found = {"__name__": "copied"}
    exec("\n".join(report.opens), found)
    return found["state"]


def equal(state) -> bool:
    sound = samples.net().state_dict()
    return state.keys() == sound.keys() and all(
        torch.equal(value, sound[name]) for name, value in state.items()
    )


def test_torchscript(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.jit, "load", None)  # its lines do without
    report = inspected(tmp_path, samples.scripted())
    assert report.is_ == "a TorchScript program"
    assert (report.safety, report.structure) == ("unknown", "whole")
    assert "it is a program: its author's code runs" in report.safety_why
    assert {entry.name for entry in report.entries} == set(samples.net().state_dict())
    assert not any(name.startswith("__torch__") for name in report.names)
    assert equal(state_of(report))


def test_torchscript_with_a_dangerous_pickle(tmp_path):
    import pickle

    evil = pickle.dumps(samples.Runs(), 2)
    data = samples.repacked(
        samples.scripted(), lambda n, d: evil if n.endswith("/data.pkl") else d
    )
    report = inspected(tmp_path, data)
    assert (report.safety, report.opens) == ("unsafe", [])


def test_exported(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.export, "load", None)
    report = inspected(tmp_path, samples.exported(), "a.pt2")
    assert report.is_ == "a program of torch.export (.pt2)"
    assert (report.safety, report.structure) == ("unknown", "whole")
    assert {(e.name, e.shape, e.dtype, e.bytes) for e in report.entries} >= {
        ("0.weight", (4, 3), "float32", 48),
        ("1.num_batches_tracked", (), "int64", 8),
    }
    assert equal(state_of(report))


@pytest.mark.parametrize("make", [samples.scripted, samples.exported])
def test_whatever_a_file_is_called_its_lines_open_it(make, tmp_path):
    report = inspected(tmp_path, make(), 'it\'s "odd"\n{}.pt')
    assert equal(state_of(report))
    assert "weights_only=False" not in "".join(report.opens)


def test_exported_with_weights_missing_or_as_a_pickle(tmp_path):
    data = samples.repacked(
        samples.exported(), lambda n, d: None if n.endswith("weight_0") else d
    )
    report = inspected(tmp_path, data, "a.pt2")
    assert "the bytes of '0.weight' are missing" in report.structure_why

    def as_pickle(name, content):
        if not name.endswith("model_weights_config.json"):
            return samples.saved(samples.Runs()) if name.endswith("weight_0") else content
        config = json.loads(content)
        config["config"]["0.weight"]["use_pickle"] = True
        return json.dumps(config)

    # torch.export.load opens these with weights_only=False.
    report = inspected(tmp_path, samples.repacked(samples.exported(), as_pickle), "a.pt2")
    assert report.safety == "unsafe"
    assert report.opens == []


def test_a_list_of_millions_of_parts_is_unsafe(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.writestr("a/archive_format", "pt2")
        config = b'{"config": {"w": [' + b"[]," * 2_100_000 + b"0]}}"
        archive.writestr("a/data/weights/model_weights_config.json", config)
    report = inspect_file(tmp_path / "a.pt2")
    assert (report.safety, report.opens) == ("unsafe", [])
    assert report.safety_why == "its JSON lists more than any model's"


def test_numbers_of_dtypes_are_torchs():
    from torch._export.serde.schema import ScalarType

    from helpers.model_files.torch_programs import _DTYPES

    short = {"byte": "uint8", "char": "int8", "short": "int16", "int": "int32",
             "long": "int64", "half": "float16", "float": "float32", "double": "float64",
             "complexhalf": "complex32", "complexfloat": "complex64",
             "complexdouble": "complex128", "unknown": "?"}  # fmt: skip
    for kind in ScalarType:
        name = kind.name.lower()
        name = short.get(name, name).replace("float8e", "float8_e")
        assert _DTYPES.split()[kind.value] == name


class Colour(enum.Enum):
    RED = 1


class Choice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.colour, self.weight = Colour.RED, torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x + self.weight if self.colour == Colour.RED else x


def quantized():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2))
    return torch.ao.quantization.quantize_dynamic(layers, {torch.nn.Linear})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [Choice, quantized])
def test_a_program_that_torch_does_not_read_gets_no_lines(make, tmp_path):
    torch.jit.save(torch.jit.script(make()), file := io.BytesIO())
    report = inspected(tmp_path, file.getvalue())
    assert (report.structure, report.opens) == ("whole", [])
    assert "such as an Enum or packed weights" in str(report)


class Views(torch.nn.Module):
    def __init__(self):
        super().__init__()
        base = torch.arange(1000.0)
        self.register_buffer("a", base[:4].view(2, 2))
        self.register_buffer("b", base[4:8])

    def forward(self, x):
        return x + self.a.sum() + self.b.sum()


def test_exported_views_have_their_own_bytes(tmp_path):
    torch.export.save(torch.export.export(Views(), (torch.ones(2),)), file := io.BytesIO())
    report = inspected(tmp_path, file.getvalue(), "a.pt2")
    assert {(e.name, e.bytes) for e in report.entries} == {("a", 16), ("b", 16)}
    assert report.held == sum({e.storage: 4000 for e in report.entries}.values())
    assert {e.strides for e in report.entries} <= {(1,), (2, 1)}
    assert any(note.endswith("would be small.") for note in report.notes)

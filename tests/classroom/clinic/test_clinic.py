"""The error clinic: every message is produced for real, recognised, and repaired."""

import copy
import functools
import io
import pickle
import re
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils import prune

from helpers.classroom.clinic import ENTRIES, diagnose, nearest
from helpers.classroom.data.networks import SimpleNet
from helpers.state_dicts import load_matching, remap_keys, strip_prefix
from tests import ROOT

# The rows below read: id of the entry -> what provokes the message, what repairs it.
CASES: dict[str, tuple[Callable, Callable]] = {}
# Without the hardware these cannot be provoked; the text is the one PyTorch has.
ONLY_WITH = {
    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 "
    "and cpu!": "two-devices",
    "Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the "
    "same": "two-devices",
    "Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) should be the "
    "same or input should be a MKLDNN tensor and weight is a dense tensor": "two-devices",
    "Input type (torch.cuda.HalfTensor) and weight type (torch.cuda.FloatTensor) should be "
    "the same": "two-dtypes",
    "Attempting to deserialize object on CUDA device 1 but torch.cuda.device_count() is 1. "
    "Please use torch.load with map_location": "cuda-file",
    "Attempting to deserialize object on MPS device but torch.backends.mps.is_available() "
    "is False.": "cuda-file",
}


def case(id: str):
    """Register a class with `provoke` and `repair` under the id of an entry."""

    def register(some: type) -> type:
        CASES[id] = some.provoke, some.repair
        return some

    return register


def load(data: object, **options):
    """Save to memory and load again."""
    file = io.BytesIO()
    torch.save(data, file)
    file.seek(0)
    return torch.load(file, **{"weights_only": True, **options})


def prefixed(prefix: str) -> dict:
    return {prefix + name: tensor for name, tensor in SimpleNet().state_dict().items()}


def right(model: nn.Module) -> bool:
    """Do the model's weights compute something finite?"""
    return bool(model(torch.ones(2, 10)).isfinite().all())


# ---- State dicts


@case("optimizer-for-model")
class _:
    def provoke(folder):
        model = SimpleNet()
        checkpoint = {"model": model.state_dict(), "epoch": 3, "optimizer": {}}
        SimpleNet().load_state_dict(load(checkpoint))

    def repair(folder):
        model = SimpleNet()
        checkpoint = {"model": model.state_dict(), "epoch": 3, "optimizer": {}}
        SimpleNet().load_state_dict(load(checkpoint)["model"])


@case("prefix-parallel")
class _:
    def provoke(folder):
        SimpleNet().load_state_dict(prefixed("module."))

    def repair(folder):
        SimpleNet().load_state_dict(strip_prefix(prefixed("module."), "module."))


@case("prefix-compiled")
class _:
    def provoke(folder):
        SimpleNet().load_state_dict(prefixed("module._orig_mod."))

    def repair(folder):
        # Compiled; compiled inside DataParallel; and one layer compiled on its own.
        for prefix in ("_orig_mod.", "module._orig_mod."):
            rules = [(r"^module\.|_orig_mod\.", "")]
            SimpleNet().load_state_dict(remap_keys(prefixed(prefix), rules))
        model = SimpleNet()
        model.hidden = torch.compile(model.hidden)
        SimpleNet().load_state_dict(remap_keys(model.state_dict(), rules))


@case("pruned-with-masks")
class _:
    def provoke(folder):
        model = SimpleNet()
        prune.l1_unstructured(model.hidden, "weight", amount=0.5)
        SimpleNet().load_state_dict(model.state_dict())

    def repair(folder):
        model = SimpleNet()
        prune.l1_unstructured(model.hidden, "weight", amount=0.5)
        prune.remove(model.hidden, "weight")
        SimpleNet().load_state_dict(model.state_dict())


@case("size-mismatch")
class _:
    def provoke(folder):
        SimpleNet(hidden=32).load_state_dict(SimpleNet().state_dict(), strict=False)

    def repair(folder):
        wider, old = SimpleNet(out_features=5), SimpleNet()
        load_matching(wider, old.state_dict())
        assert torch.equal(wider.hidden.weight, old.hidden.weight)


@case("missing-keys")
class _:
    def provoke(folder):
        state_dict = SimpleNet().state_dict()
        del state_dict["output.bias"]
        SimpleNet().load_state_dict(state_dict)

    def repair(folder):
        state_dict = SimpleNet().state_dict()
        assert not SimpleNet().load_state_dict(state_dict).missing_keys


@case("unexpected-keys")
class _:
    def provoke(folder):
        state_dict = SimpleNet().state_dict() | {"extra.weight": torch.ones(1)}
        SimpleNet().load_state_dict(state_dict)

    def repair(folder):
        state_dict = SimpleNet().state_dict() | {"extra.weight": torch.ones(1)}
        load_matching(SimpleNet(), state_dict)


@case("not-a-state-dict")
class _:
    def provoke(folder):
        SimpleNet().load_state_dict(SimpleNet())

    def repair(folder):
        SimpleNet().load_state_dict(SimpleNet().state_dict())


@case("state-dict-as-model")
class _:
    def provoke(folder):
        load(SimpleNet().state_dict()).eval()

    def repair(folder):
        model = SimpleNet()
        model.load_state_dict(load(SimpleNet().state_dict()))
        assert right(model.eval())


@case("no-memory-behind")
class _:
    def provoke(folder):
        with torch.device("meta"):
            model = SimpleNet()
        model.to("cpu")

    def repair(folder):
        with torch.device("meta"):
            model = SimpleNet()
        model.load_state_dict(SimpleNet().state_dict(), assign=True)
        assert right(model.to("cpu"))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
        self.two.weight = self.one.weight


@case("shared-in-safetensors")
class _:
    def provoke(folder):
        safetensors.torch.save_file(Tied().state_dict(), folder / "tied.safetensors")

    def repair(folder):
        safetensors.torch.save_model(Tied(), folder / "tied.safetensors")
        safetensors.torch.load_model(Tied(), folder / "tied.safetensors")


# ---- Optimizers and training


@case("optimizer-group-size")
class _:
    def provoke(folder):
        state = torch.optim.AdamW(SimpleNet().parameters()).state_dict()
        torch.optim.AdamW(nn.Linear(2, 2, bias=False).parameters()).load_state_dict(state)

    def repair(folder):
        state = torch.optim.AdamW(SimpleNet().parameters()).state_dict()
        torch.optim.AdamW(SimpleNet().parameters()).load_state_dict(state)


def groups() -> list[dict]:
    model = SimpleNet()
    return [{"params": model.hidden.parameters()}, {"params": model.output.parameters()}]


@case("optimizer-group-count")
class _:
    def provoke(folder):
        state = torch.optim.AdamW(groups()).state_dict()
        torch.optim.AdamW(SimpleNet().parameters()).load_state_dict(state)

    def repair(folder):
        state = torch.optim.AdamW(groups()).state_dict()
        torch.optim.AdamW(groups()).load_state_dict(state)


def stepped() -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model in float64, whose optimizer has taken a step in float32."""
    model = SimpleNet()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 10)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    model.double()(torch.ones(2, 10).double()).sum().backward()
    return model, optimizer


@case("optimizer-stayed-behind")
class _:
    def provoke(folder):
        stepped()[1].step()

    def repair(folder):
        model, optimizer = stepped()
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.step()
        assert model.output.weight.isfinite().all()


@case("one-value-per-channel")
class _:
    def provoke(folder):
        nn.BatchNorm1d(3).train()(torch.ones(1, 3))

    def repair(folder):
        assert nn.BatchNorm1d(3).eval()(torch.ones(1, 3)).shape == (1, 3)


# ---- torch.load


@case("weights-only-numpy")
class _:
    def provoke(folder):
        load({"loss": np.float64(0.5)})

    def repair(folder):
        assert load({"loss": float(np.float64(0.5))}) == {"loss": 0.5}


@case("weights-only-version")
class _:
    def provoke(folder):
        load({"torch": torch.__version__})

    def repair(folder):
        assert load({"torch": str(torch.__version__)})["torch"] == torch.__version__


@case("weights-only-time")
class _:
    def provoke(folder):
        load({"saved": datetime(2026, 1, 2)})

    def repair(folder):
        assert load({"saved": datetime(2026, 1, 2).isoformat()})["saved"] > "2026"


@case("weights-only-operand")
class _:
    def provoke(folder):
        (folder / "page.pt").write_text("<!DOCTYPE html>")
        torch.load(folder / "page.pt", weights_only=True)

    def repair(folder):
        (folder / "page.pt").write_text("<!DOCTYPE html>")
        assert (folder / "page.pt").read_bytes()[:80].startswith(b"<!DOCTYPE")


@case("torchscript-file")
class _:
    def provoke(folder):
        torch.load(scripted(folder), weights_only=True)

    def repair(folder):
        program = torch.jit.load(scripted(folder))
        SimpleNet().load_state_dict(program.state_dict())


def scripted(folder: Path) -> Path:
    program = torch.jit.trace(SimpleNet(), torch.ones(2, 10))
    torch.jit.save(program, folder / "program.pt")
    return folder / "program.pt"


@case("weights-only")
class _:
    def provoke(folder):
        load(SimpleNet())

    def repair(folder):
        SimpleNet().load_state_dict(load(SimpleNet().state_dict()))


@case("cuda-file")
class _:
    def provoke(folder):
        if torch.cuda.is_available():
            pytest.skip("this machine has the GPU that the message misses")
        load({"weight": torch.ones(2)}, map_location="cuda:0")

    def repair(folder):
        assert (
            load({"weight": torch.ones(2)}, map_location="cpu")["weight"].device.type
            == "cpu"
        )


def pickled_elsewhere() -> tuple[bytes, types.ModuleType]:
    """A pickled object, and the module in which its class stands."""
    module = types.ModuleType("my_old_models")
    module.Net = type("Net", (), {"__module__": "my_old_models"})
    sys.modules["my_old_models"] = module
    try:
        return pickle.dumps(module.Net()), module
    finally:
        del sys.modules["my_old_models"]


@case("class-moved")
class _:
    def provoke(folder):
        data, module = pickled_elsewhere()
        del module.Net
        sys.modules["my_old_models"] = module
        try:
            pickle.loads(data)
        finally:
            del sys.modules["my_old_models"]

    def repair(folder):
        data, module = pickled_elsewhere()
        module.Net = SimpleNet
        sys.modules["my_old_models"] = module
        try:
            assert isinstance(pickle.loads(data), SimpleNet)
        finally:
            del sys.modules["my_old_models"]


@case("not-installed")
class _:
    def provoke(folder):
        # A Python without its packages, as the kernel of another environment is.
        _import("numpy", "-I", "-S")

    def repair(folder):
        _import("numpy")  # the Python that has it


def _import(name: str, *options: str) -> None:
    command = [sys.executable, *options, "-c", f"import {name}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ModuleNotFoundError(done.stderr.strip().splitlines()[-1])


@case("module-moved")
class _:
    def provoke(folder):
        pickle.loads(pickled_elsewhere()[0])

    def repair(folder):
        data, module = pickled_elsewhere()
        sys.modules["my_old_models"] = module
        try:
            assert isinstance(pickle.loads(data), module.Net)
        finally:
            del sys.modules["my_old_models"]


@case("cannot-pickle")
class _:
    def provoke(folder):
        torch.save({"activation": lambda x: x}, io.BytesIO())

    def repair(folder):
        assert load(SimpleNet().state_dict())


def cut_off(folder: Path) -> Path:
    path = folder / "cut.pt"
    torch.save(SimpleNet().state_dict(), path)
    path.write_bytes(path.read_bytes()[:1000])
    return path


@case("not-a-zip")
class _:
    def provoke(folder):
        torch.load(cut_off(folder), weights_only=True)

    def repair(folder):
        torch.save(SimpleNet().state_dict(), cut_off(folder))
        assert torch.load(folder / "cut.pt", weights_only=True)


@case("empty-file")
class _:
    def provoke(folder):
        (folder / "empty.pt").touch()
        torch.load(folder / "empty.pt", weights_only=True)

    def repair(folder):
        torch.save(SimpleNet().state_dict(), folder / "empty.pt")
        assert torch.load(folder / "empty.pt", weights_only=True)


@case("no-folder")
class _:
    def provoke(folder):
        torch.save({}, folder / "runs" / "model.pt")

    def repair(folder):
        path = folder / "runs" / "model.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({}, path)


@case("safetensors-damaged")
class _:
    def provoke(folder):
        torch.save({"weight": torch.ones(2)}, folder / "model.safetensors")
        safetensors.torch.load_file(folder / "model.safetensors")

    def repair(folder):
        torch.save({"weight": torch.ones(2)}, folder / "model.safetensors")
        # torch.load leaves a file of this name to safetensors, whatever is in it.
        path = folder / "model.safetensors"
        assert torch.load(path.rename(path.with_suffix(".pt")), weights_only=True)


# ---- Devices and dtypes


@case("two-devices")
class _:
    def provoke(folder):
        # The meta device has the same check, and other words for it.
        torch.ones(3, device="meta") + torch.ones(3)

    def repair(folder):
        model = nn.Linear(3, 3, device="meta")
        images = torch.ones(2, 3).to(next(model.parameters()).device)
        assert model(images).device.type == "meta"


@case("no-such-device")
class _:
    def provoke(folder):
        missing = "mps" if torch.cuda.is_available() else "cuda"
        torch.ones(2).to(missing)

    def repair(folder):
        device = torch.accelerator.current_accelerator() or torch.device("cpu")
        assert torch.ones(2).to(device).sum() == 2


@case("labels-not-whole")
class _:
    def provoke(folder):
        nn.functional.cross_entropy(torch.zeros(3, 10), torch.ones(3))

    def repair(folder):
        labels = torch.ones(3).long()
        assert nn.functional.cross_entropy(torch.zeros(3, 10), labels) > 0


@case("two-dtypes")
class _:
    def provoke(folder):
        nn.Linear(3, 3).half()(torch.ones(2, 3))

    def repair(folder):
        model = nn.Linear(3, 3).double()
        assert model(torch.ones(2, 3).to(next(model.parameters()).dtype)).shape == (2, 3)


@case("two-shapes")
class _:
    def provoke(folder):
        nn.Linear(64, 10)(torch.ones(2, 1, 8, 8))

    def repair(folder):
        assert nn.Linear(64, 10)(torch.ones(2, 1, 8, 8).flatten(1)).shape == (2, 10)


# ---- ONNX


class Branch(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return 2 * x
        return x


class Where(nn.Module):
    def forward(self, x):
        return torch.where(x.sum() > 0, 2 * x, x)


def exported(folder: Path, model: nn.Module, *, dynamic=False, external=False) -> Path:
    path = folder / "model.onnx"
    shapes = ({0: torch.export.Dim.DYNAMIC},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (torch.ones(2, 10),),
            path,
            input_names=["input"],
            dynamic_shapes=shapes,
            external_data=external,
            verbose=False,
        )
    return path


@functools.cache
def simple_bytes(dynamic: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return exported(Path(folder), SimpleNet(), dynamic=dynamic).read_bytes()


def simple(folder: Path, *, dynamic=False) -> Path:
    """The file of a SimpleNet: exported once, written for each test."""
    path = folder / "model.onnx"
    path.write_bytes(simple_bytes(dynamic))
    return path


def ask(path: Path, images: np.ndarray, name: str = "input"):
    return onnxruntime.InferenceSession(path).run(None, {name: images})[0]


def images(count: int = 2) -> np.ndarray:
    return np.ones((count, 10), np.float32)


@case("data-dependent")
class _:
    def provoke(folder):
        exported(folder, Branch())

    def repair(folder):
        assert ask(exported(folder, Where()), images())[0, 0] == 2


@case("fixed-shape")
class _:
    def provoke(folder):
        ask(simple(folder), images(3))

    def repair(folder):
        assert ask(simple(folder, dynamic=True), images(3)).shape == (3, 2)


@case("fixed-picture")
class _:
    def provoke(folder):
        ask(simple(folder, dynamic=True), images()[:, :7])

    def repair(folder):
        path = simple(folder, dynamic=True)
        [wanted] = onnxruntime.InferenceSession(path).get_inputs()
        assert wanted.shape[1] == 10 and ask(path, images()).shape == (2, 2)


@case("wrong-rank")
class _:
    def provoke(folder):
        ask(simple(folder, dynamic=True), images()[0])

    def repair(folder):
        assert ask(simple(folder, dynamic=True), images()[0][None]).size == 2


@case("double-input")
class _:
    def provoke(folder):
        ask(simple(folder), images().astype("float64"))

    def repair(folder):
        ask(simple(folder), images().astype("float64").astype("float32"))


@case("input-name")
class _:
    def provoke(folder):
        ask(simple(folder), images(), name="x")

    def repair(folder):
        path = simple(folder)
        name = onnxruntime.InferenceSession(path).get_inputs()[0].name
        ask(path, images(), name)


@case("not-onnx")
class _:
    def provoke(folder):
        (folder / "model.onnx").write_text("hello")
        onnxruntime.InferenceSession(folder / "model.onnx")

    def repair(folder):
        ask(simple(folder), images())


@case("external-data")
class _:
    def provoke(folder):
        path = exported(folder, SimpleNet(hidden=300), external=True)
        path.with_name("model.onnx.data").unlink()
        onnxruntime.InferenceSession(path)

    def repair(folder):
        ask(exported(folder, SimpleNet(hidden=300), external=False), images())


# ---- Quantization and TorchScript: warnings


@case("old-quantization")
class _:
    def provoke(folder):
        torch.ao.quantization.quantize_dynamic(SimpleNet())

    def repair(folder):
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        model = SimpleNet()
        quantize_(model, Int8WeightOnlyConfig())
        assert right(model)


@case("old-torchscript")
class _:
    def provoke(folder):
        torch.jit.trace(SimpleNet(), torch.ones(2, 10))

    def repair(folder):
        program = torch.export.export(SimpleNet(), (torch.ones(2, 10),))
        torch.export.save(program, folder / "model.pt2")
        assert right(torch.export.load(folder / "model.pt2").module())


# ---- Tensors


@case("needs-detach")
class _:
    def provoke(folder):
        SimpleNet()(torch.ones(2, 10)).numpy()

    def repair(folder):
        assert SimpleNet()(torch.ones(2, 10)).detach().numpy().shape == (2, 2)


@case("no-history")
class _:
    def provoke(folder):
        SimpleNet().requires_grad_(False)(torch.ones(2, 10)).sum().backward()

    def repair(folder):
        model = SimpleNet().requires_grad_(False)
        model.requires_grad_(True)(torch.ones(2, 10)).sum().backward()


@case("copy-of-a-result")
class _:
    def provoke(folder):
        copy.deepcopy(SimpleNet()(torch.ones(2, 10)))

    def repair(folder):
        copy.deepcopy(SimpleNet()(torch.ones(2, 10)).detach())


# ---- The tests

each_id = pytest.mark.parametrize("id", [entry.id for entry in ENTRIES])


@functools.cache
def provoked(id: str) -> tuple[Exception | None, str]:
    """What is raised, or None; and what a learner would paste, warnings if nothing is.

    The exports take seconds: each error is made once, for this file and test_pasted.py.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        try:
            CASES[id][0](Path(folder))
        except Exception as error:
            return error, f"{type(error).__name__}: {error}"
    return None, "\n".join(f"{w.category.__name__}: {w.message}" for w in warned)


def test_at_least_twenty_messages_and_no_id_twice():
    ids = [entry.id for entry in ENTRIES]
    assert len(ids) >= 20 and len(set(ids)) == len(ids)
    assert set(CASES) == set(ids)


@each_id
def test_the_real_message_is_recognised_before_all_others(id):
    _, text = provoked(id)
    assert [found.id for found in diagnose(text)[:1]] == [id], text


@each_id
def test_what_repairs_it_does(id, tmp_path):
    CASES[id][1](tmp_path)


@pytest.mark.parametrize("text", ONLY_WITH)
def test_the_words_that_need_other_hardware_are_known(text):
    assert [found.id for found in diagnose(text)] == [ONLY_WITH[text]]


@each_id
def test_each_entry_is_whole(id):
    [entry] = [entry for entry in ENTRIES if entry.id == id]
    assert entry.meaning.endswith(".") and len(entry.meaning) < 200
    assert "\n" not in entry.fix and len(entry.fix) < 92


def test_a_whole_traceback_with_colours_and_broken_lines_is_searched():
    text = (
        'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n'
        "\x1b[31mRuntimeError\x1b[0m: Error(s) in loading state_dict for Net:\n"
        '\tUnexpected key(s)\n  in state_dict: "module.fc.weight".'
    )
    assert diagnose(text)[0].id == "prefix-parallel"


def test_a_specific_meaning_comes_before_a_general_one():
    text = 'Unexpected key(s) in state_dict: "module.fc.weight"'
    assert [found.id for found in diagnose(text)] == ["prefix-parallel", "unexpected-keys"]


@pytest.mark.parametrize(
    "text", ["", "   ", "hello", "KeyError: 'a'", "ZeroDivisionError: division by zero"]
)
def test_an_unknown_message_has_no_diagnosis(text):
    assert diagnose(text) == []


def test_the_nearest_entry_is_offered_for_an_unknown_message():
    assert nearest("tensors on different device than expected").id == "two-devices"
    assert nearest("some keys are missing in the state_dict").id == "missing-keys"


@each_id
def test_a_message_with_other_names_and_numbers_is_found(id):
    _, text = provoked(id)
    for own, other in (
        (r"SimpleNet|\bNet\b", "Backbone"),
        (r"\b(weight|bias)\b", "gain"),
        (r"\b\d+\b", "97"),
        (r"/[\w./-]+", "/data/run/last.bin"),
    ):
        text = re.sub(own, other, text)
    found = diagnose(text) or [nearest(text)]
    # The number of an index tells the two of fixed- apart.
    assert found[0] is not None, text
    assert found[0].id == id or (id.startswith("fixed-") and found[0].id == "fixed-shape")


def words_of(entry):
    return re.findall(r"\w{3,}", entry.says)


# Of fewer words, one is half of the message; so it is for module-moved.
LONG = [e for e in ENTRIES if len(words_of(e)) >= 4 and e.id != "module-moved"]


@pytest.mark.parametrize("entry", LONG, ids=[entry.id for entry in LONG])
def test_a_message_with_a_wrong_word_in_it_has_its_entry_or_a_sibling_nearest(entry):
    for word in words_of(entry):
        near = nearest(entry.says.replace(word, "xyzzy"))
        assert near is not None and set(near.says.split()) & set(entry.says.split()), word


UNLIKE = (
    "",
    "hello world",
    "x" * 3000,
    "Bonjour, je ne comprends pas pourquoi le fichier ne se charge pas sur mon ordinateur.",
    'File "<stdin>", line 1\n    print("hello"\nSyntaxError: \'(\' was never closed',
    'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n'
    "ZeroDivisionError: division by zero",
    "KeyError: 'labels'",
    "IndexError: list index out of range",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
    "fatal: not a git repository (or any of the parent directories): .git",
    "ERROR: Could not find a version that satisfies the requirement torch==9.9",
    "My model does not load and I do not know what to do, please help me with this file",
    "===== test session starts =====\ncollected 42 items\ntests/test_model.py ....F...\n"
    ">       assert accuracy(model, images) > 0.9\nE       assert 0.85 > 0.9\n"
    "FAILED tests/test_model.py::test_accuracy\n===== 1 failed, 41 passed in 12.34s =====",
)


@pytest.mark.parametrize("text", UNLIKE, ids=lambda text: text[:12] or "nothing")
def test_nothing_is_near_a_text_that_is_no_message_of_these(text):
    assert diagnose(text) == [] and nearest(text) is None


def test_each_notebook_that_is_named_is_there():
    folder = ROOT / "notebooks"
    assert {entry.notebook for entry in ENTRIES} <= {p.name for p in folder.glob("*.ipynb")}

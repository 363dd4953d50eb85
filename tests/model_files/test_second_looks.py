"""What a file is, too, beside what it is read as."""

import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import save

from helpers.model_files import inspect_file
from tests.model_files import torch_samples as samples
from tests.model_files.samples import onnx_model

STATE = samples.net().state_dict()
FIRST = {
    "zip": samples.saved(STATE),
    "pickle": pickle.dumps(STATE),
    "legacy": samples.legacy(STATE),
    "none": b"some words\n",
}
EVIL = samples.saved({"a": samples.Runs()})


@pytest.mark.parametrize("kind", ["zip", "pickle", "legacy", "none"])
def test_an_archive_behind_anything_is_judged(tmp_path, kind):
    path = tmp_path / "a.pt"
    path.write_bytes(FIRST[kind] + EVIL)
    assert inspect_file(path).safety == "unsafe"
    path.write_bytes(pickle.dumps(EVIL))
    assert inspect_file(path).safety == "unsafe"


@pytest.mark.parametrize("suffix", ["safetensors", "onnx", "gguf", "npy"])
def test_an_archive_behind_what_holds_no_code_is_judged(tmp_path, suffix):
    """What finds an archive by its end, as zipfile does, opens that one."""
    evil, path = EVIL, tmp_path / f"a.{suffix}"
    tensor = np.frombuffer(evil, np.uint8)
    contents = {
        "safetensors": save({"w": torch.from_numpy(tensor.copy())}),
        "onnx": onnx_model(w=numpy_helper.from_array(tensor)).SerializeToString(),
        "gguf": b"GGUF\3\0\0\0" + bytes(16) + evil,
    }
    if suffix == "npy":
        np.save(path, tensor)
    else:
        path.write_bytes(contents[suffix])
    report = inspect_file(path)
    assert (report.kind, report.safety, report.opens) == (suffix, "unsafe", [])
    assert report.safety_why == f"it asks for {os.system.__module__}.system"
    path.write_bytes(path.read_bytes().replace(b"PK\5\6", b"PK\5\7"))
    assert inspect_file(path).safety == "safe"
    path.write_bytes(path.read_bytes() + evil)  # whatever else is wrong
    assert inspect_file(path).safety == "unsafe"


FRONTS = "safetensors", "gguf", "onnx"
EVIL_LINES = b"\ncos\nsystem\n(S'echo'\ntR."


def front_of(kind: str, evil: bytes = EVIL_LINES) -> bytes:
    """Return a valid file whose first byte is an instruction that skips to a payload."""
    size = len(evil)
    if kind == "safetensors":  # 0x56, the header's length: text up to the next line
        about = f'{{"w":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}'
        return struct.pack("<Q", 0x56) + about.ljust(0x56).encode() + evil
    if kind == "gguf":
        text = struct.pack("<Q", 1) + b"k" + struct.pack("<IQ", 8, size) + evil
        tensor = struct.pack("<Q", 1) + b"a" + struct.pack("<IQIQ", 1, 0, 24, 0)
        start = b"GGUF" + struct.pack("<IQQ", 3, 0x5600, 1)
        return start + text + tensor * 0x5600 + bytes(32)
    span = [b"\x10\2", b"\x08" + bytes([size]), b"B\1w", b"J" + bytes([size]) + evil]
    tensor = b"".join(span)
    graph = b"*" + bytes([len(tensor)]) + tensor
    return b"(V" + b":" + bytes([len(graph)]) + graph + b"\x08\x08"


@pytest.mark.parametrize("kind", FRONTS)
def test_a_file_that_is_a_pickle_too_is_judged_as_one(tmp_path, kind):
    ran = []
    with pytest.raises(pickle.UnpicklingError, match="seen"):
        unpickler = type("U", (pickle.Unpickler,), {})(io.BytesIO(front_of(kind)))
        unpickler.find_class = lambda *name: ran.append(name) or stop()
        unpickler.load()
    assert ran == [("os", "system")], "or it is no test"
    (tmp_path / "a").write_bytes(front_of(kind))
    report = inspect_file(tmp_path / "a")
    assert (report.kind, report.structure) == (kind, "whole")
    assert (report.safety, report.opens) == ("unsafe", [])
    assert report.safety_why == "it asks for os.system"
    harmless = EVIL_LINES.replace(b"\ncos\n", b"\nc o\n")  # no module's name
    (tmp_path / "a").write_bytes(front_of(kind, harmless))
    assert inspect_file(tmp_path / "a").safety == "safe"


def stop():
    raise pickle.UnpicklingError("seen")


def old_tar(**members: bytes) -> bytes:
    """Return a tar archive whose first header is also a pickle's beginning."""
    packed = b""
    for name, data in {"x": b"", **members}.items():
        info = tarfile.TarInfo(name)
        info.size = len(data)
        header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
        header[257:265] = bytes(8)  # as before there was a mark
        if name == "x":
            rest = sum(512 + -(-len(data) // 512) * 512 for data in members.values())
            begin = b"\x80\2B" + struct.pack("<I", 512 - 7 + rest) + b"A"
            header[: len(begin)] = begin
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        packed += header + data.ljust(-(-len(data) // 512) * 512, b"\0")
    return packed + b"0}."


@pytest.mark.parametrize("evil", [True, False])
def test_a_pickle_that_is_an_old_tar_archive_too_is_not_safe(tmp_path, evil):
    path = tmp_path / "a.pkl"
    inside = pickle.dumps(samples.Runs() if evil else 0, 2)
    path.write_bytes(old_tar(storages=inside, tensors=inside, pickle=inside))
    assert pickle.loads(path.read_bytes()) == {} and tarfile.is_tarfile(path)
    report = inspect_file(path)
    assert report.safety == ("unsafe" if evil else "unknown")
    assert "It is a tar archive, of torch before 0.2, too" in str(report)

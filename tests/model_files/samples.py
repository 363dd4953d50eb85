"""A small file of each kind; nothing here is kept in the repository."""

import functools
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import safetensors.torch
import torch
from torch import nn

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 12\n"


def onnx_model(**weights: onnx.TensorProto) -> onnx.ModelProto:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 20]>
        net (float[batch, 4] x) => (float[batch, 4] y) {y = Relu(x)}""")
    for name, tensor in weights.items():
        tensor.name = name
        model.graph.initializer.append(tensor)
    return model


def _saved(save) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        save(file := io.BytesIO())
    return file.getvalue()


def _tar(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    return file.getvalue()


def _zip(**records: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return file.getvalue()


def _pt2() -> bytes:
    # torch.export itself takes seconds.
    return _zip(**{"m/archive_format": b"pt2", "m/models/model.json": b"{}"})


def empties(count: int) -> io.BytesIO:
    """Return an archive of many empty records, quickly."""
    entry = b"PK\1\2\x14\0\x14\0" + bytes(20) + b"\6\0" + bytes(12)
    local = b"PK\3\4\x14\0" + bytes(20) + b"\6\0\0\0"
    names = [f"{number:06x}".encode() for number in range(count)]
    at = [struct.pack("<I", 36 * number) for number in range(count)]
    directory = b"".join(map(b"".join, zip([entry] * count, at, names, strict=True)))
    data = b"".join(local + name for name in names) + directory
    end = struct.pack("<3Q", count, len(directory), 36 * count)
    data += b"PK\6\6" + struct.pack("<Q2H2LQ", 44, 45, 45, 0, 0, count) + end
    data += b"PK\6\7" + struct.pack("<LQL", 0, len(data) - 56, 1)
    return io.BytesIO(data + b"PK\5\6" + b"\0" * 4 + b"\xff" * 12 + b"\0\0")


@functools.cache
def contents() -> dict[str, tuple[str, bytes]]:
    """Return what each file is -> its kind and its bytes."""
    net = nn.Linear(4, 4)
    tensors = {"weight": torch.ones(2, 3), "half": torch.ones(4, dtype=torch.bfloat16)}
    pt = _saved(lambda file: torch.save(tensors, file))
    legacy = _saved(
        lambda file: torch.save(tensors, file, _use_new_zipfile_serialization=False)
    )
    index = {"metadata": {"total_size": 24}, "weight_map": {"w": "m-1.safetensors"}}
    npz = _saved(lambda file: np.savez(file, a=np.ones((2, 3), "f4")))
    npy = _saved(lambda file: np.save(file, np.ones(3)))
    tensor = onnx.numpy_helper.from_array(np.ones((2, 2), "f4"))
    model = onnx_model(w=tensor).SerializeToString()
    return {
        "torch zip": ("torch zip", pt),
        "whole model": ("torch zip", _saved(lambda file: torch.save(net, file))),
        "program": (
            "torchscript",
            _saved(lambda f: torch.jit.save(torch.jit.script(net), f)),
        ),
        "exported program": ("pt2", _pt2()),
        "package": ("torch.package", _zip(**{"p/.data/extern_modules": b"os"})),
        "plain zip": ("zip", _zip(**{"readme.txt": b"hello"})),
        "empty zip": ("zip", _zip()),
        "keras": ("keras", _zip(**{"config.json": b"{}", "model.weights.h5": b"h"})),
        "cut zip": ("cut zip", pt[: len(pt) // 2]),
        "legacy": ("legacy torch", legacy),
        "tar": ("tar", _tar("model.pt")),
        "legacy tar": ("legacy tar", _tar("sys_info")),
        "pickle": ("pickle", pickle.dumps({"a": 1})),
        "pickle of protocol 0": ("pickle", pickle.dumps({"a": [1, 2]}, protocol=0)),
        "pickle of protocol 1": ("pickle", pickle.dumps({"a": [1, 2]}, protocol=1)),
        "global alone": ("pickle", b"cos\nsystem\n(S'echo hello'\ntR."),
        "safetensors": ("safetensors", safetensors.torch.save(tensors)),
        "no tensors": ("safetensors", safetensors.torch.save({})),
        "shard index": ("shard index", json.dumps(index, indent=2).encode()),
        "onnx": ("onnx", model),
        "cut onnx": ("onnx", model[:-9]),
        "gguf": ("gguf", b"GGUF\3\0\0\0" + bytes(16)),
        "npy": ("npy", npy),
        "npz": ("npz", npz),
        "hdf5": ("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(40)),
        "gzip": ("packed", gzip.compress(pt)),
        "bzip2": ("packed", b"BZh91AY&SY"),
        "xz": ("packed", b"\xfd7zXZ\0\0\4"),
        "zstd": ("packed", b"\x28\xb5\x2f\xfd\x24\0"),
        "rar": ("packed", b"Rar!\x1a\7\1\0"),
        "lz4": ("packed", b"\4\x22\x4d\x18\x64\x40\xa7"),
        "lzma": ("packed", lzma.compress(pt, lzma.FORMAT_ALONE)),
        "7z": ("packed", b"7z\xbc\xaf\x27\x1c\0\4"),
        "parquet": ("other", b"PAR1\x15\4"),
        "redirected": ("utf-16", LFS.decode().encode("utf-16")),
        "turned text": ("utf-16", b"\xfe\xff" + "Größe\n".encode("utf-16-be")),
        "pointer": ("git lfs pointer", LFS),
        "web page": ("web page", b"\n<!DOCTYPE html><title>Quota exceeded</title>"),
        "xml": ("web page", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>"),
        "answer": ("server error", b'{"error": "Repository not found"}'),
        "not found": ("server error", b"TensorEntry not found"),
        "refused": ("server error", b"Access to model x is restricted: Access denied"),
        "configuration": ("json", b'{"architectures": ["BertModel"], "hidden_size": 8}'),
        "text": ("text", b"hello, world\n"),
        "code": ("text", Path(__file__).read_bytes()),
        "text with a point": ("text", b"(see below).\n"),
        "foreign text": ("text", "Gewichte für später".encode()),
        "empty": ("empty", b""),
        "zeros": ("zeros", bytes(100_000)),
        "tflite": ("tflite", b"\x1c\0\0\0TFL3" + bytes(20)),
        "core ml": ("core ml", b"\x08\x09\x12\x02\x0a\x00\xb2\x1f\x00"),
        "executorch": ("executorch", b"\x1c\0\0\0ET12" + bytes(20)),
        "picture": ("picture", b"\x89PNG\r\n\x1a\n"),
        "pdf": ("picture", b"%PDF-1.7\n"),
        "noise": ("unknown", bytes(range(200, 256)) * 4),
    }


FOLDERS = {
    "dcp": (".metadata", "__0_0.distcp"),
    "adapter": ("adapter_config.json", "adapter_model.safetensors"),
    "hub model": ("config.json", "model.safetensors"),
    "savedmodel": ("saved_model.pb",),
    "unpacked": ("data.pkl", "version"),
    "folder": ("notes.txt",),
}


def folder(place: Path, kind: str) -> Path:
    (path := place / kind).mkdir()
    for name in FOLDERS[kind]:
        (path / name).write_bytes(b"")
    return path

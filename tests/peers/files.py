"""The files that scanners judge side by side: those that run code, and harmless ones.

Left out are bombs and files that lie about sizes; a scanner of pickles promises nothing
about them.
"""

import io
import pickle
import tarfile
import warnings
import zipfile
from argparse import Namespace

import numpy as np
import onnx
import safetensors.torch
import torch

from tests.model_files import samples as kinds
from tests.model_files import torch_samples as samples
from tests.model_files.test_second_looks import FRONTS, front_of, old_tar
from tests.model_files.test_torch_archives import CLEAN, EVIL, P2, WAYS_AROUND
from tests.model_files.torch_samples import Runs, repacked, with_pickle


class Storage:
    """A tensor's storage as `pickle.dump` writes it, with code in its bytes."""

    def __reduce__(self):
        return torch.storage._load_from_bytes, (samples.legacy(Runs()),)


def _numpy(save, *arrays, **named) -> bytes:
    save(file := io.BytesIO(), *arrays, **named)
    return file.getvalue()


def _tar(**members: bytes) -> bytes:
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _with(data: bytes, **records: bytes) -> bytes:
    """Return an archive with more records in it."""
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(file := io.BytesIO(data), "a") as archive,
    ):
        warnings.simplefilter("ignore")  # a name that is there twice
        for name, content in records.items():
            archive.writestr(name, content)
    return file.getvalue()


def _pickle_in_its_place(program: bytes, name: str) -> bytes:
    evil = pickle.dumps(Runs(), 2)
    return repacked(program, lambda n, data: evil if n.endswith(name) else data)


def harmful() -> dict[str, bytes]:
    """Return what each file is called -> its bytes; each holds a call of `os.system`."""
    evil = pickle.dumps(Runs(), 2)
    legacy = samples.legacy({"a": Runs()})
    objects = np.array([Runs()], object)
    call = b"0cos\nsystem\n(S'touch EXECUTED'\ntR."
    begins = {"None": b"N", "True": b"\x88", "a number": b"K\1", "digits": b"I1\n"}
    begins |= {"text": b"S'hello'\n", "bytes": b"C\1a", "an empty tuple": b")"}
    tensor = torch.frombuffer(bytearray(EVIL), dtype=torch.uint8)
    graph = kinds.onnx_model(w=onnx.numpy_helper.from_array(tensor.numpy()))
    popped = P2 + b"X\2\0\0\0osX\1\0\0\0x0q\0X\6\0\0\0systemX\1\0\0\0x0q\1h\0h\1\x93."
    return {
        **{f"{way}.pt": data for way, data in WAYS_AROUND.items()},
        **{f"plain{suffix}": EVIL for suffix in ("", ".safetensors", ".onnx", ".txt")},
        **{f"protocol {k}.pkl": pickle.dumps(Runs(), k) for k in range(6)},
        "bare pickle.bin": evil,
        "a name that is kept, then found.pt": with_pickle(popped),
        "a name twice.pt": _with(EVIL, **{"archive/data.pkl": P2 + b"}."}),
        "a name twice, the other way.pt": _with(CLEAN, **{"archive/data.pkl": evil}),
        "arrays beside it.npz": _with(EVIL, **{"w.npy": _numpy(np.save, np.ones(3))}),
        "keras beside it.keras": _with(
            EVIL, **{"config.json": b"{}", "model.weights.h5": b"h"}
        ),
        "an archive behind a pickle.pt": evil + CLEAN,
        "an archive behind safetensors.pt": kinds.contents()["safetensors"][1] + EVIL,
        "global alone.pkl": kinds.contents()["global alone"][1],
        "two pickles.pkl": pickle.dumps(1) + evil,
        "bytes of a pickled tensor.pkl": pickle.dumps({"a": Storage()}),
        "legacy.pt": legacy,
        "legacy, cut short.pt": legacy[: legacy.rindex(P2)],
        "legacy, its magic number computed.pt": evil + legacy[legacy.index(b".") + 1 :],
        "program.pt": _pickle_in_its_place(samples.scripted(), "/data.pkl"),
        "constants of a program.pt": _pickle_in_its_place(
            samples.scripted(), "/constants.pkl"
        ),
        "old tar.pt": _tar(sys_info=evil, pickle=evil, tensors=evil, storages=evil),
        "array.npy": _numpy(np.save, objects),
        "arrays.npz": _numpy(np.savez, w=np.ones(3), v=objects),
        **{f"{what} before it.pkl": data + call for what, data in begins.items()},
        "an archive behind it.gguf": kinds.contents()["gguf"][1] + EVIL,
        "an archive as a tensor.safetensors": safetensors.torch.save({"w": tensor}),
        "an archive as a tensor.onnx": graph.SerializeToString(),
        "an archive as a tensor, legacy.pt": samples.legacy({"w": tensor}),
        "an archive as bytes.pkl": pickle.dumps(EVIL),
        **{f"a pickle as well.{kind}": front_of(kind, b"\n" + call[1:]) for kind in FRONTS},
        "an old tar archive as well.pkl": old_tar(storages=evil, tensors=evil, pickle=evil),
        "folder/.metadata": evil,
        "folder/__0_0.distcp": b"",
    }


def harmless(tmp_path) -> dict[str, bytes]:
    """Return what each file is called -> its bytes; none runs code, though some are cut.

    A state dict of `pickle.dump` is not among them: what opens it with `pickle.load` loads
    each tensor's bytes with `weights_only=False`, and the inspector warns of that.
    """
    suffixes = {"safetensors": ".safetensors", "no tensors": ".safetensors"}
    suffixes |= {"onnx": ".onnx", "npz": ".npz", "npy": ".npy", "gguf": ".gguf"}
    suffixes |= {"exported program": ".pt2"}
    plain = kinds.contents().items()
    values = {"best": np.float64(3), "args": Namespace(a=1), **samples.net().state_dict()}
    _, optimizer = samples.trained()
    return {
        **{
            f"{name}{suffixes.get(name, '.pt')}": data
            for name, (_, data) in plain
            if name != "global alone"
        },
        **{
            f"weights, {name}.pt": samples.saved(value)
            for name, (value, _) in samples.states().items()
        },
        "our own checkpoint.pt": samples.ours(tmp_path),
        "an optimizer.pt": samples.saved(optimizer.state_dict()),
        "somebody's class.pt": samples.saved(samples.Own()),
        "values of numpy and argparse.pt": samples.saved(values),
        "plain values.pkl": pickle.dumps({"a": [1, 2], "b": {3}}),
        "legacy weights.pt": samples.legacy(samples.net().state_dict()),
    }

"""Save and load 400 MB and 200 kB: the helper, the popular ways, and the bare disk."""

import ctypes
import gc
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
from torch import nn

from helpers.checkpoints import load_checkpoint, save_checkpoint, verify
from helpers.devices import load_to_device
from helpers.measurement import format_bytes, peak_memory

# Layers, their width, rounds: 100 x 1000 x 1000 x 4 bytes are 400 MB.
SIZES = ((100, 1000, 15), (2, 158, 100))
RAW = "raw bytes, fsync, rename"


def build(layers: int, width: int, device: str = "cpu") -> nn.Module:
    """Return a model of so many square weights."""
    with torch.device(device):
        return nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(layers)))


def write_raw(path: Path, data: bytes) -> None:
    """Write the bytes as the helper does, without a serializer: the floor."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def savers(model: nn.Module, folder: Path, data: bytes) -> dict[str, Callable]:
    """Return label -> function that saves the model in its own way."""
    return {
        RAW: lambda: write_raw(folder / "raw", data),
        "helper": lambda: save_checkpoint(folder / "helper.pt", model=model, rng=False),
        "torch.save (no fsync)": lambda: torch.save(
            model.state_dict(), folder / "torch.pt"
        ),
        "safetensors (no fsync)": lambda: safetensors.torch.save_file(
            model.state_dict(), folder / "a.safetensors"
        ),
        "DCP": lambda: dcp.save(
            {"model": model.state_dict()}, checkpoint_id=folder / "dcp", no_dist=True
        ),
    }


def loaders(model: nn.Module, folder: Path) -> dict[str, Callable]:
    """Return label -> function that loads its own file into the model."""
    return {
        "torch.load + load_state_dict": lambda: model.load_state_dict(
            torch.load(folder / "torch.pt", weights_only=True)
        ),
        "helper": lambda: load_checkpoint(folder / "helper.pt", model=model),
        "helper: verify alone": lambda: verify(folder / "helper.pt"),
        "helper, built on meta": lambda: load_checkpoint(
            folder / "helper.pt", model=build(len(model), model[0].in_features, "meta")
        ),
        "load_to_device": lambda: load_to_device(model, folder / "torch.pt", "cpu"),
        "safetensors": lambda: model.load_state_dict(
            safetensors.torch.load_file(folder / "a.safetensors")
        ),
        "DCP": lambda: dcp.load(
            {"model": model.state_dict()}, checkpoint_id=folder / "dcp", no_dist=True
        ),
    }


def settle() -> None:
    """Make every call start alike: free memory given back, nothing left to write."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # glibc only
        # A run that resumes has to get its memory from the system.
        ctypes.CDLL(None).malloc_trim(0)
    if hasattr(os, "sync"):
        os.sync()


def time_all(functions: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Return label -> seconds of each round; the order within a round is shuffled."""
    times: dict[str, list[float]] = {label: [] for label in functions}
    order, shuffle = list(functions), random.Random(0).shuffle
    for turn in range(rounds + 1):  # the first one warms up
        shuffle(order)
        for label in order:
            settle()
            started = time.perf_counter()
            functions[label]()
            if turn:
                times[label].append(time.perf_counter() - started)
    return times


def peak(kind: str, label: str, layers: int, width: int, folder: str) -> int:
    """Build the model, save or load it, and return 0: to be measured."""
    model = build(layers, width)
    path = Path(folder)
    data = b""
    functions = savers(model, path, data) if kind == "save" else loaders(model, path)
    functions.get(label, lambda: None)()
    return 0


def rows(kind: str, times: dict[str, list[float]], shape: tuple, folder: Path) -> list:
    """Return a row for the table of each way, relative to the first."""
    first = next(iter(times.values()))
    layers, width = shape
    bare = peak_memory(peak, kind, "nothing", layers, width, str(folder))
    found = []
    for label, seconds in times.items():
        median = statistics.median(seconds)
        row = {
            kind: label,
            "median ms": f"{1000 * median:.2f}",
            "fastest ms": f"{1000 * min(seconds):.2f}",
            "median, times the first": f"{median / statistics.median(first):.2f}",
            "fastest, times the first": f"{min(seconds) / min(first):.2f}",
            "peak beside the model": "",
            "of it mapped": "",
        }
        if label != RAW:
            used = peak_memory(peak, kind, label, layers, width, str(folder))
            row["peak beside the model"] = format_bytes(used.allocated - bare.allocated)
            if used.mapped is not None:
                row["of it mapped"] = format_bytes(used.mapped - bare.mapped)
        found.append(row)
    return found


def main() -> None:
    """Print a table for saving and one for loading, for each size."""
    for layers, width, rounds in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder, model = Path(name), build(layers, width)
            data = save_checkpoint(folder / "a.pt", model=model, rng=False).read_bytes()
            ways = {"save": savers(model, folder, data), "load": loaders(model, folder)}
            for kind, functions in ways.items():
                times = time_all(functions, rounds)
                size = format_bytes(len(data))
                print(f"\n{kind} {size}, {rounds} shuffled rounds, files in the page cache")
                table = rows(kind, times, (layers, width), folder)
                print(pd.DataFrame(table).to_string(index=False))

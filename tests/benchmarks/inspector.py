"""Inspect 400 MB: against reading directory and pickle, and against one CRC pass."""

import io
import pickle
import pickletools
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import torch

from helpers.model_files import inspect_file

_ROUNDS = 9
_CHILD = """
import sys
from pathlib import Path
if sys.argv[2] != "bare":
    from helpers.model_files import inspect_file
    str(inspect_file(sys.argv[1], verify=sys.argv[2] == "verify"))
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def read_directory_and_pickle(path: Path) -> None:
    """Do what any reader of the structure has to do, with the standard library."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        for _ in pickletools.genops(archive.read(name)):
            pass


class _StandIn(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> object:
        return OrderedDict if name == "OrderedDict" else lambda *args: args

    def persistent_load(self, pid: object) -> object:
        return pid


def read_into_stand_ins(path: Path) -> None:
    """Do the same with pickle's own machine, written in Python as ours is."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        _StandIn(io.BytesIO(archive.read(name))).load()


def crc_pass(path: Path) -> None:
    """Take one CRC-32 of the file."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            crc = zlib.crc32(chunk, crc)


def fastest(*calls) -> list[float]:
    """Return the CPU seconds of the fastest of some rounds; they take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(_ROUNDS):
        for call, seconds in zip(calls, times, strict=True):
            started = time.process_time()
            call()
            seconds.append(time.process_time() - started)
    return [min(seconds) for seconds in times]


def peak(path: Path, what: str) -> float:
    """Return the peak memory of a fresh process, in MiB."""
    command = [sys.executable, "-c", _CHILD, str(path), what]
    return int(subprocess.run(command, capture_output=True, check=True).stdout) / 1024


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.pt")
        layers = {f"layers.{i}.weight": torch.zeros(1000, 1000) for i in range(100)}
        torch.save({"state_dict": layers, "epoch": 3}, path)
        keys = Path(folder, "keys.pt")
        torch.save({f"layer.{i}.weight": torch.zeros(2, 2) for i in range(10_000)}, keys)
        del layers
        seconds = fastest(
            lambda: inspect_file(path),
            lambda: read_into_stand_ins(path),
            lambda: read_directory_and_pickle(path),
        )
        print(f"structure of 400 MB: {1000 * seconds[0]:.1f} ms; directory and pickle:")
        for label, known in zip(("into values", "listed"), seconds[1:], strict=True):
            print(f"  {label}: {1000 * known:.1f} ms; times {seconds[0] / known:.2f}")
        known, found = fastest(
            lambda: crc_pass(path), lambda: inspect_file(path, verify=True)
        )
        print(
            f"--verify: {1000 * found:.0f} ms; a CRC pass: {1000 * known:.0f} ms; ", end=""
        )
        print(f"times {found / known:.2f}")
        (found,) = fastest(lambda: str(inspect_file(keys)))
        print(f"10,000 keys: {found:.2f} s of CPU")
        bare = peak(path, "bare")
        for what in ("structure", "verify"):
            print(f"memory, {what}: {peak(path, what) - bare:.0f} MiB above bare Python")
        print(f"memory, 10,000 keys: {peak(keys, 'structure') - bare:.0f} MiB")


if __name__ == "__main__":
    main()

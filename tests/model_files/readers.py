"""Run one reader as the inspector does, and damage files."""

import os
import random
import time
import tracemalloc
from pathlib import Path

from helpers.model_files import inspecting
from helpers.model_files.judging import judging
from helpers.model_files.verdicts import DAMAGED, UNSAFE, Findings

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "200"))


def read(kind: str, path: Path, *, verify: bool = False) -> Findings:
    """Return what is found in a file that is taken for one of a kind, whatever it is."""
    findings = Findings(path, size=path.stat().st_size)
    with judging(findings), path.open("rb") as file:
        inspecting._read(kind, path, file, findings, verify)
    return findings


def frugally(kind: str, path: Path) -> Findings:
    """Return what a reader finds, in less than a second of CPU and 40 MiB."""
    found = quickly(kind, path)
    tracemalloc.start()
    try:
        read(kind, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20
    return found


def quickly(kind: str, path: Path) -> Findings:
    """Return what a reader finds; the best of three takes less than a second of CPU."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        found = read(kind, path)
        taken.append(time.process_time() - started)
    assert min(taken) < 1
    return found


def refused(found: Findings) -> str:
    """Return why, for a file that must be found damaged or unsafe."""
    if found.safety == UNSAFE:
        return found.safety_why
    assert found.structure == DAMAGED, found
    return found.structure_why


def mutations(data: bytes):
    """Yield damaged bytes, as many as there are rounds."""
    draw = random.Random(0)
    for _ in range(ROUNDS):
        yield mutated(data, draw)


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return bytes some of which are flipped, changed, taken out, put in or cut off."""
    new = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        # What headers say stands in the first bytes.
        most = len(new) if draw.random() < 0.6 else min(200, len(new))
        at = draw.randrange(most)
        match draw.randrange(8):
            case 0:
                new[at] ^= 1 << draw.randrange(8)
            case 1:
                new[at] = draw.randrange(256)
            case 2:
                del new[at : at + draw.randrange(1, 40)]
            case 3:
                new[at:at] = draw.randbytes(draw.randrange(1, 20))
            case 4:
                new[at : at + 4] = b"\xff" * 4
            case 5:
                extremes = (bytes(8), b"\xff" * 8, b"\x7f" + b"\xff" * 7)
                new[at : at + 8] = draw.choice(extremes)
            case 6:
                start = draw.randrange(len(new))
                new[at:at] = new[start : start + draw.randrange(200)]
            case 7 if len(new) > 8 and draw.random() < 0.3:
                del new[draw.randrange(8, len(new)) :]
        new = new or bytearray(b"\0")
    return bytes(new)


def run(lines: list[str]) -> dict:
    """Execute the lines that a report offers, and return their names."""
    names: dict = {}
    exec("\n".join(lines), names)
    return names

"""One linear layer as float32, int8, float16 and int4, timed in ONNX Runtime."""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import pandas as pd
import torch
from torch import nn

from helpers.classroom.runtimes.ceiling import Ceiling
from helpers.classroom.runtimes.probes import measure_machine
from helpers.measurement import size_on_disk, time_interleaved
from helpers.onnx_export import (
    export_onnx,
    quantize_4bit_onnx,
    quantize_dynamic_onnx,
    quantize_static_onnx,
    run,
    session,
    to_float16_onnx,
)

KINDS = ("float32", "int8 dynamic", "int8 static", "float16", "int4")
ROUNDS, WARMUP = 20, 2
# `progress` is called so often: before each kind is made, and after each round.
STEPS = len(KINDS) + WARMUP + ROUNDS


@dataclass(frozen=True)
class KernelRun:
    """What was measured of one layer at one batch size.

    Attributes:
        width: inputs and outputs of the layer.
        batch: rows that went through it at once.
        table: a row for each of KINDS: "min ms", "median ms", "95th percentile ms" and
            "speedup" as from `time_interleaved`, "bytes" of the file, and "error": the
            norm of the difference from float32's output, divided by that output's norm.
        ceiling: what the layer could reach, on the machine as it was measured.
    """

    width: int
    batch: int
    table: pd.DataFrame
    ceiling: Ceiling


class LayerKernels:
    """A Linear layer with ReLU, of seeded random weights, in each of KINDS.

    Attributes:
        width: inputs and outputs of the layer.
        machine: how fast this core reads as many bytes as the weights have in float32, and
            how fast it multiplies.
    """

    def __init__(self, width: int, *, progress: Callable[[str], None] | None = None):
        """Export and quantize the layer, which takes one to four seconds.

        Args:
            width: inputs and outputs, at least 32: the block of weights in int4.
            progress: called before each kind is made, with its name; what it raises ends
                the work.

        Raises:
            ValueError: the width is too small.
        """
        if width < 32:
            raise ValueError(f"width is {width}; expected at least 32")
        self.width = width
        # A generator of its own: this may run in a thread, beside a learner's training.
        generator = torch.Generator().manual_seed(0)
        layer = nn.utils.skip_init(nn.Linear, width, width)
        with torch.no_grad():
            for parameter in layer.parameters():
                reach = 1 / math.sqrt(width)
                parameter.uniform_(-reach, reach, generator=generator)
        typical = torch.rand(128, width, generator=generator)
        model = nn.Sequential(layer, nn.ReLU())
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "float32.onnx", Path(folder) / "small.onnx"
            make = {
                "float32": lambda: export_onnx(model, typical, source),
                "int8 dynamic": lambda: quantize_dynamic_onnx(source, target),
                "int8 static": lambda: quantize_static_onnx(source, target, typical),
                "float16": lambda: to_float16_onnx(source, target),
                "int4": lambda: quantize_4bit_onnx(source, target),
            }
            self._sessions: dict[str, onnxruntime.InferenceSession] = {}
            self._bytes: dict[str, int] = {}
            for kind in KINDS:
                if progress:
                    progress(f"making {kind}")
                path = make[kind]()
                self._sessions[kind], self._bytes[kind] = session(path), size_on_disk(path)
        self.machine = measure_machine(4 * width * width)

    def measure(
        self, batch: int, *, progress: Callable[[str], None] | None = None
    ) -> KernelRun:
        """Time all kinds in one interleaved run, on one thread.

        Args:
            batch: rows at once, at least 1.
            progress: called after each round, with words; what it raises ends the work.

        Raises:
            ValueError: the batch is below 1.
        """
        if batch < 1:
            raise ValueError(f"batch is {batch}; expected at least 1")
        rows = torch.rand(batch, self.width, generator=torch.Generator().manual_seed(1))
        exact = run(self._sessions["float32"], rows)
        errors = {
            kind: ((run(ort_session, rows) - exact).norm() / exact.norm()).item()
            for kind, ort_session in self._sessions.items()
        }
        feed = {"input": rows.numpy()}
        start = time.perf_counter()
        self._sessions["float32"].run(None, feed)
        # A tiny layer answers in microseconds, too short for a clock.
        calls = max(1, math.ceil(2e-4 / (time.perf_counter() - start)))

        def repeated(ort_session: onnxruntime.InferenceSession) -> Callable[[], None]:
            return lambda: [ort_session.run(None, feed) for _ in range(calls)]

        table = time_interleaved(
            {kind: repeated(ort_session) for kind, ort_session in self._sessions.items()},
            rounds=ROUNDS,
            warmup=WARMUP,
            threads=None,  # torch takes no part, and may be at work in another thread
            between=progress and (lambda done: progress(f"timing, round {done}")),
        )
        table[["min ms", "median ms", "95th percentile ms"]] /= calls
        table["bytes"], table["error"] = self._bytes, errors
        limit = Ceiling(self.width, self.width, batch, self.machine)
        return KernelRun(self.width, batch, table, limit)

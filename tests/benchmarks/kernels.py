"""One linear layer in ONNX Runtime: float32 against int8, float16, int4, on one thread."""

from helpers.classroom.runtimes.kernels import LayerKernels
from helpers.measurement import cpu_features, format_bytes

# (width, batch): where int8 wins, where it waits for memory, and where it loses.
SETTINGS = ((1024, 64), (1024, 1), (2048, 64), (2048, 1), (64, 1))
TARGET = 3.0  # int8 static against float32 at the first setting, on a CPU with VNNI
RUNS = 3


def main() -> None:
    """Print a table for each setting, and the first one's speedups over several runs."""
    has = [name for name, there in cpu_features().items() if there]
    print(f"\nKernels of ONNX Runtime, one thread, on {', '.join(has)}")
    for width, batch in SETTINGS:
        layer = LayerKernels(width)
        runs = [layer.measure(batch) for _ in range(RUNS)]
        table = runs[0].table.copy()
        table["bytes"] = [format_bytes(size) for size in table["bytes"]]
        print(f"\nLinear + ReLU, width {width}, batch {batch}")
        print(table.round(4).to_string())
        target = f", target {TARGET:.0f} with VNNI" if (width, batch) == SETTINGS[0] else ""
        speedups = sorted(run.table.loc["int8 static", "speedup"] for run in runs)
        listed = ", ".join(f"{speedup:.2f}" for speedup in speedups)
        print(f"int8 static in {RUNS} runs: {listed} times as fast{target}")
        ceiling = runs[0].ceiling
        gains = ", ".join(
            f"{kind} {ceiling.speedup(kind):.2f}" for kind in ("int8", "int4")
        )
        print(f"by counting: {gains}, on {ceiling.machine}")

"""The pictures of the real-kernels explorer: times above a roofline, and the words."""

from dataclasses import replace

from helpers.classroom.charts import Chart, stack
from helpers.classroom.explorers.rooflines import MEASURED, in_words, points_of, roofline
from helpers.classroom.explorers.timing_charts import (
    TimedRow,
    format_ms,
    timed_bars,
    untimed_bars,
)
from helpers.classroom.runtimes.ceiling import SIZES, TYPICAL, Ceiling
from helpers.classroom.runtimes.kernels import KINDS, KernelRun
from helpers.measurement import format_bytes

Setting = tuple[int, int]  # width, batch
MEASURE = "Measure"
COLUMNS = ("speed", "on disk", "error")
TIMES = ("min ms", "median ms", "95th percentile ms")
# Which of what was counted bounds which bar; float16 is turned into floats first.
COUNTED = {
    "float32": "float32",
    "int8 dynamic": "int8",
    "int8 static": "int8",
    "int4": "int4",
}


def draw(
    results: dict[Setting, KernelRun], width: int, batch: int, *, failed: str = ""
) -> Chart:
    """Draw the times, or the frame for them, and the roofline below.

    Before anything is measured at this width, the roofs are those of a typical core.

    Args:
        results: setting -> what was measured.
        width: of the layer.
        batch: rows at once.
        failed: what went wrong, in words.
    """
    title = f"Linear layer {width} → {width} with ReLU, batch {batch}"
    runs = {rows: run for (wide, rows), run in results.items() if wide == width}
    machine = next(reversed(runs.values())).ceiling.machine if runs else TYPICAL
    now = Ceiling(width, width, batch, machine)
    core = "of this core" if runs else "of a typical core"
    counted = (
        f"By counting, with both at their roofs, int8 is {now.speedup('int8'):.1f} times "
        f"as fast as float32, int4 {now.speedup('int4'):.1f}; {_waiting(now)}"
    )
    roofs = f"Roofline {core}: {in_words(machine)} {counted}."
    if batch in runs:
        above = _timed(title, runs[batch], now)
    else:
        least = {k: now.least_ms(COUNTED[k]) if k in COUNTED else None for k in KINDS}
        words = f"{failed} {title}: not measured yet: press {MEASURE}.".lstrip()
        above = untimed_bars(title, least, COLUMNS, words)
    reached = {kind: points_of(runs.values(), kind) for kind in SIZES}
    below = roofline(
        machine,
        reached,
        title=f"Roofline {core}; hollow: at most, at batch {batch}",
        text=roofs,
        now=now,
    )
    said = [above.text, roofs, *_others(runs, batch)]
    brief = f"{above.brief} {counted}.".lstrip()
    return replace(stack([above, below], " ".join(said)), brief=brief)


def _timed(title: str, run: KernelRun, now: Ceiling) -> Chart:
    rows, words = [], []
    for kind, row in run.table.iterrows():
        low, median, high = (row[name] for name in TIMES)
        size, speedup = format_bytes(row["bytes"]), f"{row['speedup']:.1f}×"
        error = f"{row['error']:.2%}" if row["error"] else "0"
        least = now.least_ms(COUNTED[kind]) if kind in COUNTED else None
        rows.append(TimedRow(kind, low, median, high, (speedup, size, error), least))
        gain = f"{row['speedup']:.1f} times as fast, " if words else ""
        bound = f", at least {format_ms(least)} by counting" if least is not None else ""
        words.append(
            f"{kind}: {format_ms(median)} ({format_ms(low)} to {format_ms(high)}{bound}), "
            f"{gain}{size}, error {error}."
        )
    text = f"{title}, one thread. {' '.join(words)}"
    # Of the fastest calls, which nothing else on the machine has disturbed.
    least = run.table["min ms"]
    if least[["int8 dynamic", "int8 static"]].min() < 0.9 * now.least_ms("int8"):
        text += (
            " int8 is faster than that, most likely since its weights fit a cache that "
            "those of float32 do not."
        )
    gains = run.table["speedup"]
    brief = (
        f"int8 static is {gains['int8 static']:.1f} times as fast as float32, int4 "
        f"{gains['int4']:.1f}."
    )
    late = run.table["95th percentile ms"]
    if ((run.table["median ms"] > 1.3 * least) | (late > 3 * least)).any():
        again = " Some calls were late: other programs were busy; measure again."
        text, brief = text + again, brief + again
    chart = timed_bars(title, rows, headings=COLUMNS, text=text)
    return replace(chart, brief=brief)


def _waiting(now: Ceiling) -> str:
    kinds: dict[str, list[str]] = {}
    for kind in SIZES:
        kinds.setdefault(now.waits_for(kind), []).append(kind)
    return "; ".join(f"waiting for {what}: {', '.join(k)}" for what, k in kinds.items())


def _others(runs: dict[int, KernelRun], batch: int) -> list[str]:
    """Say what was measured at other batches of this width: the picture has the points."""
    return [
        f"At batch {rows}: "
        + ", ".join(
            f"{kind} {run.table.loc[MEASURED[kind], 'speedup']:.1f} times as fast"
            for kind in ("int8", "int4")
        )
        + "."
        for rows, run in sorted(runs.items())
        if rows != batch
    ]

"""The real-kernels explorer without a browser: state, cancelling, words, picture."""

import re
import threading
from dataclasses import replace

import pandas as pd
import pytest

from helpers.classroom.explorers.kernel_pictures import MEASURE, draw
from helpers.classroom.explorers.real_kernels import (
    BATCHES,
    CANCEL,
    Measuring,
    RealKernels,
    real_kernels,
)
from helpers.classroom.explorers.timing_charts import LEFT, RIGHT, format_ms
from helpers.classroom.runtimes.ceiling import Ceiling, Machine
from helpers.classroom.runtimes.kernels import KINDS, STEPS, KernelRun
from tests.classroom.charts.test_charts import assert_texts_apart

MACHINE = Machine(bandwidth=60, float32=300, int8=1200)


def a_run(width: int, batch: int, speedup: float = 3.2) -> KernelRun:
    median = [0.5, 0.5 / speedup, 0.5 / speedup, 0.5, 0.4]
    table = pd.DataFrame(
        {
            "min ms": [0.9 * time for time in median],
            "median ms": median,
            "95th percentile ms": [1.2 * time for time in median],
            "speedup": [0.5 / time for time in median],
            "bytes": [4_200_000, 1_060_000, 1_070_000, 2_100_000, 660_000],
            "error": [0.0, 0.0044, 0.0061, 0.0002, 0.0713],
        },
        index=KINDS,
    )
    return KernelRun(width, batch, table, Ceiling(width, width, batch, MACHINE))


class Layers:
    """Stands for LayerKernels: each step waits until the test lets it go."""

    broken = 13
    made: list[int]
    go: threading.Semaphore

    def __init__(self, width, *, progress):
        self.made.append(width)
        self.width = width
        self._steps(len(KINDS), progress)

    def measure(self, batch, *, progress):
        self._steps(STEPS - len(KINDS), progress)
        if batch == self.broken:
            raise MemoryError("no room")
        return a_run(self.width, batch)

    def _steps(self, count, progress):
        for k in range(count):
            assert self.go.acquire(timeout=20)
            progress(f"step {k}")


@pytest.fixture
def layers():
    """A class of its own for each test; `let_go` allows that many steps."""
    return type("Own", (Layers,), {"made": [], "go": threading.Semaphore(0)})


def let_go(layers, steps: int = 10 * STEPS) -> None:
    layers.go.release(steps)


# ---- The state


def test_a_width_is_built_once_and_a_setting_may_be_measured_again(layers):
    measuring = Measuring(lambda: None, layers)
    let_go(layers)
    found = []
    for batch in (64, 1, 64):
        measuring.request(1024, batch)
        measuring.wait()
        found.append(measuring.results[1024, batch])
    assert list(measuring.results) == [(1024, 64), (1024, 1)]
    assert found[0] is not found[2]
    assert layers.made == [1024]
    assert (measuring.status, measuring.done, measuring.busy) == ("Done.", STEPS, False)


def test_a_request_returns_at_once_and_progress_counts_every_step(layers):
    seen = []
    measuring = Measuring(lambda: seen.append((measuring.done, measuring.busy)), layers)
    measuring.request(128, 8)
    assert measuring.busy and measuring.results == {}
    let_go(layers)
    measuring.wait()
    assert seen == [(k, True) for k in range(1, STEPS + 1)] + [(STEPS, False)]


def test_where_the_kernels_are_there_already_progress_begins_behind_their_making(layers):
    seen = []
    measuring = Measuring(lambda: seen.append((measuring.done, measuring.busy)), layers)
    let_go(layers)
    measuring.request(128, 8)
    measuring.wait()
    seen.clear()
    measuring.request(128, 9)
    measuring.wait()
    made = len(KINDS)
    assert seen == [(k, True) for k in range(made + 1, STEPS + 1)] + [(STEPS, False)]


def test_the_last_of_many_quick_requests_wins_and_no_queue_builds_up(layers):
    measuring = Measuring(lambda: None, layers)
    for batch in range(1, 101):
        measuring.request(512, batch)
    let_go(layers)
    measuring.wait()
    # The first may have been begun; it is given up at its next step.
    assert list(measuring.results) == [(512, 100)]
    assert len(layers.made) <= 2
    assert threading.active_count() < 20


def test_cancelling_stops_at_the_next_step_and_a_new_request_starts_anew(layers):
    reached = threading.Event()
    measuring = Measuring(reached.set, layers)
    measuring.request(256, 4)
    assert not reached.is_set()
    let_go(layers, 1)
    assert reached.wait(20)
    measuring.cancel()
    let_go(layers)
    measuring.wait()
    assert (measuring.status, measuring.done, measuring.busy) == ("Cancelled.", 0, False)
    assert measuring.results == {}
    measuring.request(256, 4)
    measuring.wait()
    assert list(measuring.results) == [(256, 4)]


def test_an_error_is_told_and_the_next_request_works(layers):
    measuring = Measuring(lambda: None, layers)
    let_go(layers)
    measuring.request(256, 13)
    measuring.wait()
    assert measuring.status == "Failed. MemoryError: no room"
    assert not measuring.busy
    measuring.request(256, 14)
    measuring.wait()
    assert list(measuring.results) == [(256, 14)]


# ---- Words and picture

TYPICAL_AT_1 = (
    "Roofline of a typical core: Bytes come at 25 GB/s. float32 does at most 250 billion "
    "operations a second and waits for bytes below 10.0 operations a byte; int8 1000, "
    "below 40.0. By counting, with both at their roofs, int8 is 4.0 times as fast as "
    "float32, int4 6.1; waiting for bytes: float32, int8, int4."
)


def test_before_anything_is_measured_the_words_are_the_same_everywhere():
    explorer = real_kernels(256, 1)
    expected = (
        "Panel(Real kernels: width=256, batch=1): Linear layer 256 → 256 with ReLU, "
        f"batch 1: not measured yet: press Measure. {TYPICAL_AT_1}"
    )
    assert repr(explorer) == expected
    data, _ = explorer._repr_mimebundle_()
    assert data["text/plain"] == expected
    assert (
        ">Roofline of a typical core; hollow: at most, at batch 1<" in data["image/svg+xml"]
    )
    assert "application/vnd.jupyter.widget-view+json" in data


def test_int4_and_int8_change_places_as_the_batch_slider_moves():
    explorer = real_kernels(2048, 1)
    gains = {}
    for batch in BATCHES:
        explorer.panel.values = {"width": 2048, "batch": batch}
        brief = explorer.panel.frame["brief"]
        [pair] = re.findall(r"roofs, int8 is ([\d.]+) times .* int4 ([\d.]+);", brief)
        gains[batch] = tuple(map(float, pair))
    ahead = ["int4" if int4 > int8 else "int8" for int8, int4 in gains.values()]
    assert ahead == ["int4"] * 3 + ["int8"] * 6, gains
    assert gains[1] == (4.0, 6.4) and gains[256] == (4.0, 1.0)
    # The dashed lines of the bars move as well.
    places = {}
    for batch in (1, 256):
        svg = draw({}, 2048, batch).svg
        places[batch] = [float(x) for x in re.findall(r'd="M([\d.]+) \d+v\d+"', svg)]
    room = RIGHT - LEFT
    assert places[1] == pytest.approx(
        [LEFT + s * room for s in (1, 0.25, 0.25, 0.156)], abs=1
    )
    assert places[256] == pytest.approx(
        [LEFT + s * room for s in (1, 0.25, 0.25, 1)], abs=1
    )


def test_the_words_repeat_every_number_of_the_picture():
    runs = {(1024, batch): a_run(1024, batch) for batch in (1, 64)}
    chart = draw(runs, 1024, 64)
    assert chart.text == (
        "Linear layer 1024 → 1024 with ReLU, batch 64, one thread. "
        "float32: 500 µs (450 µs to 600 µs, at least 447 µs by counting), 4.20 MB, error 0."
        " int8 dynamic: 156 µs (141 µs to 188 µs, at least 112 µs by counting), 3.2 times "
        "as fast, 1.06 MB, error 0.44%. "
        "int8 static: 156 µs (141 µs to 188 µs, at least 112 µs by counting), 3.2 times as "
        "fast, 1.07 MB, error 0.61%. "
        "float16: 500 µs (450 µs to 600 µs), 1.0 times as fast, 2.10 MB, error 0.02%. "
        "int4: 400 µs (360 µs to 480 µs, at least 447 µs by counting), 1.2 times as fast, "
        "660 kB, error 7.13%. "
        "Roofline of this core: Bytes come at 60 GB/s. float32 does at most 300 billion "
        "operations a second and waits for bytes below 5.0 operations a byte; int8 1200, "
        "below 20.0. By counting, with both at their roofs, int8 is 4.0 times as fast as "
        "float32, int4 1.0; waiting for arithmetic: float32, int8, int4. "
        "At batch 1: int8 3.2 times as fast, int4 1.2 times as fast."
    )
    shown = re.findall(r">([\d.]+ (?:µs|MB|kB)|[\d.]+%)<", chart.svg)
    assert len(shown) == 14
    assert all(words in chart.text for words in shown)
    # Both measured batches are in the roofline, and one of them is where the slider is.
    assert chart.svg.count('r="3.4"') == 2 + 1, "the legend has one, too"
    assert_texts_apart(chart)


def test_other_widths_are_left_out_of_the_roofline():
    chart = draw({(512, 1): a_run(512, 1)}, 1024, 64)
    assert chart.svg.count('r="3.4"') == 1
    assert "of a typical core" in chart.text and "At batch" not in chart.text


def test_the_roofs_are_those_of_the_newest_run():
    newest = a_run(1024, 1)
    machine = Machine(bandwidth=80, float32=100, int8=200)
    newest = replace(newest, ceiling=replace(newest.ceiling, machine=machine))
    chart = draw({(1024, 64): a_run(1024, 64), (1024, 1): newest}, 1024, 4)
    assert "Bytes come at 80 GB/s." in chart.text
    assert "not measured yet" in chart.text


def test_int8_above_the_ceiling_is_explained():
    chart = draw({(2048, 1): a_run(2048, 1, speedup=40)}, 2048, 1)
    assert "its weights fit a cache that those of float32 do not." in chart.text


def test_a_run_that_others_disturbed_says_so():
    run = a_run(2048, 64)
    # The calls of float32 take long enough to be interrupted each time.
    run.table.loc["float32", ["median ms", "95th percentile ms"]] *= 4
    chart = draw({(2048, 64): run}, 2048, 64)
    for words in (chart.text, chart.brief):
        assert "other programs were busy; measure again." in words


def test_the_empty_picture_is_as_high_as_the_full_one():
    charts = [draw(results, 64, 1) for results in ({}, {(64, 1): a_run(64, 1)})]
    assert charts[0].height == charts[1].height


def test_the_empty_picture_has_nothing_measured():
    chart = draw({}, 64, 1)
    assert chart.svg.count(f'<rect x="{LEFT}"') == 1, "float32 alone"
    assert not re.search(r">[\d.]+ (?:µs|ms|kB|MB)<", chart.svg)
    assert_texts_apart(chart)


@pytest.mark.parametrize("speedup", [0.01, 0.4, 1, 3.9, 40])
def test_no_words_touch_however_fast_or_slow_int8_is(speedup):
    for setting in [(64, 1), (2048, 256)]:
        assert_texts_apart(draw({setting: a_run(*setting, speedup=speedup)}, *setting))


def test_every_setting_of_the_sliders_can_be_drawn():
    explorer = real_kernels()
    for width in range(64, 2049, 64):
        for batch in BATCHES:
            explorer.panel.values = {"width": width, "batch": batch}
            words = f"Linear layer {width} → {width} with ReLU, batch {batch}: not"
            assert words in repr(explorer)
    with pytest.raises(ValueError, match="width is 100; expected 64 to 2048 in steps of"):
        real_kernels(100)


# ---- The widgets


def test_the_button_measures_what_the_sliders_stand_on_and_going_back_is_instant(layers):
    explorer = RealKernels(128, 2, layers)
    panel = explorer.panel
    assert panel.buttons == [MEASURE, CANCEL] and panel.disabled == [CANCEL]
    assert panel.progress is None
    panel.press(MEASURE)
    assert panel.disabled == [] and panel.progress["of"] == STEPS
    let_go(layers)
    explorer.measuring.wait()
    assert panel.disabled == [CANCEL] and panel.progress is None
    assert "3.2 times as fast" in repr(explorer)
    assert panel.frame["text"] == panel.chart.text
    assert panel.frame["brief"].startswith("int8 static is 3.2 times as fast as")
    assert ">Roofline of this core" in explorer._repr_mimebundle_()[0]["image/svg+xml"]
    panel.values = {"width": 128, "batch": 4}
    assert "not measured yet" in repr(explorer)
    panel.values = {"width": 128, "batch": 2}
    assert "3.2 times as fast" in panel.frame["text"]
    assert layers.made == [128]


def test_progress_counts_in_the_panel(layers):
    explorer = RealKernels(128, 2, layers)
    seen = []
    explorer.panel.observe(lambda change: seen.append(change["new"]), "progress")
    let_go(layers)
    explorer.measure()
    explorer.measuring.wait()
    steps = [progress["done"] for progress in seen if progress]
    assert steps == sorted(steps) and steps[-1] == STEPS and seen[-1] is None
    assert f"({STEPS} of {STEPS})" in seen[-2]["says"]


def test_the_thread_waits_while_a_message_of_the_browser_is_dealt_with(layers):
    explorer = RealKernels(128, 2, layers)
    explorer.measure()
    with explorer.panel.lock:
        let_go(layers)
        explorer.measuring._thread.join(0.3)
        assert explorer.panel.progress["done"] == 0
    explorer.measuring.wait()
    assert explorer.panel.progress is None


def test_what_fails_is_told_in_the_panel_until_it_is_tried_again(layers):
    layers.broken = 16
    explorer = RealKernels(128, 16, layers)
    let_go(layers)
    explorer.measure()
    explorer.measuring.wait()
    assert explorer.panel.frame["text"].startswith("Failed. MemoryError: no room Linear")
    explorer.panel.values = {"width": 128, "batch": 2}
    explorer.measure()
    explorer.measuring.wait()
    assert "Failed" not in explorer.panel.frame["text"]


def test_moving_the_sliders_while_it_measures_shows_the_result_where_it_belongs(layers):
    explorer = RealKernels(128, 2, layers)
    explorer.measure()
    explorer.panel.values = {"width": 192, "batch": 2}
    let_go(layers)
    explorer.measuring.wait()
    assert "192 → 192 with ReLU, batch 2: not measured yet" in explorer.panel.frame["text"]
    explorer.panel.values = {"width": 128, "batch": 2}
    assert "3.2 times as fast" in explorer.panel.frame["text"]


def test_the_cancel_button_ends_it(layers):
    explorer = RealKernels(128, 2, layers)
    explorer.measure()
    explorer.panel.press(CANCEL)
    assert explorer.panel.disabled == [CANCEL] and explorer.panel.progress is None
    let_go(layers)
    explorer.measuring.wait()
    assert explorer.measuring.status == "Cancelled."
    assert "not measured yet" in repr(explorer)


def test_a_real_layer_is_measured():
    explorer = real_kernels(64, 1)
    explorer.measure()
    explorer.measuring.wait()
    run = explorer.measuring.results[64, 1]
    assert tuple(run.table.index) == KINDS
    assert f"int4: {format_ms(run.table.loc['int4', 'median ms'])}" in repr(explorer)

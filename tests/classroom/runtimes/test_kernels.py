"""One layer in five kinds: what is made, what is timed, and nobody else disturbed."""

import pytest
import torch
from torch import nn

from helpers.classroom.runtimes.ceiling import Ceiling
from helpers.classroom.runtimes.kernels import KINDS, STEPS, LayerKernels


@pytest.fixture(scope="module")
def kernels() -> LayerKernels:
    return LayerKernels(128)


def test_the_table_has_a_row_for_each_kind_with_times_bytes_and_errors(kernels):
    run = kernels.measure(8)
    assert tuple(run.table.index) == KINDS
    assert (run.width, run.batch) == (128, 8)
    times = run.table[["min ms", "median ms", "95th percentile ms"]]
    assert (times > 0).all(axis=None)
    assert (times.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert run.table.loc["float32", "speedup"] == 1
    bytes_a_weight = run.table["bytes"] / 128**2
    assert bytes_a_weight.round().to_dict() == {
        "float32": 4,
        "int8 dynamic": 1,
        "int8 static": 1,
        "float16": 2,
        "int4": 1,  # 0.625, and the rest of the file
    }
    error = run.table["error"]
    assert error["float32"] == 0
    assert 0 < error["float16"] < error["int8 dynamic"] < error["int4"] < 0.15
    assert 0 < error["int8 static"] < 0.05
    assert run.ceiling == Ceiling(128, 128, 8, kernels.machine)


def test_times_are_those_of_one_run_however_often_it_was_repeated(kernels, monkeypatch):
    counts = []

    class Counting:
        def __init__(self, opened):
            self._opened = opened

        def run(self, names, feed):
            counts.append(1)
            return self._opened.run(names, feed)

        def __getattr__(self, name):
            return getattr(self._opened, name)

    wrapped = {kind: Counting(opened) for kind, opened in kernels._sessions.items()}
    monkeypatch.setattr(kernels, "_sessions", wrapped)
    # A clock that moves by 10 µs each time: 20 calls make the 200 µs of a measurement.
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks) * 1e-5)
    table = kernels.measure(1).table
    before, kinds, rounds = 7, 5, 22
    assert len(counts) == before + kinds * rounds * 20
    assert table["median ms"].tolist() == pytest.approx([0.01 / 20] * kinds)


def test_the_weights_are_seeded_and_nobody_else_s_random_numbers_are_used(kernels):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    errors = LayerKernels(128).measure(8).table["error"]
    assert torch.equal(torch.rand(3), expected)
    assert errors.to_dict() == kernels.measure(8).table["error"].to_dict()


def test_progress_is_told_as_often_as_announced_and_may_end_the_work():
    told = []
    LayerKernels(64, progress=told.append).measure(2, progress=told.append)
    assert len(told) == STEPS
    assert told[:5] == [f"making {kind}" for kind in KINDS]
    assert told[-1] == "timing, round 22"

    def refuse(what):
        raise InterruptedError(what)

    with pytest.raises(InterruptedError, match="making float32"):
        LayerKernels(64, progress=refuse)


def test_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    LayerKernels(64)
    assert list(tmp_path.iterdir()) == []


def test_the_machine_reads_as_many_bytes_as_the_float_weights_have(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "helpers.classroom.runtimes.kernels.measure_machine",
        lambda size: asked.append(size),
    )
    LayerKernels(64)
    assert asked == [4 * 64 * 64]


def test_sizes_are_checked(kernels):
    with pytest.raises(ValueError, match="width is 16; expected at least 32"):
        LayerKernels(16)
    with pytest.raises(ValueError, match="batch is 0; expected at least 1"):
        kernels.measure(0)


def test_the_layer_is_a_linear_one_with_relu(kernels):
    torch.manual_seed(0)
    opened = kernels._sessions["float32"]
    rows = torch.rand(3, 128)
    [found] = opened.run(None, {"input": rows.numpy()})
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(128, 128)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-(128**-0.5), 128**-0.5, generator=generator)
        expected = layer(rows).relu()
    torch.testing.assert_close(torch.from_numpy(found), expected)

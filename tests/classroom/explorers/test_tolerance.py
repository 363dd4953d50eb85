"""The tolerance explorer: who fails at which tolerance, counted anew."""

import pytest
import torch
from torch import nn

from helpers.classroom.explorers.tolerance import HIGHEST, LOWEST, tolerance, tolerances
from helpers.onnx_export import check_parity, export_onnx


@pytest.fixture(scope="module")
def parities(tmp_path_factory):
    """Two files of a linear model: one off by 0.05 in its second output, one by 2."""
    folder = tmp_path_factory.mktemp("linear")
    torch.manual_seed(0)
    model, inputs = nn.Linear(3, 2), torch.rand(50, 3)
    found = {}
    for name, shift in {"near": 0.05, "far": 2.0}.items():
        other = nn.Linear(3, 2)
        other.load_state_dict(model.state_dict())
        with torch.no_grad():
            other.bias[1] += shift
        path = export_onnx(other, inputs[:2], folder / f"{name}.onnx")
        found[name] = check_parity(model, path, inputs, batch_sizes=(50,))
    return found


@pytest.fixture(scope="module")
def panel(parities):
    return tolerance(parities)


def test_every_picture_counts_what_lies_beyond_the_tolerance(panel, parities):
    for power in range(LOWEST, HIGHEST + 1):
        for kind in ("absolute", "relative", "both"):
            panel.values = {"power": power, "kind": kind, "file": "near"}
            counts = []
            for parity in parities.values():
                allowed = (
                    10.0**power
                    * {
                        "absolute": torch.ones(()),
                        "relative": parity.magnitudes,
                        "both": 1 + parity.magnitudes,
                    }[kind]
                )
                counts.append(int((parity.gaps > allowed).sum()))
            assert panel.chart.text == (
                f"Tolerance 1e{power}, {kind}. Of 100 numbers would fail: near "
                f"{counts[0]}; far {counts[1]}. near: {'fails' if counts[0] else 'passes'}."
            )


@pytest.mark.parametrize(
    "kind, rtol, atol",
    [("absolute", 0, 0.001), ("relative", 0.001, 0), ("both", 0.001, 0.001)],
)
def test_the_kind_of_tolerance_decides_on_its_two_parts(kind, rtol, atol):
    assert tolerances(-3, kind) == {"rtol": rtol, "atol": atol}


def test_the_output_that_is_off_is_told_from_the_one_that_is_right(panel):
    panel.values = {"power": -1, "kind": "absolute", "file": "far"}
    svg = panel.chart.svg
    assert "near: passes</text>" in svg and "far: fails</text>" in svg
    below = svg[svg.index("far, output by output") :]
    first, second = below.index(">output 0<"), below.index(">output 1<")
    assert ">0.0 %<" in below[first:second] and ">100.0 %<" in below[second:]


def test_shares_are_those_of_the_numbers_that_fail(panel, parities):
    # Relative to numbers of several sizes, only some of the second output fail.
    panel.values = {"power": -1, "kind": "relative", "file": "near"}
    near, far = (p.gaps > 0.1 * p.magnitudes for p in parities.values())
    second = 100 * near[:, 1].double().mean()
    assert 0 < second < 100
    above, below = panel.chart.svg.split("near, output by output")
    for failing in (near, far):
        assert f">{100 * failing.double().mean():.1f} %<" in above
    assert f">{second:.1f} %<" in below


def test_every_picture_is_held_by_the_browser(panel):
    assert len(panel.frames) == 10 * 3 * 2

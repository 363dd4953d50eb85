"""Reports on names: short as HTML, frozen, neither true nor false."""

import pytest
import torch

from helpers.state_dicts import compare
from tests.state_dicts import small_net


def test_html_shows_only_what_is_worth_a_look():
    ours = {"same": torch.ones(2), "a<b": torch.ones(2)}
    page = compare(ours, {**ours, "a<b": torch.zeros(2)})._repr_html_()
    assert "a&lt;b" in page and "a<b" not in page
    assert "largest difference 1" in page and "same" not in page
    assert compare(ours, ours)._repr_html_() == "<p>Comparison(2 equal)</p>"


def test_a_report_cannot_be_asserted_by_mistake():
    with pytest.raises(TypeError, match="a Comparison is not true or false"):
        assert compare(small_net(), small_net())


def test_reports_are_frozen():
    with pytest.raises(AttributeError):
        compare(small_net(), small_net()).missing = ()

"""Only the lines that were named are left out, and only while the block runs."""

import logging
import warnings

import pytest

from helpers import quiet as stray_lines


def logged(caplog):
    return [record.getMessage() for record in caplog.records]


def test_the_named_lines_are_left_out_and_all_others_pass(caplog):
    one, other = logging.getLogger("sls.one"), logging.getLogger("sls.other")
    with stray_lines.without({"sls.one": "^Skipping", "sls.other": r"\d missing"}):
        one.warning("Skipping %s", "a kernel")
        one.warning("Not Skipping")
        other.warning("there are 3 missing")
        other.warning("Skipping")
    assert logged(caplog) == ["Not Skipping", "Skipping"]


def test_the_named_warnings_are_left_out_and_all_others_pass():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with stray_lines.without({}, ["old .* name"]):
            warnings.warn("old and long name", FutureWarning, stacklevel=1)
            warnings.warn("an old name", FutureWarning, stacklevel=1)
        warnings.warn("old, short name", FutureWarning, stacklevel=1)
    assert [str(one.message) for one in warned] == ["an old name", "old, short name"]


def test_after_an_error_everything_is_written_again(caplog):
    before = warnings.filters[:]
    with pytest.raises(ZeroDivisionError), stray_lines.without({"sls": "stray"}, ["stray"]):
        1 / 0  # noqa: B018
    logging.getLogger("sls").warning("stray")
    assert logged(caplog) == ["stray"]
    assert warnings.filters == before


def test_filters_that_an_import_sets_stay():
    with warnings.catch_warnings():
        with stray_lines.without({"sls": "stray"}):
            warnings.filterwarnings("ignore", "set by an import")
        assert any(one[1] and one[1].match("set by an import") for one in warnings.filters)

"""What an exporter says is collected, not shown and not lost, and all is as it was."""

import logging
import sys
import warnings

import pytest

from helpers.onnx_export import listening


def test_log_lines_warnings_and_prints_are_collected(capsys):
    with listening() as said:
        logging.getLogger("torch.onnx").warning("a package is %s", "missing")
        logging.getLogger("onnxscript").error("cannot convert")
        warnings.warn("training mode", stacklevel=1)
        print("a graph\n\nof two lines")
        print("and an error", file=sys.stderr)
    assert said == [
        "a package is missing",
        "cannot convert",
        "training mode",
        "a graph",
        "of two lines",
        "and an error",
    ]
    assert capsys.readouterr() == ("", "")


def test_a_logger_that_writes_by_itself_is_heard_once_and_traces_are_not(capsys):
    logger = logging.getLogger("torch.of_this_test")
    before = logger.level
    logger.addHandler(logging.StreamHandler(sys.stderr))
    logger.setLevel(logging.DEBUG)
    try:
        with listening() as said:
            logger.debug("one of thousands of traces")
            logger.warning("a package is missing")
    finally:
        logger.handlers.clear()
        logger.setLevel(before)
    assert said == ["a package is missing"]
    assert capsys.readouterr() == ("", "")


def test_afterwards_everything_speaks_as_before():
    logger = logging.getLogger("torch")
    before = logger.handlers, logger.propagate
    with pytest.raises(KeyError), listening() as said:
        print("before the error")
        raise KeyError("x")
    assert said == ["before the error"]
    assert (logger.handlers, logger.propagate) == before
    with pytest.warns(UserWarning, match="after"):
        warnings.warn("after", stacklevel=1)

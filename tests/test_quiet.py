"""Only what was named is left out or collected, and only while the block runs."""

import logging
import sys
import warnings

import pytest

from helpers.quiet import capture_output, keep_root_logger, leave_out


def logged(caplog):
    return [record.getMessage() for record in caplog.records]


# ---- leave_out


def test_the_named_lines_are_left_out_and_all_others_pass(caplog):
    one, other = logging.getLogger("sls.one"), logging.getLogger("sls.other")
    with leave_out({"sls.one": "^Skipping", "sls.other": r"\d missing"}):
        one.warning("Skipping %s", "a kernel")
        one.warning("Not Skipping")
        other.warning("there are 3 missing")
        other.warning("Skipping")
    assert logged(caplog) == ["Not Skipping", "Skipping"]


def test_the_named_warnings_are_left_out_and_all_others_pass():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with leave_out(warnings=["old .* name"]):
            warnings.warn("old and long name", FutureWarning, stacklevel=1)
            warnings.warn("an old name", FutureWarning, stacklevel=1)
        warnings.warn("old, short name", FutureWarning, stacklevel=1)
    assert [str(one.message) for one in warned] == ["an old name", "old, short name"]


def test_the_named_printed_lines_are_left_out_and_all_others_pass(capsys):
    with leave_out(printed=[r"Number of \w+", "Scenario"]):
        print("Number of", end=" ")
        print("tensors : 3\nThe Number of bins\r\nScenario: 'same'\n\nno end", end="")
        print("Scenario", file=sys.stderr)
        print("a real error", file=sys.stderr)
    assert capsys.readouterr() == ("The Number of bins\r\n\nno end", "a real error\n")


def test_a_progress_bar_leaves_nothing_and_hides_no_error_behind_it(capsys):
    with leave_out(printed=[r"Converting:"]):
        for percent in (0, 50, 100):
            sys.stderr.write(f"\rConverting: {percent}%")
        sys.stderr.write("\n")
        sys.stderr.write("\rConverting: 7%\rout of memory\n")
    assert capsys.readouterr().err == "\rout of memory\n"


def test_a_handler_that_was_made_in_the_block_goes_on_writing(capsys):
    with leave_out(printed=["stray"]):
        handler = logging.StreamHandler(sys.stderr)
    handler.emit(logging.makeLogRecord({"msg": "a real error"}))
    assert capsys.readouterr().err == "a real error\n"


def test_after_an_error_everything_is_written_again(caplog, capsys):
    before, streams = warnings.filters[:], (sys.stdout, sys.stderr)
    with (
        pytest.raises(ZeroDivisionError),
        leave_out({"sls": "stray"}, ["stray"], ["stray"]),
    ):
        print("kept", end="")
        1 / 0  # noqa: B018
    logging.getLogger("sls").warning("stray")
    assert logged(caplog) == ["stray"]
    assert warnings.filters == before and (sys.stdout, sys.stderr) == streams
    assert capsys.readouterr().out == "kept"


def test_filters_that_an_import_sets_stay():
    with warnings.catch_warnings():
        with leave_out({"sls": "stray"}):
            warnings.filterwarnings("ignore", "set by an import")
        assert any(one[1] and one[1].match("set by an import") for one in warnings.filters)


# ---- capture_output


def test_log_lines_warnings_and_prints_are_collected(capsys):
    with capture_output("torch", "onnxscript") as said:
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
        with capture_output("torch") as said:
            logger.debug("one of thousands of traces")
            logger.warning("a package is missing")
    finally:
        logger.handlers.clear()
        logger.setLevel(before)
    assert said == ["a package is missing"]
    assert capsys.readouterr() == ("", "")


def test_loggers_that_were_not_named_are_not_collected(caplog):
    with capture_output("torch") as said:
        logging.getLogger("sls").warning("a real warning")
    assert said == [] and logged(caplog) == ["a real warning"]


def test_a_logger_that_does_not_exist_yet_is_collected(capsys):
    with capture_output("sls_new") as said:
        logging.getLogger("sls_new.module").warning("while it was imported")
    assert said == ["while it was imported"]
    assert capsys.readouterr() == ("", "")


def test_afterwards_everything_speaks_as_before():
    logger = logging.getLogger("torch")
    before = logger.handlers, logger.propagate
    with pytest.raises(KeyError), capture_output("torch") as said:
        print("before the error")
        raise KeyError("x")
    assert said == ["before the error"]
    assert (logger.handlers, logger.propagate) == before
    with pytest.warns(UserWarning, match="after"):
        warnings.warn("after", stacklevel=1)


# ---- keep_root_logger


def test_the_root_logger_is_as_it_was_and_what_it_logs_meanwhile_is_shown(caplog):
    level, handlers = logging.root.level, logging.root.handlers[:]
    with pytest.raises(KeyError), keep_root_logger():
        logging.basicConfig(level=logging.DEBUG)
        logging.root.setLevel(logging.DEBUG)
        logging.root.addHandler(logging.NullHandler())
        logging.getLogger("sls").warning("a real warning")
        raise KeyError("x")
    assert (logging.root.level, logging.root.handlers) == (level, handlers)
    assert logged(caplog) == ["a real warning"]

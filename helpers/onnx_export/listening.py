"""Collect what an exporter says, so that one can read it in peace."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

SPEAKERS = ("torch", "onnxscript")


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]):
        super().__init__(logging.INFO)  # below are torch's traces, by the thousand
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what torch and onnxscript log, warn and print, in place of showing it.

    An exporter that fails prints the whole graph and logs tracebacks; one that gives
    another opset than was asked for says so in a log line among others. Read the list
    after the block: nothing is thrown away.

    Yields:
        The list of messages, in their order; warnings and prints come last.
    """
    lines: list[str] = []
    collector = _Collector(lines)
    # Some loggers have handlers of their own, which hold the stream they began with.
    speakers = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
        and name.partition(".")[0] in SPEAKERS
        and (logger.handlers or name in SPEAKERS)
    ]
    before = [(logger, logger.handlers, logger.propagate) for logger in speakers]
    printed = io.StringIO()
    try:
        for logger in speakers:
            logger.handlers, logger.propagate = [collector], False
        with (
            warnings.catch_warnings(record=True) as warned,
            redirect_stdout(printed),
            redirect_stderr(printed),
        ):
            yield lines
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
        lines += [str(warning.message) for warning in warned]
        lines += filter(str.strip, printed.getvalue().splitlines())

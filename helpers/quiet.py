"""Leave out what another library says on a machine where nothing is wrong.

What is left out stands beside the call that says it. Everything else is still shown: to
silence a whole logger or stream would also hide real warnings.

Save, Load, Ship 0.2.0: helpers/quiet.py · repairs: CHANGELOG.md
"""

import io
import logging
import re
import sys
import warnings as warnings_module
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO


@contextmanager
def leave_out(
    lines: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    printed: Sequence[str] = (),
) -> Iterator[None]:
    r"""Leave out certain log lines, warnings and printed lines while the block runs.

    Args:
        lines: name of a logger -> a regular expression found in the message. Only for that
            logger: those below it have names of their own.
        warnings: regular expressions that match the beginning of a warning.
        printed: regular expressions that match the beginning of a line, written to
            sys.stdout or sys.stderr, such as one state of a progress bar.

    >>> with leave_out({"engine": "^no GPU"}, printed=[r"\d+ % done"]):
    ...     logging.getLogger("engine").warning("no GPU found, using the CPU")
    ...     print("50 % done\n100 % done\n3 weights are NaN")
    3 weights are NaN
    """
    with ExitStack() as stack:
        for name, pattern in (lines or {}).items():
            logger, log_filter = logging.getLogger(name), _log_filter(pattern)
            logger.addFilter(log_filter)
            stack.callback(logger.removeFilter, log_filter)
        # Only where asked for: afterwards, filters set in the block would be gone.
        if warnings:
            stack.enter_context(warnings_module.catch_warnings())
        for pattern in warnings:
            warnings_module.filterwarnings("ignore", pattern)
        if printed:
            out, err = _LineFilter(sys.stdout, printed), _LineFilter(sys.stderr, printed)
            stack.enter_context(redirect_stdout(out))
            stack.enter_context(redirect_stderr(err))
            stack.callback(out.finish)
            stack.callback(err.finish)
        yield


@contextmanager
def capture_output(*loggers: str) -> Iterator[list[str]]:
    """Collect what is printed, warned and logged, in place of showing it.

    Read the list after the block, also after an error: nothing is thrown away.

    Args:
        *loggers: names of packages, such as "torch", whose log lines, from INFO up, are
            collected as well; those of their modules are included.

    Yields:
        The list of messages in their order; warnings and printed lines come last.

    >>> import warnings
    >>> with capture_output("torch") as said:
    ...     print("converting")
    ...     warnings.warn("one operator was replaced")
    >>> said
    ['one operator was replaced', 'converting']
    """
    messages: list[str] = []
    collector = _Collector(messages)
    found = [logging.getLogger(name) for name in loggers]
    # Others have handlers of their own, which hold the stream they began with.
    found += [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
        and name.partition(".")[0] in loggers
        and name not in loggers
        and logger.handlers
    ]
    before = [(logger, logger.handlers, logger.propagate) for logger in found]
    printed = io.StringIO()
    try:
        for logger in found:
            logger.handlers, logger.propagate = [collector], False
        with (
            warnings_module.catch_warnings(record=True) as warned,
            redirect_stdout(printed),
            redirect_stderr(printed),
        ):
            yield messages
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
        messages += [str(warning.message) for warning in warned]
        messages += filter(str.strip, printed.getvalue().splitlines())


@contextmanager
def keep_root_logger() -> Iterator[None]:
    """Undo what the block does to the root logger, such as an import's basicConfig.

    >>> level = logging.root.level
    >>> with keep_root_logger():
    ...     logging.basicConfig(level=logging.DEBUG, force=True)
    >>> logging.root.level == level
    True
    """
    root = logging.root
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


def _log_filter(pattern: str) -> Callable[[logging.LogRecord], bool]:
    search = re.compile(pattern).search
    return lambda record: not search(record.getMessage())


class _LineFilter(io.TextIOBase):
    """Passes on to a stream the lines that match none of the patterns."""

    def __init__(self, stream: TextIO, patterns: Sequence[str]):
        self._stream, self._begun = stream, ""
        self._pattern = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))

    def write(self, text: str) -> int:
        # A progress bar goes back to the beginning of its line with \r.
        *lines, self._begun = re.split(r"(?<=\n)|(?=\r(?!\n))", self._begun + text)
        for line in lines:
            self._pass_on(line)
        return len(text)

    def finish(self) -> None:
        # Not closed: a handler that was made in the block may go on writing.
        self._pass_on(self._begun)
        self._begun = ""

    def _pass_on(self, line: str) -> None:
        if not self._pattern.match(line.lstrip("\r")):
            self._stream.write(line)


class _Collector(logging.Handler):
    def __init__(self, messages: list[str]):
        super().__init__(logging.INFO)  # below are torch's traces, by the thousand
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())

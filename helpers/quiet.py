"""Leave out lines that a library writes on a machine where nothing is wrong.

Which ones stands beside the call that writes them. Any other line is still written: to
silence a whole logger would also hide what a learner has to read.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from warnings import catch_warnings, filterwarnings


@contextmanager
def without(lines: Mapping[str, str], warnings: Sequence[str] = ()) -> Iterator[None]:
    """Leave out certain log lines and warnings while the block runs.

    Args:
        lines: name of the logger -> a regular expression that the message holds. Of the
            logger itself: those below it have names of their own.
        warnings: regular expressions with which the messages begin.
    """
    with ExitStack() as stack:
        for name, pattern in lines.items():
            logger, passes = logging.getLogger(name), _others(pattern)
            logger.addFilter(passes)
            stack.callback(logger.removeFilter, passes)
        # Only where asked for: afterwards, filters set in the block would be gone.
        if warnings:
            stack.enter_context(catch_warnings())
        for pattern in warnings:
            filterwarnings("ignore", pattern)
        yield


def _others(pattern: str) -> Callable[[logging.LogRecord], bool]:
    return lambda record: not re.search(pattern, record.getMessage())

"""torchao, imported without the lines that it writes where nothing is wrong.

In your own code, write `import torchao`. While it is imported, version 0.18 reports each
compiled kernel for a graphics card that this machine cannot load, and torch adds a note
for torchao's authors. Only these two messages are left out.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# Name of the logger -> a piece of the message.
STRAY_LINES = {
    "torchao": "Failed to load ",
    "torch.utils._pytree": "is an Enum subclass",
}


@contextmanager
def without_stray_lines() -> Iterator[None]:
    """Leave out the messages of STRAY_LINES; every other one is still written."""
    with ExitStack() as stack:
        for name, piece in STRAY_LINES.items():
            logger = logging.getLogger(name)

            def passes(record: logging.LogRecord, piece: str = piece) -> bool:
                return piece not in record.getMessage()

            logger.addFilter(passes)
            stack.callback(logger.removeFilter, passes)
        yield


with without_stray_lines():
    import torchao
    import torchao.quantization.pt2e.quantize_pt2e
    import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer

__all__ = ["torchao", "without_stray_lines"]

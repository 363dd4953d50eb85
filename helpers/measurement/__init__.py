"""Measure: peak memory, time side by side, sizes, what the processor has.

Imports with the standard library alone: psutil, pandas and cloudpickle are imported where
they are used, so that a machine with a broken installation can still be examined.

Save, Load, Ship 0.2.0: helpers/measurement/__init__.py · repairs: CHANGELOG.md
"""

from helpers.measurement.fresh_process import Outcome, in_fresh_process
from helpers.measurement.memory import PeakMemory, peak_memory
from helpers.measurement.processor import cpu_features, has_int8_dot_product
from helpers.measurement.sizes import format_bytes, size_on_disk
from helpers.measurement.timing import time_interleaved

__all__ = [
    "Outcome",
    "PeakMemory",
    "cpu_features",
    "format_bytes",
    "has_int8_dot_product",
    "in_fresh_process",
    "peak_memory",
    "size_on_disk",
    "time_interleaved",
]

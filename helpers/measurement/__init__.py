"""Measure: peak memory, time side by side, sizes, what the machine has and leaves free.

Imports with the standard library alone: psutil, pandas and cloudpickle are imported where
they are used, so that a machine with a broken installation can still be examined.

Save, Load, Ship 0.2.0: helpers/measurement/__init__.py · repairs: CHANGELOG.md
"""

from helpers.measurement.fresh_process import Outcome, in_fresh_process
from helpers.measurement.memory import PeakMemory, peak_memory
from helpers.measurement.processor import (
    Ceiling,
    ceiling,
    cpu_features,
    has_int8_dot_product,
)
from helpers.measurement.sizes import format_bytes, free_disk, free_memory, size_on_disk
from helpers.measurement.timing import time_interleaved

__all__ = [
    "Ceiling",
    "Outcome",
    "PeakMemory",
    "ceiling",
    "cpu_features",
    "format_bytes",
    "free_disk",
    "free_memory",
    "has_int8_dot_product",
    "in_fresh_process",
    "peak_memory",
    "size_on_disk",
    "time_interleaved",
]

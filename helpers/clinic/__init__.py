"""An error message, what it means, the line that repairs it, and where to read on."""

from helpers.clinic.diagnosing import Diagnosis, diagnose, nearest
from helpers.clinic.entries import ENTRIES

__all__ = ["ENTRIES", "Diagnosis", "diagnose", "nearest"]

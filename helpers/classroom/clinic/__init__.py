"""An error message, what it means, the line that repairs it, and where to read on."""

from helpers.classroom.clinic.diagnosing import Diagnosis, diagnose, nearest
from helpers.classroom.clinic.entries import ENTRIES

__all__ = ["ENTRIES", "Diagnosis", "diagnose", "nearest"]

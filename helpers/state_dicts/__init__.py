"""Look at state dicts, compare them, rename their keys, load what fits.

A state dict maps names to tensors: a module's parameters and persistent buffers, without
its architecture. Some tensors are not dense (sparse, quantized, torchao's), and extra state
and packed parameters are no tensors; `kinds` says what each means. No function here changes
the state dict it is given.

Every function raises TypeError for anything but a module or a state dict (a whole
checkpoint, a path), and ValueError for a lazy layer that has no shape yet. The message
names the entry and says what to pass instead.

Save, Load, Ship 0.2.0: helpers/state_dicts/__init__.py · repairs: CHANGELOG.md
"""

from helpers.state_dicts.comparing import Comparison, compare
from helpers.state_dicts.keys import remap_keys, strip_prefix
from helpers.state_dicts.partial_loading import LoadReport, load_matching
from helpers.state_dicts.restoring import all_or_nothing
from helpers.state_dicts.summarizing import summarize
from helpers.state_dicts.tensors import StateDict, tensors_of

__all__ = [
    "Comparison",
    "LoadReport",
    "StateDict",
    "all_or_nothing",
    "compare",
    "load_matching",
    "remap_keys",
    "strip_prefix",
    "summarize",
    "tensors_of",
]

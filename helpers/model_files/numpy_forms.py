"""Whether what a pickle makes has the form in which NumPy and Python write it.

NumPy believes what it is told of a dtype. Where its flags hide that it holds objects, the
bytes of an array become pointers. And a number in place of content asks for memory.

Save, Load, Ship 0.2.0: helpers/model_files/numpy_forms.py · repairs: CHANGELOG.md
"""

import re
from typing import Any

from helpers.model_files.global_names import TORCH_ALLOWS
from helpers.model_files.pickle_instructions import Made

FORMS = {
    *("numpy.dtype", "numpy.ndarray", "torch._tensor._rebuild_from_type_v2"),
    *(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")),
}
# Nothing that is honest calls these but a bytearray, with its content.
MAKERS = {"builtins.bytearray"}
MAKERS |= {
    name for name in TORCH_ALLOWS if re.fullmatch(r"torch\..*(Storage|Tensor)", name)
}
_PLAIN = re.compile(r"([biufcSUVOMm])(\d{1,9})")
_OTHER = "another_form"  # of which no line is offered
_FORGED = "(a forged numpy.dtype)"


def odd_form(made: Made) -> str:
    """Return "" for what is written so and all that is unknown here, else a name for it.

    >>> dtype = Made("numpy.dtype", ("O8", False, True))
    >>> odd_form(dtype)
    ''
    >>> dtype.state = (3, "|", None, None, None, -1, -1, 0)  # NumPy writes 63
    >>> odd_form(dtype)
    '(a forged numpy.dtype)'
    """
    name, args = made.name, made.args
    if name in MAKERS:
        is_content = name == "builtins.bytearray" and type((args or ("",))[0]) in (
            str,
            bytes,
        )
        return "" if not args or is_content else f"(memory for any {name})"
    if name == "torch._tensor._rebuild_from_type_v2":  # it fills what a call returns
        is_sound = args and getattr(args[0], "name", "").startswith("torch.")
        return "" if is_sound else f"{name}.{_OTHER}"
    if name not in FORMS:
        return ""
    if name == "numpy.dtype":
        return _odd_dtype(args, made.state)
    if name == "numpy.ndarray":
        return f"{name}.{_OTHER}"
    is_sound = len(args) == 3 and args[1:] in (((0,), b"b"), ((0,), "b"))
    is_sound = is_sound and getattr(args[0], "name", "") == "numpy.ndarray"
    if made.state is not None:
        state = made.state if _is_tuple(made.state, 5) else (None, None, None)
        version, shape, dtype = state[:3]
        is_sound = is_sound and version == 1 and type(shape) is tuple
        is_sound = is_sound and getattr(dtype, "name", "") == "numpy.dtype"
    return "" if is_sound else f"numpy.ndarray.{_OTHER}"


def _is_tuple(value: Any, length: int) -> bool:
    return type(value) is tuple and len(value) == length


def _odd_dtype(args: Any, state: Any) -> str:
    code = args[0] if _is_tuple(args, 3) else None
    found = _PLAIN.fullmatch(code) if type(code) is str else None
    if found is None:
        return f"numpy.dtype.{_OTHER}"
    if state is None:
        return ""
    kind, size, version = found[1], int(found[2]), 3
    if kind in "Mm":
        unit: Any = state[8] if _is_tuple(state, 9) else None
        numbers = unit[1][1:] if _is_tuple(unit, 2) and _is_tuple(unit[1], 4) else (0,)
        if not all(type(n) is int and 0 < n < 1 << 31 for n in numbers):
            return _FORGED
        version, state = 4, state[:8]
    if not _is_tuple(state, 8):
        return f"numpy.dtype.{_OTHER}"
    if kind == "V" and state[2:5] != (None, None, None):
        return f"numpy.dtype.{_OTHER}"  # fields, of which each has its own flags
    sizes = {"S": (size, 1), "V": (size, 1), "U": (4 * size, 4)}.get(kind, (-1, -1))
    sound = (None, None, None, *sizes, {"O": 63, "U": 8}.get(kind, 0))
    is_sound = state[0] == version and state[1] in ("<", ">", "|", "=")
    return "" if is_sound and state[2:] == sound else _FORGED

"""Argument checks that several modules share: one clear error that names the argument.

Save, Load, Ship 0.2.0: helpers/arguments.py · repairs: CHANGELOG.md
"""

import operator
from collections.abc import Collection
from contextlib import suppress
from typing import SupportsIndex


def type_of(value: object) -> str:
    """Return the type of a value as an error message says it.

    >>> type_of([1, 2])
    'of type list'
    """
    return f"of type {type(value).__name__}"


def require_module(model: object) -> None:
    """Refuse a model that is not a module, such as a state dict.

    Raises:
        TypeError: the model is not a `torch.nn.Module`.

    >>> require_module({"weight": 1})
    Traceback (most recent call last):
    TypeError: model is of type dict; expected a torch.nn.Module
    """
    from torch import nn  # here, so that whoever works without torch can import the rest

    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type_of(model)}; expected a torch.nn.Module")


def whole_number(name: str, value: object, *, least: int, most: int | None = None) -> int:
    """Return an argument as an int; NumPy's and torch's whole numbers are accepted.

    Raises:
        ValueError: the value is not a whole number from least to most; bool is rejected.

    >>> whole_number("step", 3, least=0)
    3
    >>> whole_number("bits", 2.5, least=2, most=16)
    Traceback (most recent call last):
    ValueError: bits is 2.5; expected a whole number from 2 to 16
    """
    number = None
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        with suppress(TypeError):  # a tensor of floats has the method as well
            number = operator.index(value)
    if number is None or number < least or (most is not None and number > most):
        bounds = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} is {value!r}; expected a whole number {bounds}")
    return number


def require_one_of(name: str, value: object, allowed: Collection[object]) -> None:
    """Refuse a value that is not one of those allowed.

    Raises:
        ValueError: it is not; the message lists what is.

    >>> require_one_of("observer", "median", ("minmax", "mse"))
    Traceback (most recent call last):
    ValueError: observer is 'median'; expected one of 'minmax', 'mse'
    """
    if value not in allowed:
        listed = ", ".join(map(repr, allowed))
        raise ValueError(f"{name} is {value!r}; expected one of {listed}")

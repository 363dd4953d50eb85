"""The check of a number that an explorer computes with."""

import math
from numbers import Real


def finite_number(
    name: str, value: object, *, least: float | None = None, above: float | None = None
) -> float:
    """Return an argument as a float; NumPy's numbers are accepted.

    Args:
        name: of the argument.
        value: of the argument.
        least: the smallest accepted value.
        above: what the value must exceed; at most one of the two is given.

    Raises:
        ValueError: the value is not a finite number in that range; bool is rejected.
    """
    number = float(value) if isinstance(value, Real) else math.nan
    fits = math.isfinite(number) and not isinstance(value, bool)
    fits = fits and (least is None or number >= least) and (above is None or number > above)
    if not fits:
        bounds = f" of {least} or more" if least is not None else ""
        bounds = f" above {above}" if above is not None else bounds
        raise ValueError(f"{name} is {value!r}; expected a finite number{bounds}")
    return number

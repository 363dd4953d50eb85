"""How far two entries of state dicts are apart: to the last bit, whatever their kind.

Save, Load, Ship 0.2.0: helpers/state_dicts/differences.py · repairs: CHANGELOG.md
"""

import math
import pickle
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from helpers.arguments import type_of
from helpers.state_dicts.kinds import is_empty_shell, kind_of, pieces, shape_of


class NotComparableError(Exception):
    """Why nobody can say whether two entries are the same.

    >>> try:
    ...     largest_difference(torch.empty(2), torch.empty(2, device="meta"))
    ... except NotComparableError as error:
    ...     print(error)
    no values on the meta device
    """


def is_same(a: Any, b: Any) -> bool:
    """Return whether two entries are of one kind, and the same to the last bit.

    Raises:
        NotComparableError: nobody can say.

    >>> is_same({"factor": 7}, {"factor": 7}), is_same(torch.ones(2), torch.ones(2).half())
    (True, False)
    """
    seen: dict[tuple[int, int], Any] = {}  # a value may hold itself
    waiting = [(a, b)]
    while waiting:
        a, b = waiting.pop()
        if (id(a), id(b)) in seen:
            continue
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            if (kind_of(a), a.dtype, shape_of(a)) != (kind_of(b), b.dtype, shape_of(b)):
                return False
            if is_empty_shell(a) or is_empty_shell(b):
                raise NotComparableError("no values on the meta device")
            if kind_of(a) == "":
                if not same_bytes(_flat(a), _flat(b)):
                    return False
                continue
        ours, theirs = pieces(a), pieces(b)
        if ours is not None and theirs is not None:
            if not _equal(ours[0], theirs[0]):
                return False
            seen[id(a), id(b)] = a, b
            waiting += reversed(list(zip(ours[1], theirs[1], strict=True)))
        elif isinstance(a, Tensor) and isinstance(b, Tensor):
            raise NotComparableError(f"a {kind_of(a)} does not show what it is made of")
        elif type(a) is not type(b) or not _equal(a, b):
            return False
    return True


def largest_difference(a: Any, b: Any) -> float | None:
    """Return the largest absolute difference between two entries.

    Returns:
        None where all bits are the same or, between two kinds or dtypes, all values; 0.0
        for equal values in other bits, such as 0.0 and -0.0; inf where they differ and
        have no distance, such as two dicts, or a NaN and a number.

    Raises:
        NotComparableError: nobody can say.

    >>> largest_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
    0.5
    >>> largest_difference(torch.tensor([0.0]), torch.tensor([-0.0]))
    0.0
    >>> largest_difference(torch.ones(2), torch.ones(2)) is None
    True
    """
    if is_same(a, b):
        return None
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or shape_of(a) != shape_of(b):
        return math.inf
    if is_empty_shell(a) or is_empty_shell(b):
        raise NotComparableError("no values on the meta device")
    try:
        gap = _gap_between(_flat(_dense(a, b)), _flat(_dense(b, a)))
    except (RuntimeError, ValueError, TypeError, NotImplementedError):
        return math.inf  # packed bits, and what has no dense form
    is_one_kind = a.dtype == b.dtype and kind_of(a) == kind_of(b)
    return gap if is_one_kind or gap else None


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float):  # a NaN is itself, and 0.0 is not -0.0
        return repr(a) == repr(b)
    with suppress(Exception):  # an array has no single answer
        if bool(a == b):
            return True
        if type(a).__eq__ is not object.__eq__:
            return False
    with suppress(Exception):  # of a class that defines no equality
        if pickle.dumps(a) == pickle.dumps(b):
            return True
    raise NotComparableError(f"nothing says whether two objects {type_of(a)} are equal")


def _flat(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().as_subclass(Tensor).cpu()
    return tensor.resolve_conj().resolve_neg().contiguous().flatten()


def same_bytes(a: Tensor, b: Tensor) -> bool:
    """Return whether two contiguous tensors of one dimension have the same bytes.

    >>> same_bytes(torch.tensor([torch.nan]), torch.tensor([torch.nan]))
    True
    """
    a, b = a.view(torch.uint8), b.view(torch.uint8)
    whole = len(a) // 8 * 8
    is_aligned = a.storage_offset() % 8 == b.storage_offset() % 8 == 0
    if len(a) != len(b) or not is_aligned:
        return torch.equal(a, b)
    eights = (t[:whole].view(torch.int64) for t in (a, b))  # ten times as fast
    return torch.equal(a[whole:], b[whole:]) and torch.equal(*eights)


def _dense(tensor: Tensor, other: Tensor) -> Tensor:
    """Return the tensor's values as a dense one, in the order of the other's values."""
    kind = kind_of(tensor)
    if not kind:
        return tensor
    if kind == "nested" or kind.startswith("sparse"):
        # Not to_dense(): a graph's matrix may be larger than all memory, and a file's
        # indices may point beyond it.
        (form, ours), (other_form, theirs) = (
            pieces(t) or ("", []) for t in (tensor, other)
        )
        if form != other_form:
            raise ValueError("of another kind")
        at = 0 if kind == "nested" else -1
        values, _ = ours.pop(at), theirs.pop(at)
        if not is_same(ours, theirs):
            raise ValueError("not in the same places")
        return values
    held = [piece for piece in (pieces(tensor) or ("", []))[1] if isinstance(piece, Tensor)]
    if len(held) == 1 and held[0].dtype == tensor.dtype:  # DTensor's local part
        return held[0]
    return tensor.detach().dequantize()


def _gap_between(a: Tensor, b: Tensor) -> float:
    # In pieces, so that the wide copies of a large tensor take little memory.
    pairs = zip(a.split(2**20), b.split(2**20), strict=True)
    return max((_gap(x, y) for x, y in pairs if len(x)), default=0.0)


def _gap(x: Tensor, y: Tensor) -> float:
    are_whole = not any(t.is_floating_point() or t.is_complex() for t in (x, y))
    if are_whole and 8 in (x.element_size(), y.element_size()):
        # 2**53 and 2**53 + 1 are one float64: as Python's integers, and rounded once.
        return float(max(abs(m - n) for m, n in zip(x.tolist(), y.tolist(), strict=True)))
    wide = torch.complex128 if x.is_complex() or y.is_complex() else torch.float64
    x, y = x.to(wide), y.to(wide)
    equal = (x == y) | (x.isnan() & y.isnan())
    gap = torch.where(equal, 0.0, (x - y).abs())
    return gap.nan_to_num(nan=torch.inf, posinf=torch.inf).max().item()

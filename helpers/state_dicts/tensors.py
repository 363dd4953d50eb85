"""What a dict of tensors must be, and what a report on one looks like.

The shared parts of `helpers.state_dicts`, which is where to begin reading.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from helpers.arguments import type_of

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True, repr=False)
class NameReport:
    """One row per name; counts as short text, and as HTML what is worth a look."""

    rows: tuple[tuple[str, ...], ...]

    def table(self) -> pd.DataFrame:
        """One row per name, all as text: name, finding, ..., note."""
        return pd.DataFrame(self.rows, columns=self._columns)

    def __repr__(self) -> str:
        """Return the counts; the same on every machine."""
        counts = Counter({self._good: 0})
        counts.update(row[1] for row in self.rows)
        parts = ", ".join(f"{count} {finding}" for finding, count in counts.items())
        return f"{type(self).__name__}({parts})"

    def _repr_html_(self) -> str:
        table = self.table()
        rows = table[(table.finding != self._good) | (table.note != "")]
        shown = rows.to_html(index=False, max_rows=60) if len(rows) else ""
        return f"<p>{self!r}</p>{shown}"

    def __bool__(self) -> bool:
        """Refuse to be a truth value."""
        # Without this, `assert compare(a, b)` would pass whatever was found.
        raise TypeError(f"a {type(self).__name__} is not true or false: ask for a field")


def largest_difference(a: Tensor, b: Tensor) -> float | None:
    """Return it as a float; 0.0 for equal values in other bits, None for no difference.

    There is no difference where all bits are the same or, between two dtypes, all values.
    """
    same_dtype = a.dtype == b.dtype
    a, b = (t.detach().cpu().resolve_conj().contiguous().flatten() for t in (a, b))
    if same_dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8)):
        return None
    gap_between = _whole_gap if _is_whole(a) and _is_whole(b) else _gap
    largest = 0.0
    # In pieces, so that the wide copies of a large tensor take little memory.
    for x, y in zip(a.split(2**20), b.split(2**20), strict=True):
        if len(x):
            largest = max(largest, gap_between(x, y).max().item())
    return largest if same_dtype or largest else None


def _gap(x: Tensor, y: Tensor) -> Tensor:
    wide = torch.complex128 if x.is_complex() or y.is_complex() else torch.float64
    x, y = x.to(wide), y.to(wide)
    equal = (x == y) | (x.isnan() & y.isnan())
    gap = torch.where(equal, 0.0, (x - y).abs())
    return gap.nan_to_num(nan=torch.inf, posinf=torch.inf)


def _is_whole(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex())


def _whole_gap(x: Tensor, y: Tensor) -> Tensor:
    # 2**53 and 2**53 + 1 are one float64, and a difference of two int64 may need 65
    # bits. In halves of 32 bits nothing is lost before the one rounding of the sum.
    high_x, low_x = _halves(x)
    high_y, low_y = _halves(y)
    return ((high_x - high_y).double() * 2**32 + (low_x - low_y).double()).abs()


def _halves(integers: Tensor) -> tuple[Tensor, Tensor]:
    """Return (high, low), int64, with high * 2**32 + low == integers."""
    low_bits = 2**32 - 1
    if integers.dtype == torch.uint64:  # int64 reads its upper half as negative
        signed = integers.view(torch.int64)
        return (signed >> 32) & low_bits, signed & low_bits
    wide = integers.long()
    return wide >> 32, wide & low_bits


def tensors_of(source: nn.Module | StateDict, argument: str) -> StateDict:
    """Return the state dict that the source has or is, or raise an error that helps."""
    if isinstance(source, nn.Module):
        source = source.state_dict()
    if not isinstance(source, Mapping):
        raise TypeError(
            f"{argument} is {type_of(source)}; expected a module or a state dict. "
            "Read a file first: torch.load(path, weights_only=True)"
        )
    for key, value in source.items():
        entry = f"{argument}[{key!r}]"
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{entry} is {type_of(value)}; expected a tensor. {_advice(source)}"
            )
        if not isinstance(key, str):
            raise TypeError(f"{argument} has the key {key!r}; expected names as text")
        if value.layout is not torch.strided or value.is_quantized:
            raise TypeError(
                f"{entry} is sparse or quantized; expected dense tensors. "
                "Convert it first: .to_dense() or .dequantize()"
            )
        if nn.parameter.is_lazy(value):
            raise ValueError(f"{entry} has no shape yet: run one batch through the model")
    return source


def _advice(source: Mapping) -> str:
    """Say which entry of a checkpoint to pass."""

    def fits(value: object) -> bool:
        inner = value.values() if isinstance(value, Mapping) and value else [None]
        return isinstance(value, nn.Module) or all(isinstance(v, Tensor) for v in inner)

    inside = [f"checkpoint[{key!r}]" for key, value in source.items() if fits(value)]
    if inside:
        return f"This looks like a whole checkpoint: pass {' or '.join(inside)}"
    return "Pass a dict that holds nothing else"


def dtype_of(tensor: Tensor) -> str:
    """Return the dtype's short name, such as "float32"."""
    return str(tensor.dtype).removeprefix("torch.")


def words(tensor: Tensor | None) -> str:
    """Return dtype and shape as text; "" for None."""
    return "" if tensor is None else f"{dtype_of(tensor)} {tuple(tensor.shape)}"

"""What becomes of numbers in fewer bits: casts of state dicts, and rounding the fraction.

A float is sign, exponent and fraction: float32 has 1 + 8 + 23 bits, bfloat16 1 + 8 + 7,
float16 1 + 5 + 10 (IEEE 754; bfloat16 is the upper half of a float32).

Save, Load, Ship 0.2.0: helpers/dtypes.py · repairs: CHANGELOG.md
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from helpers.arguments import type_of, whole_number
from helpers.state_dicts import tensors_of
from helpers.state_dicts.kinds import is_empty_shell, kind_of

# Those of 8 bits are left out: without an infinity, nothing shows what was too large.
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_PACKED = (torch.float4_e2m1fn_x2,)  # two numbers in a byte, which torch cannot cast
FRACTION_BITS = 23  # of a float32, besides one for the sign and 8 for the exponent


def cast_floats(
    model_or_state_dict: nn.Module | Mapping[str, Tensor], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return a new dict with the floating-point tensors in the dtype, the rest as it is.

    The rest is integers, what is quantized, sparse or nested, subclasses such as torchao's,
    packed 4-bit floats, and what is no tensor.

    Raises:
        TypeError: the source is neither a module nor a state dict, or the dtype is not
            one of FLOATS.
        ValueError: finite values would become infinite; the message names the first.

    >>> half = cast_floats(nn.BatchNorm1d(2), torch.float16)
    >>> half["weight"].dtype, half["num_batches_tracked"].dtype
    (torch.float16, torch.int64)
    >>> cast_floats({"scale": torch.tensor(7e4)}, torch.float16)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: 'scale' holds 70000, and the largest torch.float16 is 65504; keep ...
    """
    if dtype not in FLOATS:
        raise TypeError(f"dtype is {dtype!r}; expected one such as torch.float16")
    cast = {}
    for name, tensor in tensors_of(model_or_state_dict, "model_or_state_dict").items():
        is_dense = isinstance(tensor, Tensor) and not kind_of(tensor)
        if not is_dense or not tensor.is_floating_point() or tensor.dtype in _PACKED:
            cast[name] = tensor
            continue
        cast[name] = tensor.detach().to(dtype)
        if is_empty_shell(tensor):  # without values, none can be lost
            continue
        wide = tensor if tensor.dtype in FLOATS else tensor.float()  # float8 can do little
        lost = wide.isfinite() & cast[name].isinf()
        if bool(lost.any()):
            most = wide[lost].abs().max().item()
            raise ValueError(
                f"{name!r} holds {most:g}, and the largest {dtype} is "
                f"{torch.finfo(dtype).max:g}; keep it in {tensor.dtype}, or use bfloat16"
            )
    return cast


def round_fraction(tensor: Tensor, bits: int, *, cut: bool = False) -> Tensor:
    """Keep the first bits of each number's fraction; sign and exponent stay whole.

    Args:
        tensor: float32, any shape, which the result has as well.
        bits: 0 to 23. Rounding to 7 gives the values of bfloat16.
        cut: drop the rest, which rounds towards zero, instead of rounding to nearest,
            ties to even.

    Raises:
        TypeError: the tensor is not float32.
        ValueError: bits is not a whole number from 0 to 23.

    >>> round_fraction(torch.tensor([1.1, 1000.1]), bits=7)  # as in bfloat16
    tensor([   1.1016, 1000.0000])
    >>> torch.tensor([1.1, 1000.1]).bfloat16().float()
    tensor([   1.1016, 1000.0000])
    """
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
        what = tensor.dtype if isinstance(tensor, Tensor) else type_of(tensor)
        raise TypeError(f"tensor is {what}; expected torch.float32")
    dropped = FRACTION_BITS - whole_number("bits", bits, least=0, most=FRACTION_BITS)
    integers = tensor.detach().view(torch.int32)
    if not cut and dropped:
        # Half of the last bit that stays, and its own value where the rest is a tie.
        last = (integers >> dropped) & 1
        integers = integers + (2 ** (dropped - 1) - 1) + last
    kept = (integers & -(2**dropped)).view(torch.float32)
    # The bits of a NaN or an infinity would become those of another number.
    return torch.where(tensor.isfinite(), kept, tensor)

"""A model of one's own in an explorer: what it is asked about, and what stays in float."""

import torch
from torch import nn

from helpers.quantization import Evaluation, Evaluator, Scheme, Setting
from helpers.quantization.inputs import Inputs, row_count

LEAST = 32  # rows to calibrate with: a slider needs two stops


def unit_of(inputs: Inputs, count: int) -> str:
    """Say what is asked about, of which there are so many: images, rows or tokens."""
    if are_images(inputs):
        return "images"
    return "rows" if row_count(inputs) == count else "tokens"


def are_images(inputs: Inputs) -> bool:
    """Say whether inputs can be shown as pictures: floats (N, 1 or 3, rows, columns)."""
    if not isinstance(inputs, torch.Tensor) or inputs.dim() != 4:
        return False
    return inputs.is_floating_point() and inputs.shape[1] in (1, 3)


def rest_words(found: Evaluation) -> str:
    """Say which layers stay in float in every setting; nothing where there are none."""
    if not found.rest:
        return ""
    names, size = list(found.rest), sum(found.rest.values())
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return (
        f"{size:,} of {found.float_bytes:,} bytes are in layers that stay in float: "
        f"{', '.join(names[:4])}{more}."
    )


def no_activations(
    model: nn.Module, evaluator: Evaluator, inputs: Inputs, calibration: Inputs | None
) -> str:
    """Return a sentence that says why activations cannot be quantized; "" if they can.

    Raises:
        ValueError: there are too few rows to calibrate with, or they do not suit.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.MultiheadAttention):
            return (
                "Activations stay in float: inside PyTorch's attention "
                f"({name or 'the model itself'}) they cannot be rounded."
            )
    if calibration is None:
        return "Activations stay in float: there are no calibration inputs."
    count = row_count(calibration)
    shape = tuple(getattr(calibration, "shape", (count,)))
    if are_images(inputs) and (count < LEAST or shape[1:] != inputs.shape[1:]):
        expected = ", ".join(map(str, inputs.shape[1:]))
        raise ValueError(
            f"calibration has shape {shape}; expected (N, {expected}) as the images have, "
            f"with N at least {LEAST}"
        )
    if count < LEAST:
        raise ValueError(f"calibration has {count} rows; expected {LEAST} or more")
    try:  # otherwise the panel would fail later, when a slider asks for it
        evaluator(Setting(activations=Scheme(), calibration=LEAST))
    except ValueError as error:
        return f"Activations stay in float: {error}."
    except Exception as error:
        raise ValueError(
            f"the model does not run on calibration ({type(error).__name__}: {error}); "
            "expected such inputs as those to evaluate on"
        ) from error
    return ""

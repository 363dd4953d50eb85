"""Every panel's words over its controls' whole range, at three widths, without JupyterLab."""

import pytest
import torch

from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import load_reference_model
from helpers.classroom.explorers.crash_timeline import crash_timeline
from helpers.classroom.explorers.file_size import file_size
from helpers.classroom.explorers.format_chooser import format_chooser
from helpers.classroom.explorers.fraction_bits import fraction_bits
from helpers.classroom.explorers.layer_view import layer_view
from helpers.classroom.explorers.number_line import number_line
from helpers.classroom.explorers.precision import precision
from helpers.classroom.explorers.sensitivity import sensitivity
from helpers.classroom.explorers.smaller import smaller
from helpers.classroom.explorers.tolerance import tolerance
from helpers.classroom.explorers.trade_off import SHOW, trade_off
from helpers.classroom.explorers.weight_row import weight_row
from helpers.onnx_export import Parity
from helpers.quantization import fold_batch_norm, quantizable_layers
from tests.browser import labels

# What JupyterLab leaves a panel of a window 1280, 800, 480 and 360 px wide.
WIDTHS = (1100, 684, 364, 244)


def _parities():
    errors = {"float32": 1e-6, "float16": 1e-2, "int8": 0.5, "training mode": 5.0}
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, error in errors.items():
        gaps = error * torch.rand(50, 10, generator=generator)
        magnitudes = torch.rand(50, 10, generator=generator)
        found[name] = Parity(error, 1, 1, 0, (50,), True, None, gaps, magnitudes)
    return found


def _results():
    return {
        (width, zeros, bits): (
            60 * width * width * bits // 8 * (110 - zeros) // 100,
            min(0.989, 0.4 + 0.03 * width + 0.06 * bits - zeros / 400),
        )
        for width in (3, 6, 12, 24)
        for zeros in (0, 50, 75, 90)
        for bits in (3, 4, 8)
    }


def _row():
    return load_reference_model().blocks[0][3].weight.detach()[0].flatten()


def _middle():
    folded = fold_batch_norm(load_reference_model())
    return quantizable_layers(folded)["blocks.2.0"].weight


PANELS = {
    "weight row": lambda: weight_row(_row()),
    "formats": format_chooser,
    "file size": file_size,
    "crash": crash_timeline,
    "fraction": fraction_bits,
    "tolerance": lambda: tolerance(_parities()),
    "precision": lambda: precision(load_reference_model(), load_digits().test_images[:50]),
    "number line": lambda: number_line(_middle(), "blocks.2.0"),
    "layer": lambda: layer_view(load_reference_model(), "blocks.1.0"),
    "trade-off": trade_off,
    "sensitivity": lambda: sensitivity(load_reference_model()),
    "smaller": lambda: smaller(_results()),
}

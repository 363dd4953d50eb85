"""How much of a state dict's file is numbers, and how much is bookkeeping?"""

import io
from functools import cache

import safetensors.torch
import torch

from helpers.classroom.charts import Chart, bars
from helpers.classroom.data.networks import DigitsNet
from helpers.classroom.panel import Choice, Panel, Range

FORMATS = (".pt", ".safetensors")
WIDTHS = range(1, 33)


def sizes(width: int, format: str) -> tuple[int, int]:
    """Return (bytes of the tensors, bytes of the file) of a DigitsNet's state dict."""
    state_dict = DigitsNet(width).state_dict()
    numbers = sum(tensor.nbytes for tensor in state_dict.values())
    if format == ".safetensors":
        return numbers, len(safetensors.torch.save(state_dict))
    file = io.BytesIO()
    torch.save(state_dict, file)
    return numbers, file.tell()


@cache
def largest_file() -> int:
    """Return the bytes of the largest file that the panel can show."""
    return max(sizes(WIDTHS[-1], format)[1] for format in FORMATS)


def draw(width: int, format: str) -> Chart:
    """Draw the numbers and the rest of the file as two bars, always to one scale."""
    numbers, file = sizes(width, format)
    text = (
        f"Width {width}: {numbers / 1000:.1f} kB of numbers and "
        f"{(file - numbers) / 1000:.1f} kB of bookkeeping in a {format} file. "
        f"{(file - numbers) / file:.0%} of the file is bookkeeping."
    )
    values = {"kB": [numbers / 1000, (file - numbers) / 1000]}
    labels = ["numbers", "names, headers, padding"]
    title = f"A DigitsNet of width {width}, saved"
    scale = largest_file() / 1000
    return bars(title, labels, values, unit="kB", digits=1, largest=scale, text=text)


def file_size() -> Panel:
    """Return the panel: the model's width and the file's format, held in the browser."""
    controls = [
        Range("width", "Width of the model", WIDTHS[0], WIDTHS[-1], 24),
        Choice("format", "Format", FORMATS, FORMATS[0]),
    ]
    return Panel("What is in the file?", controls, draw, ahead=True)

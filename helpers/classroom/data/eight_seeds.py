"""Eight more DigitsNets: is what quantization does to the shipped model one draw of many?

The table lies beside the weights. `python -m helpers.classroom.data.eight_seeds` trains the
eight anew, in about a minute, and writes it; another processor or thread count gives other
trainings, so other figures (this one: torch 2.13 on one thread of an AMD EPYC).
"""

import json
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from helpers.atomic import atomic_write
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import train_reference_model
from helpers.quantization import Scheme, quantize_model
from helpers.training import accuracy

TABLE = Path(__file__).parent / "weights" / "eight_seeds.json"
SEEDS = range(8)
SCHEMES = {
    "float32": None,
    "4 bits per tensor": Scheme(4),
    "3 bits per tensor": Scheme(3),
    "3 bits, percentile 96": Scheme(3, observer="percentile", percentile=96),
    "3 bits, mse": Scheme(3, observer="mse"),
    "3 bits per channel": Scheme(3, granularity="channel"),
}


def measure(model: nn.Module) -> dict[str, float]:
    """Return for each of SCHEMES how many percent of the 719 test images are right."""
    digits = load_digits()
    return {
        name: round(
            100
            * accuracy(
                quantize_model(model, scheme), digits.test_images, digits.test_labels
            ),
            1,
        )
        for name, scheme in SCHEMES.items()
    }


def load_eight_seeds(path: str | Path = TABLE) -> pd.DataFrame:
    """Return the table that ships with the course, in percent.

    It has a row for each of SCHEMES and a column for each seed.
    """
    columns = json.loads(Path(path).read_text(encoding="utf-8"))
    table = pd.DataFrame({int(seed): column for seed, column in columns.items()})
    return table.rename_axis(columns="seed")


def save_eight_seeds(path: str | Path = TABLE) -> Path:
    """Train, measure and write all of SEEDS, all or nothing; return the path."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        columns = {seed: measure(train_reference_model(seed)) for seed in SEEDS}
    finally:
        torch.set_num_threads(threads)
    data = (json.dumps(columns, indent=1) + "\n").encode()
    with atomic_write(path, len(data)) as file:
        file.write(data)
    return Path(path)


if __name__ == "__main__":
    print(save_eight_seeds())

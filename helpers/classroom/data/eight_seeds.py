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
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from helpers.atomic import atomic_write
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import train_reference_model
from helpers.quantization import (
    Scheme,
    fake_quantize,
    fold_batch_norm,
    packed_bytes,
    quantizable_layers,
    quantize_model,
)
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
MIXED, MOST_BYTES = "mixed bits in 10 kB", 10_000
MSE = {bits: Scheme(bits, observer="mse") for bits in range(2, 9)}


def measure(model: nn.Module) -> dict[str, float]:
    """Return how many percent of the test images are right.

    For each of SCHEMES of all 719; for MIXED, whose bits were chosen on the first 360, of
    the last 359.
    """
    digits = load_digits()
    images, labels = digits.test_images, digits.test_labels
    right = {
        name: accuracy(quantize_model(model, scheme), images, labels)
        for name, scheme in SCHEMES.items()
    }
    mixed = quantize_model(model, mixed_schemes(model))
    right[MIXED] = accuracy(mixed, *digits.judging)
    return {name: round(100 * share, 1) for name, share in right.items()}


def mixed_schemes(model: nn.Module) -> dict[str, Scheme]:
    """Return layer -> scheme: each has bits of its own, and the model MOST_BYTES at most.

    From 8 bits everywhere, one bit after the other goes where it seems to cost least
    cross-entropy of the first 360 test images for each byte that it saves. To save time,
    only the layer that looks cheapest is measured anew, so other costs may be too low or
    too high. Notebook 09 writes it out.
    """
    images, labels = load_digits().choosing
    folded = fold_batch_norm(model).requires_grad_(False)
    layers = quantizable_layers(folded)
    rounded = {
        (name, bits): fake_quantize(layer.weight, scheme)
        for name, layer in layers.items()
        for bits, scheme in MSE.items()
    }

    def loss(bits: dict[str, int]) -> float:
        weights = {f"{name}.weight": rounded[name, bits[name]] for name in bits}
        return cross_entropy(functional_call(folded, weights, images), labels).item()

    bits, costs = dict.fromkeys(layers, 8), dict.fromkeys(layers, 0.0)
    now = loss(bits)
    while packed_bytes(folded, {name: MSE[bits[name]] for name in bits}) > MOST_BYTES:
        layer = min(costs, key=costs.__getitem__)
        fewer = bits | {layer: bits[layer] - 1}
        costs[layer] = ((then := loss(fewer)) - now) / layers[layer].weight.numel()
        # To save time, the other costs are from before: too low or too high, perhaps.
        if costs[layer] == min(costs.values()):
            bits, now = fewer, then
            if bits[layer] == min(MSE):
                del costs[layer]
    return {name: MSE[bits[name]] for name in bits}


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

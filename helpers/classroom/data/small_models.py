"""Smaller DigitsNets that ship with the course: cut, pruned, and taught.

`python -m helpers.classroom.data.small_models` makes them again, in about half a minute.
"""

import copy
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from helpers.atomic import atomic_write
from helpers.classroom.data.digits import load_digits
from helpers.classroom.data.networks import DigitsNet, load_reference_model
from helpers.classroom.data.pruning import (
    keep_strongest_channels,
    prunable_layers,
    sparse_bytes,
)
from helpers.quantization import Scheme, quantize_model
from helpers.training import accuracy, seed_everything

WEIGHTS = Path(__file__).parent / "weights" / "small_models.safetensors"
WIDTHS = (6, 12, 24)  # 24 is the reference model's
ZEROS = (0, 50, 80, 90)  # percent of the weights of the prunable layers
BITS = (3, 4, 6, 8)
# (width, percent of zeros, bits) -> (bytes, accuracy 0 to 1)
Results = dict[tuple[int, int, int], tuple[int, float]]
RECIPE = {"seed": 0, "epochs": 30, "batch_size": 64, "max_lr": 0.01, "temperature": 3.0}


def distillation_loss(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return how far a student's softened answers are from its teacher's.

    The Kullback-Leibler divergence of softmax(logits / T), times T squared so that its
    gradients keep their size (G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge
    in a Neural Network", 2015).

    Args:
        student: logits (B, classes).
        teacher: logits (B, classes), without gradient.
        temperature: T, above 0; the higher, the more the small answers count.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature!r}; expected a number above 0")
    return temperature**2 * functional.kl_div(
        functional.log_softmax(student / temperature, dim=1),
        functional.softmax(teacher / temperature, dim=1),
        reduction="batchmean",
    )


def train_small_models() -> dict[tuple[int, int], DigitsNet]:
    """Make all of them from the reference model: (width, percent of zeros) -> model.

    A width is cut out of the reference model. Zeros are set by magnitude, layer by layer,
    and stay zero while the model is trained to answer as the reference model does.
    """
    reference = load_reference_model()
    models = {}
    for width in WIDTHS:
        whole = keep_strongest_channels(reference, width)
        if width < WIDTHS[-1]:
            _teach(whole, reference)
        for percent in ZEROS:
            models[width, percent] = _pruned(whole, percent, reference)
    return models


def load_small_models(
    path: str | Path = WEIGHTS,
) -> dict[tuple[int, int], DigitsNet]:
    """Return (width, percent of zeros) -> a DigitsNet in eval mode, all twelve.

    Raises:
        FileNotFoundError: there is no file at the path.
        ValueError: the file is damaged or lacks a model.
    """
    path = Path(path)
    cure = "restore it with `git checkout -- helpers/classroom/data/weights`"
    if not path.is_file():
        raise FileNotFoundError(f"the file of weights {path} is missing; {cure}")
    try:
        tensors = safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); {cure}") from error
    models = {(WIDTHS[-1], 0): load_reference_model()}
    for width in WIDTHS:
        for percent in ZEROS:
            if (width, percent) in models:
                continue
            prefix = f"{width}.{percent}."
            own = {
                k.removeprefix(prefix): t
                for k, t in tensors.items()
                if k.startswith(prefix)
            }
            model = DigitsNet(width).eval()
            try:
                model.load_state_dict(own)
            except RuntimeError as error:
                raise ValueError(
                    f"{path} lacks the model of width {width} with {percent} % zeros; "
                    f"{cure}"
                ) from error
            models[width, percent] = model
    return dict(sorted(models.items()))


def measure(
    models: Mapping[tuple[int, int], DigitsNet], images: torch.Tensor, labels: torch.Tensor
) -> Results:
    """Return bytes and accuracy of every model at every bit width, one scale a channel.

    Args:
        models: (width, percent of zeros) -> model.
        images: (N, 1, 8, 8).
        labels: (N,).
    """
    results = {}
    for (width, zeros), model in models.items():
        for bits in BITS:
            scheme = Scheme(bits=bits, granularity="channel")
            right = accuracy(quantize_model(model, scheme), images, labels)
            results[width, zeros, bits] = (sparse_bytes(model, scheme), right)
    return results


def best_below(results: Results, most: int) -> tuple[int, int, int]:
    """Return the most accurate (width, percent of zeros, bits) within so many bytes.

    Of equally accurate ones the smallest.

    Raises:
        ValueError: none is that small.
    """
    fitting = {key: value for key, value in results.items() if value[0] <= most}
    if not fitting:
        smallest = min(size for size, _ in results.values())
        raise ValueError(f"no model fits into {most} bytes; the smallest has {smallest}")
    return max(fitting, key=lambda key: (fitting[key][1], -fitting[key][0]))


def _pruned(whole: DigitsNet, percent: int, teacher: nn.Module) -> DigitsNet:
    model = copy.deepcopy(whole)
    if percent:
        layers = prunable_layers(model).values()
        for layer in layers:
            prune.l1_unstructured(layer, "weight", amount=percent / 100)
        _teach(model, teacher)
        for layer in layers:
            prune.remove(layer, "weight")
    return model.eval()


def _teach(model: nn.Module, teacher: nn.Module) -> None:
    digits = load_digits()
    images, size = digits.train_images, RECIPE["batch_size"]
    with torch.no_grad():
        answers = teacher.eval()(images)
    seed_everything(RECIPE["seed"])
    optimizer = torch.optim.AdamW(model.parameters(), RECIPE["max_lr"])
    steps = -(-len(images) // size) * RECIPE["epochs"]
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RECIPE["max_lr"], total_steps=steps
    )
    model.train()
    for _ in range(RECIPE["epochs"]):
        for batch in torch.randperm(len(images)).split(size):
            optimizer.zero_grad()
            loss = distillation_loss(
                model(images[batch]), answers[batch], RECIPE["temperature"]
            )
            loss.backward()
            optimizer.step()
            scheduler.step()


def main() -> None:
    """Make the models again and put their weights in place of the shipped ones."""
    torch.set_num_threads(1)
    tensors = {
        f"{width}.{percent}.{name}": tensor.contiguous()
        for (width, percent), model in train_small_models().items()
        for name, tensor in model.state_dict().items()
        if (width, percent) != (WIDTHS[-1], 0)  # the reference model has its own file
    }
    data = safetensors.torch.save(tensors)
    with atomic_write(WEIGHTS, len(data)) as file:
        file.write(data)
    print(f"{len(tensors)} tensors: {WEIGHTS}")


if __name__ == "__main__":
    main()

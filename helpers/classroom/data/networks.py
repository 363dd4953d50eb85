"""The course's two models, and the trained weights that ship with it.

`python -m helpers.classroom.data.networks` trains the reference model again from scratch.
"""

import hashlib
import json
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from helpers.atomic import atomic_write
from helpers.classroom.data.digits import load_digits
from helpers.training import accuracy, seed_everything, train_epoch

WEIGHTS = Path(__file__).parent / "weights" / "digits_net.safetensors"
RECIPE = {
    "seed": 14,
    "epochs": 25,
    "batch_size": 64,
    "max_lr": 0.012,
    "weight_decay": 0.03,
}


class SimpleNet(nn.Module):
    """Two linear layers: the smallest model that is still worth saving."""

    def __init__(self, in_features: int = 10, hidden: int = 64, out_features: int = 2):
        """Build the layers, with torch's own random start."""
        super().__init__()
        self.hidden = nn.Linear(in_features, hidden)
        self.output = nn.Linear(hidden, out_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map features (B, in_features) to logits (B, out_features)."""
        return self.output(torch.relu(self.hidden(x)))


class SeparableBlock(nn.Sequential):
    """A depthwise 3 x 3 and a pointwise convolution, each with norm and ReLU.

    After the batch norms are folded in, the depthwise filters differ widely in size
    from channel to channel. That is why one quantization step for all of them hurts.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1):
        """Build the block; the picture shrinks by the stride."""
        super().__init__(
            nn.Conv2d(
                channels_in, channels_in, 3, stride, 1, groups=channels_in, bias=False
            ),
            nn.BatchNorm2d(channels_in),
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class DigitsNet(nn.Module):
    """A small depthwise-separable network with batch norm, for 8 x 8 pictures."""

    def __init__(self, width: int = 24, classes: int = 10):
        """Build the network; most of its weights grow with the width squared."""
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential(
            SeparableBlock(width, 2 * width, stride=2),
            SeparableBlock(2 * width, 2 * width),
            SeparableBlock(2 * width, 4 * width),
            SeparableBlock(4 * width, 4 * width),
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, 1, 8, 8) in 0..1 to logits (B, classes)."""
        return self.head(self.blocks(self.stem(images)).mean(dim=(2, 3)))


def load_reference_model(path: str | Path = WEIGHTS) -> DigitsNet:
    """Return a trained DigitsNet in eval mode, from the weights that ship with the course.

    Raises:
        FileNotFoundError: there is no file at the path.
        ValueError: the file is not whole, or not a DigitsNet's; the model would be wrong.
    """
    path = Path(path)
    cure = (
        "restore it with `git checkout -- helpers/classroom/data/weights` or "
        "`python -m helpers.classroom.data.networks`"
    )
    if not path.is_file():
        raise FileNotFoundError(f"the file of weights {path} is missing; {cure}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state_dict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); {cure}") from error
    if "sha256" not in metadata:
        raise ValueError(
            f"{path} holds no SHA-256, so it is not the course's file of weights; {cure}"
        )
    if metadata["sha256"] != _digest(state_dict):
        raise ValueError(
            f"{path} is damaged: its tensors do not match the SHA-256 in it; {cure}"
        )
    model = DigitsNet()
    # load_state_dict would convert another dtype without a word.
    if _layout(state_dict) != _layout(model.state_dict()):
        raise ValueError(f"{path} does not hold a DigitsNet in float32; {cure}")
    model.load_state_dict(state_dict)
    return model.eval()


def save_reference_model(model: DigitsNet, path: str | Path = WEIGHTS) -> Path:
    """Write the weights with their recipe and SHA-256, all or nothing; return the path.

    The permissions are those of a new file, by the umask.

    Raises:
        OSError: the file cannot be written; what was at the path is still there.
    """
    path = Path(path)
    state_dict = {name: t.contiguous() for name, t in model.state_dict().items()}
    metadata = {"recipe": json.dumps(RECIPE), "sha256": _digest(state_dict)}
    # safetensors checks nothing when it loads, so the digest travels in the file.
    data = safetensors.torch.save(state_dict, metadata=metadata)
    with atomic_write(path, len(data)) as file:
        file.write(data)
    return path


def train_reference_model(seed: int = RECIPE["seed"]) -> DigitsNet:
    """Train a DigitsNet by the recipe of the shipped weights: a few seconds, one thread.

    The same seed gives other weights on another processor or thread count, since sums
    are then taken in another order. That is why the weights ship with the course.
    """
    digits = load_digits()
    seed_everything(seed)
    model = DigitsNet()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RECIPE["max_lr"], weight_decay=RECIPE["weight_decay"]
    )
    batches = -(-len(digits.train_images) // RECIPE["batch_size"])
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RECIPE["max_lr"], total_steps=batches * RECIPE["epochs"]
    )
    for _ in range(RECIPE["epochs"]):
        train_epoch(
            model,
            digits.train_images,
            digits.train_labels,
            optimizer,
            scheduler=scheduler,
            batch_size=RECIPE["batch_size"],
        )
    return model.eval()


def _digest(state_dict: dict[str, torch.Tensor]) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # As bytes, since NumPy has no bfloat16.
        sha.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _layout(state_dict: dict[str, torch.Tensor]) -> dict[str, tuple]:
    return {name: (tensor.dtype, tensor.shape) for name, tensor in state_dict.items()}


def main() -> None:
    """Train the reference model again and put its weights in place of the shipped ones."""
    torch.set_num_threads(1)
    digits = load_digits()
    model = train_reference_model()
    right = accuracy(model, digits.test_images, digits.test_labels)
    path = save_reference_model(model)
    print(f"{right:.1%} of the {len(digits.test_labels)} test images are right: {path}")


if __name__ == "__main__":
    main()

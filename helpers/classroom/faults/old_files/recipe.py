"""How the old files were made: today's torch.save, then the file as it was before.

Tried in November 2026: PyTorch 1.6.0 opens all four, and what it writes itself from the
same weights is opened, or refused, by today's PyTorch as these are.
"""

import io
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers.classroom.data.digits import load_digits
from helpers.classroom.faults.old_files import FOLDER
from helpers.training import accuracy, seed_everything, train_epoch

HIDDEN, EPOCHS = 16, 60
VERSION = "3\n"  # the layout's number that 1.6 wrote into the member `version`
# Members that later releases have added.
TODAY = ("byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")


class Net(nn.Module):
    """The old project's class, with the names of layers that tutorials used."""

    def __init__(self):
        """Build the layers."""
        super().__init__()
        self.fc1 = nn.Linear(64, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, 1, 8, 8) to logits (B, 10)."""
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def train_net() -> Net:
    """Return the trained net; a second on one thread."""
    digits = load_digits()
    seed_everything(5)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(EPOCHS):
        train_epoch(net, digits.train_images, digits.train_labels, optimizer)
    return net


def legacy(thing: object) -> bytes:
    """Return the file that torch.save wrote up to 1.5: five pickles, then the numbers."""
    file = io.BytesIO()
    torch.save(thing, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def zip_1x(thing: object) -> bytes:
    """Return the zip file that torch.save wrote from 1.6 on, with NumPy 1's names in it.

    Today's adds the byte order, an id and notes on its layout, and NumPy 2 has renamed
    `numpy.core` to `numpy._core`.
    """
    file, old = io.BytesIO(), io.BytesIO()
    torch.save(thing, file)
    with zipfile.ZipFile(file) as today, zipfile.ZipFile(old, "w") as before:
        for name in today.namelist():
            data = today.read(name)
            if name.endswith("/data.pkl"):
                data = data.replace(b"cnumpy._core.", b"cnumpy.core.")
            if name.endswith("/version"):
                data = VERSION.encode()
            if not name.endswith(TODAY):
                # A date of its own would make every run's file another one.
                before.writestr(zipfile.ZipInfo(name), data)
    return old.getvalue()


def as_old_project(net: Net) -> bytes:
    """Return the whole model, pickled as an object of old_project.nets.Net."""
    package, module = types.ModuleType("old_project"), types.ModuleType("old_project.nets")
    package.nets, module.Net = module, Net
    place, Net.__module__ = Net.__module__, "old_project.nets"
    sys.modules |= {"old_project": package, "old_project.nets": module}
    try:
        return zip_1x(net)
    finally:
        Net.__module__ = place
        del sys.modules["old_project"], sys.modules["old_project.nets"]


def write(net: Net, best: float, folder: Path = FOLDER) -> None:
    """Write the four files into a folder; `best` is the accuracy that is told in one."""
    state_dict = net.state_dict()
    checkpoint = {
        "epoch": EPOCHS,
        "best": np.float64(best),
        "state_dict": {f"module.{name}": tensor for name, tensor in state_dict.items()},
    }
    (folder / "legacy.pt").write_bytes(legacy(state_dict))
    (folder / "zip_1x.pt").write_bytes(zip_1x(state_dict))
    (folder / "whole_model.pt").write_bytes(as_old_project(net))
    (folder / "numpy_scalar.pt").write_bytes(zip_1x(checkpoint))


def main() -> None:
    """Train the net again and write the files in place of the shipped ones."""
    torch.set_num_threads(1)
    digits, net = load_digits(), train_net()
    right = accuracy(net, digits.test_images, digits.test_labels)
    write(net, round(right, 4))
    print(f"{right:.2%} of the test images are right: {FOLDER}")


if __name__ == "__main__":
    main()

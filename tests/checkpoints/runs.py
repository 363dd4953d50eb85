"""A small model, a run of it, and what the tests of checkpoints ask of them."""

import pytest
import torch
from torch import nn

from helpers.checkpoints import (
    CheckpointError,
    IncompatibleCheckpointError,
    load_checkpoint,
)


class Net(nn.Module):
    """Parameters of two shapes, buffers, and batch norm's counter of batches."""

    def __init__(self, hidden=6):
        super().__init__()
        self.first = nn.Linear(4, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.last = nn.Linear(hidden, 2)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))


class Run:
    """A model, its optimizer and its scheduler, after some steps."""

    def __init__(self, seed=0, steps=3, make=Net, optimizer=torch.optim.AdamW):
        torch.manual_seed(seed)
        self.model = make()
        self.optimizer = optimizer(self.model.parameters(), lr=0.01)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 2, gamma=0.5)
        for _ in range(steps):
            self.step()

    def step(self):
        self.optimizer.zero_grad()
        nn.functional.mse_loss(self.model(torch.rand(8, 4)), torch.rand(8, 2)).backward()
        self.optimizer.step()
        self.scheduler.step()

    @property
    def parts(self):
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
        }

    def state(self):
        """Everything that counts, as plain values that can be compared."""
        return plain([part.state_dict() for part in self.parts.values()])


def plain(value):
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return [(key, plain(entry)) for key, entry in value.items()]
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def problem_of(path, kind=IncompatibleCheckpointError, **arguments):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, **arguments)
    assert type(caught.value) is kind
    return str(caught.value)

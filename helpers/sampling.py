"""The order of the data, made so that a training run can resume in the middle of an epoch.

`DataLoader(shuffle=True)` draws its order from torch's global generator: after a crash
nobody knows which samples have been seen. Here the order is a function of (seed, epoch),
so two numbers, epoch and batch, say exactly where the run stood.

Save, Load, Ship 0.2.0: helpers/sampling.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler

from helpers.arguments import whole_number


class ResumableBatchSampler(Sampler[list[int]]):
    """Batches of indices in an order made from (seed, epoch), from a given batch on.

    Pass it to `DataLoader(dataset, batch_sampler=sampler)`, and tell it of each new epoch,
    as with torch's DistributedSampler:

        for epoch in range(sampler.epoch, epochs):
            if epoch > sampler.epoch:
                sampler.set_epoch(epoch)
            for batch, (images, labels) in enumerate(loader, start=sampler.start_batch):
                ...  # one step
                state = sampler.state_dict(batches_done=batch + 1)

    Restore the state of the random number generators *after* the loader's iterator exists
    (`iterator = iter(loader)`): making it draws a number from torch's generator.

    With `num_workers > 0` the loader asks for batches ahead of the training loop. That is
    why `state_dict` is told how many batches were trained on, instead of counting those
    that were handed out. The order stays the same. What does not come back are the
    workers' own generators: random augmentation inside the dataset has to be a function of
    (seed, epoch, index), or move into the training loop.

    Attributes:
        epoch: the epoch whose order is used.
        start_batch: the first batch that is handed out, counted from 0.
        batches_per_epoch: how many batches a whole epoch has.

    >>> sampler = ResumableBatchSampler(length=10, batch_size=4, seed=0)
    >>> batches = list(sampler)
    >>> state = sampler.state_dict(batches_done=1)
    >>> resumed = ResumableBatchSampler(length=10, batch_size=4, seed=0)
    >>> resumed.load_state_dict(state)
    >>> list(resumed) == batches[1:]
    True
    """

    def __init__(
        self, length: int, batch_size: int, *, seed: int = 0, drop_last: bool = False
    ):
        """Begin at epoch 0, batch 0.

        Args:
            length: how many samples the dataset has.
            batch_size: samples per batch; the last one may be smaller.
            seed: the run's seed, 0 or more.
            drop_last: leave a smaller last batch out.

        Raises:
            ValueError: a number is not whole or is too small, or there is no batch.
        """
        self.length = whole_number("length", length, least=1)
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        self.seed = whole_number("seed", seed, least=0)
        self.drop_last = bool(drop_last)
        full, rest = divmod(self.length, self.batch_size)
        self.batches_per_epoch = full + bool(rest and not drop_last)
        if not self.batches_per_epoch:
            raise ValueError(
                f"batch_size is {batch_size} and length is {length}: with drop_last=True "
                "no batch is left; choose a smaller batch_size"
            )
        self.epoch, self.start_batch = 0, 0

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch, and the batch to begin it at.

        Raises:
            ValueError: a number is below 0 or not whole, or the epoch has no such batch.
        """
        epoch = whole_number("epoch", epoch, least=0)
        start = whole_number("start_batch", start_batch, least=0)
        if start >= self.batches_per_epoch:
            raise ValueError(
                f"start_batch is {start}; an epoch has batches 0 to "
                f"{self.batches_per_epoch - 1}. When one is finished, set the next epoch"
            )
        self.epoch, self.start_batch = epoch, start

    def order(self) -> torch.Tensor:
        """Return the epoch's order: int64, shape (length,), each index once."""
        # Mixed, not added: with seed + epoch, run 1 would repeat run 0 an epoch later.
        mixed = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        return torch.randperm(self.length, generator=generator)

    def __iter__(self) -> Iterator[list[int]]:
        """Hand out lists of indices, from `start_batch` to the end of the epoch."""
        batches = self.order().split(self.batch_size)
        for batch in batches[self.start_batch : self.batches_per_epoch]:
            yield batch.tolist()

    def __len__(self) -> int:
        """Return how many batches are handed out from `start_batch` on."""
        return self.batches_per_epoch - self.start_batch

    def state_dict(self, batches_done: int) -> dict[str, int]:
        """Return where the run stands, to be kept in the checkpoint.

        Args:
            batches_done: batches of this epoch that were trained on, those before
                `start_batch` included. After the last one, the state is that of the next
                epoch's beginning.

        Raises:
            ValueError: an epoch has fewer batches.
        """
        done = whole_number("batches_done", batches_done, least=0)
        if done > self.batches_per_epoch:
            raise ValueError(
                f"batches_done is {done}; an epoch has {self.batches_per_epoch}"
            )
        finished = done == self.batches_per_epoch
        return {
            "epoch": self.epoch + finished,
            "start_batch": 0 if finished else done,
            **self._fixed(),
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to where the run stood.

        Raises:
            ValueError: an entry is missing, or the state belongs to another order (other
                length, batch size, seed or drop_last); nothing is changed then.
        """
        fixed = self._fixed()
        for name in (*fixed, "epoch", "start_batch"):
            if name not in state:
                raise ValueError(f"the sampler's state has no entry {name!r}")
            if name in fixed and state[name] != fixed[name]:
                raise ValueError(
                    f"the saved sampler has {name} {state[name]}, this one {fixed[name]}: "
                    "the order would differ; build the sampler as it was"
                )
        self.set_epoch(state["epoch"], state["start_batch"])

    def _fixed(self) -> dict[str, int]:
        names = ("length", "batch_size", "seed", "drop_last")
        return {name: int(getattr(self, name)) for name in names}

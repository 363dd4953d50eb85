"""The checks for notebook 02's exercises."""

import math
import random
from collections.abc import Callable
from itertools import chain

import numpy as np
import torch

from helpers.classroom.exercises.atomic_saving import check_atomic_save
from helpers.classroom.exercises.checking import Exercise, no_answer


def rest_of_epoch(function: Callable) -> str | None:
    """Return the batches that are still to come, in an order made from (seed, epoch)."""
    length, size = 20, 6
    whole = function(length, size, 1, 2, 0)
    if whole is None:
        return no_answer(function)
    try:
        whole = [[int(i) for i in batch] for batch in whole]
    except TypeError:
        return "expected a list of lists of indices, one list a batch."
    if [len(batch) for batch in whole] != [6, 6, 6, 2]:
        return (
            f"with done=0, 20 samples in batches of 6 are batches of 6, 6, 6 and 2; yours "
            f"have {[len(batch) for batch in whole]}."
        )
    samples = list(chain.from_iterable(whole))
    if sorted(samples) != list(range(length)):
        return "an epoch is to hold every index from 0 to length - 1 once."
    if samples == list(range(length)):
        return "the samples come in their natural order: shuffle them."
    if hint := _chance(function, samples):
        return hint
    for done in (1, 3, 4):
        rest = [[int(i) for i in batch] for batch in function(length, size, 1, 2, done)]
        if rest == whole[done:]:
            continue
        if list(chain.from_iterable(rest)) == samples[done:]:
            return f"done counts batches: with done={done}, {done * size} samples are done."
        return (
            f"with done={done}, the rest is not what it was in one go: make the order of "
            "the whole epoch first, then leave out the first batches."
        )
    return None


def _chance(function: Callable, samples: list[int]) -> str | None:
    """Say whether the order is made from seed and epoch, and from nothing else."""

    def order(seed, epoch):
        return [int(i) for batch in function(20, 6, seed, epoch, 0) for i in batch]

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    order(5, 4)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    touched = before[:2] != after[:2] or not torch.equal(before[2], after[2])
    if touched and order(1, 2) != samples:
        return (
            "the order comes from a global generator, so it depends on what else draws "
            "from it. Make a generator of your own: torch.Generator() or "
            "random.Random(...)."
        )
    if touched:
        return (
            "you seeded a global generator: dropout and augmentation now repeat themselves "
            "in each epoch. Seed one of your own: torch.Generator() or random.Random(...)."
        )
    if order(1, 2) != samples:
        return "called twice for the same epoch, it gives two orders: seed the generator."
    if order(1, 3) == samples:
        return "every epoch has the same order: let the epoch go into the seed."
    if order(2, 2) == samples:
        return "every run has the same order: let the seed go in."
    if order(2, 1) == samples:
        return (
            "seed 1, epoch 2 has the order of seed 2, epoch 1, so the sum or product of "
            "the two is not enough. A text such as f'{seed} {epoch}' tells them apart."
        )
    return None


def steps_between_saves(function: Callable) -> str | None:
    """Return the whole number of steps with the least overhead by Young's formula."""
    # A save that is long beside its steps; a usual one; steps longer than the interval.
    for save, step, hours in ((30.0, 0.5, 24.0), (2.0, 1.5, 8.0), (1.0, 3600.0, 0.01)):
        answer = function(save, step, hours)
        if answer is None:
            return no_answer(function)
        case = f"for a save of {save:g} s, steps of {step:g} s and {hours:g} hours"
        try:
            k = float(answer)
        except (TypeError, ValueError):
            return "expected one number, the steps between two checkpoints."
        if not k.is_integer():
            return f"{case}, you save every {k:.2f} steps: round to a whole number."
        if k < 1:
            return (
                f"{case}, you save every {k:g} steps; the least is every step: max(..., 1)."
            )
        # Slow and obvious: try every number of steps.
        seconds = 3600 * hours
        overhead = [save / (n * step) + n * step / (2 * seconds) for n in range(1, 20_000)]
        best = 1 + overhead.index(min(overhead))
        if overhead[min(int(k), len(overhead)) - 1] <= 1.001 * min(overhead):
            continue
        for factor, hint in (
            (step, "that is seconds: divide by the seconds of a step."),
            (1 / 60, "the hours became no seconds: one hour has 3600 of them."),
            (step / 60, "hours beside seconds, and not divided by the step."),
            (math.sqrt(0.5), "the formula has a 2 under the root."),
            (math.sqrt(1 / 60), "an hour has 3600 seconds, not 60."),
        ):
            if abs(k - best * factor) <= 1 + 0.01 * best * factor:
                return f"{case}: {k:g}? {hint}"
        return f"{case}, the least overhead is near {best} steps; yours is {k:g}."
    return None


EXERCISES = {
    "02.1": Exercise(
        check_atomic_save,
        "the old file was there until the new one was whole, also when the save failed.",
        of_function=True,
    ),
    "02.2": Exercise(
        rest_of_epoch,
        "seed, epoch and batch say where the run stands, and no other randomness matters.",
        of_function=True,
    ),
    "02.3": Exercise(
        steps_between_saves,
        "trying every number of steps finds no better one, in three settings.",
        of_function=True,
    ),
}

QUIZZES = {
    "02.q1": (
        "Two runs with the same seed and code give different weights on your laptop and "
        "on a server. What is missing in the checkpoint?",
        [
            (
                "nothing",
                True,
                "Another processor adds in another order, and the last bits differ. No "
                "file can cure that.",
            ),
            (
                "the state of the random number generators",
                False,
                "It would be needed to resume, but here both began with the same seed.",
            ),
            (
                "the optimizer",
                False,
                "Both runs made their own, from the beginning.",
            ),
        ],
    ),
    "02.q2": (
        "Somebody writes a temporary file and renames it, without fsync. The power fails. "
        "What may be at the path?",
        [
            (
                "the old file, or the new one",
                False,
                "That holds when only the process dies: the system still writes what it "
                "was given.",
            ),
            (
                "half of the new file, under its temporary name",
                False,
                "The name may have reached the disk; the question is what is behind it.",
            ),
            (
                "the new name, with nothing in it",
                True,
                "The rename can reach the disk before the bytes do. fsync puts them there "
                "first.",
            ),
        ],
    ),
}

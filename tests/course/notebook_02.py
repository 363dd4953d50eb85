"""What the tests know of notebook 02: its usual wrong answers, claims and bites."""

import io
import os
import random
import tempfile
from pathlib import Path

import torch

from helpers.classroom.exercises import claims
from helpers.classroom.exercises.claims import Verdict
from tests.course import Edit, Mutation, cell, run

# Cells whose outputs are not compared, and why.
IGNORED = {
    "crash-plain": "when a process is killed is chance, and so is what is left",
    "survive-table": "what is lost, and what a flip outside the numbers does, is chance",
}

# The usual wrong answers, each with a piece of its own hint.


def careful(
    state,
    path,
    *,
    temporary=lambda path: path.with_name("t.tmp"),
    sync=True,
    first=lambda path: None,
    put=lambda source, path: os.replace(source, path),
    tidy=True,
):
    """Exercise 02.1 with one part of the right answer exchanged."""
    source = temporary(path)
    try:
        with source.open("wb") as file:
            torch.save(state, file)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        first(path)
        put(source, path)
    finally:
        if tidy:
            source.unlink(missing_ok=True)


def with_part(**part):
    return lambda state, path: careful(state, path, **part)


def elsewhere(path):
    return Path(tempfile.mkdtemp(dir=path.parent)) / "t.tmp"


def swallow(state, path):
    try:
        careful(state, path)
    except Exception as error:
        print(error)


def before_the_flush(state, path):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with path.with_name("t.tmp").open("wb", buffering=2**20) as file:
        file.write(buffer.getvalue())
        os.fsync(file.fileno())
        os.replace(file.name, path)


def only_after_success(state, path):
    if "broken" in state:
        torch.save(state, path)
    careful(state, path)


def order_of(length, chance):
    order = list(range(length))
    chance.shuffle(order)
    return order


def rest(
    order=lambda length, seed, epoch: order_of(length, random.Random(f"{seed} {epoch}")),
):
    """Exercise 02.2 with another order."""

    def batches_left(length, batch_size, seed, epoch, done):
        found = order(length, seed, epoch)
        return [found[k : k + batch_size] for k in range(0, length, batch_size)][done:]

    return batches_left


def globally(length, seed, epoch):
    torch.manual_seed(seed + epoch)
    return torch.randperm(length).tolist()


def skip_samples(length, batch_size, seed, epoch, done):
    order = order_of(length, random.Random(f"{seed} {epoch}"))[done:]
    return [order[k : k + batch_size] for k in range(0, len(order), batch_size)]


def shuffle_the_rest(length, batch_size, seed, epoch, done):
    order = order_of(length, random.Random(f"{seed} {epoch} {done}"))[done * batch_size :]
    return [order[k : k + batch_size] for k in range(0, len(order), batch_size)]


def young(
    save=1.0, seconds=3600, two=2, step=lambda s: s, whole=lambda k: max(round(k), 1)
):
    """Exercise 02.3 with one part of the right answer exchanged."""

    def save_every(save_seconds, step_seconds, mtbf_hours):
        interval = (two * save_seconds * save * seconds * mtbf_hours) ** 0.5
        return whole(interval / step(step_seconds))

    return save_every


WRONG_ANSWERS = {
    "02.1": [
        (lambda state, path: torch.save(state, path), "into the good file itself"),
        (with_part(sync=False), "nothing was forced to the disk"),
        (with_part(temporary=elsewhere), "lies in another folder"),
        (with_part(first=lambda path: path.unlink()), "the old file was gone already"),
        (with_part(put=lambda a, b: os.rename(a, b)), "on Windows, rename refuses"),
        (with_part(tidy=False), "left 't.tmp' behind"),
        (swallow, "a save that failed raised nothing"),
        (before_the_flush, "before the temporary file was complete"),
        (only_after_success, "cost the old file"),
        (lambda state, path: str(path), "path still holds the old state"),
        ({"weights": 1}, "without brackets behind its name"),
    ],
    "02.2": [
        (rest(globally), "you seeded a global generator"),
        (rest(lambda n, s, e: torch.randperm(n).tolist()), "comes from a global"),
        (rest(lambda n, s, e: order_of(n, random.Random())), "it gives two orders"),
        (rest(lambda n, s, e: order_of(n, random.Random(s))), "every epoch has the same"),
        (rest(lambda n, s, e: order_of(n, random.Random(e))), "every run has the same"),
        (rest(lambda n, s, e: order_of(n, random.Random(s + e))), "the sum or product"),
        (rest(lambda n, s, e: list(range(n))), "in their natural order"),
        (rest(lambda n, s, e: [0] * n), "every index from 0 to length - 1 once"),
        (skip_samples, "done counts batches"),
        (shuffle_the_rest, "the rest is not what it was in one go"),
        (lambda n, size, seed, epoch, done: list(range(n)), "a list of lists of indices"),
        (lambda n, size, seed, epoch, done: [list(range(n))], "batches of 6, 6, 6 and 2"),
        (lambda n, size, seed, epoch, done: print(n), "your function returns nothing; end"),
        ([[0]], "without brackets behind its name"),
    ],
    "02.3": [
        (young(step=lambda s: 1), "that is seconds: divide"),
        (young(seconds=1), "the hours became no seconds"),
        (young(seconds=60), "3600 seconds, not 60"),
        (young(two=1), "a 2 under the root"),
        (young(seconds=1, step=lambda s: 1), "not divided by the step"),
        (young(whole=lambda k: k), "round to a whole number"),
        (young(whole=round), "you save every 0 steps"),
        (lambda save, step, hours: 100, "the least overhead is near"),
        (lambda save, step, hours: "often", "expected one number"),
        (lambda save, step, hours: print(save), "your function returns nothing; end"),
        (100, "without brackets behind its name"),
    ],
}

# Right answers that look different.


def by_pathlib(state, path):
    temporary = path.with_suffix(".new")
    try:
        torch.save(state, temporary)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def by_torch(length, batch_size, seed, epoch, done):
    generator = torch.Generator().manual_seed(hash((seed, epoch)) % 2**32)
    order = torch.randperm(length, generator=generator)
    return [batch.tolist() for batch in order.split(batch_size)][done:]


RIGHT_ANSWERS = [
    ("02.1", with_part()),
    ("02.1", by_pathlib),
    ("02.2", rest()),
    ("02.2", by_torch),
    ("02.2", lambda *a: [torch.tensor(batch) for batch in by_torch(*a)]),
    ("02.3", young()),
    ("02.3", young(whole=lambda k: max(float(round(k)), 1.0))),
]

# id of a claim -> for each verdict that can come out, a measurement that leads to it.


def improves(behind: float) -> Verdict:
    """Claim 02.a where the training loss chose worse by so many points / 100."""
    return run(cell("02", "best-claim"), claims=claims, behind=behind)


def enough(*, usual: bool, whole: bool) -> Verdict:
    """Claim 02.b: does the run end the same with the usual recipe, and with everything?"""
    same = {"nothing": whole, "all but model and optimizer": usual}
    same |= dict.fromkeys("abcdefg", False)
    recipes = {"nothing": {}} | dict.fromkeys("abcdefg")
    words = {True: "identical", False: "different"}
    source = cell("02", "enough-claim")
    return run(source, claims=claims, same=same, recipes=recipes, words=words)


MEASUREMENTS = {
    "02.a": {
        False: lambda: improves(0.031),
        True: lambda: improves(0.03),
    },
    "02.b": {
        None: lambda: enough(usual=False, whole=True),
        True: lambda: enough(usual=True, whole=True),
        False: lambda: enough(usual=False, whole=False),
    },
}

# What a small copy is made of: enough to catch every row below, and quick to run.
CELLS = (
    "set-up build order new-run one-step train interrupted resume ingredients keep "
    "fall-back simulate simulate-table young slider slider-table exercise-1 solution-1 "
    "solution-3"
)
EDITS = (
    Edit("ingredients", "text/html", "different", "identical"),
    Edit("young", "text", r"\d\d steps", "41 steps"),
    Edit("slider", "image/svg+xml", r"crash at \d+", "crash at 1"),
)
# A kernel takes seconds to start, so each round alters what different cells catch.
ROUNDS = (
    (
        Mutation("sampling", "[self.start_batch :", "[0:", "order resume ingredients"),
        Mutation("checkpoints/folders", "[-self.keep_last :]", "[-1:]", "keep fall-back"),
        Mutation(
            "classroom/explorers/checkpoint_interval",
            "kept=saves * interval,",
            "kept=saves * interval + 1,",
            "slider slider-table",
        ),
        Mutation(
            "classroom/exercises/notebook_02", "<= 1.001 *", "<= 0.001 *", "solution-3"
        ),
    ),
    (
        Mutation(
            "training",
            'torch.set_rng_state(state["torch"].cpu())',
            "torch.get_rng_state()",
            "resume ingredients",
        ),
        Mutation(
            "checkpoints/archive/container", "found != record.crc", "found < 0", "fall-back"
        ),
        Mutation(
            "classroom/explorers/checkpoint_interval",
            "math.sqrt(2 *",
            "math.sqrt(1 *",
            "young slider",
        ),
    ),
    (
        Mutation(
            "classroom/explorers/checkpoint_interval",
            "math.expm1((interval + save_cost) / mtbf)",
            "math.expm1(interval / mtbf)",
            "simulate-table young slider slider-table",
        ),
    ),
)

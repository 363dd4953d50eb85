"""Every scheduler of torch, alone and in others: saved, loaded, resumed bit for bit."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler, swa_utils

from helpers.checkpoints import load_checkpoint, save_checkpoint
from helpers.checkpoints.schedulers import describe_scheduler, functions_left_out
from tests.checkpoints.runs import plain, problem_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),
    pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step"),
]

ALL = {
    name: kind
    for name, kind in (vars(lr_scheduler) | vars(swa_utils)).items()
    if isinstance(kind, type) and issubclass(kind, lr_scheduler.LRScheduler)
}
del ALL["LRScheduler"], ALL["_LRScheduler"]


class Decay:
    """A callable object: torch saves what it holds."""

    def __init__(self, by):
        self.by = by

    def __call__(self, step):
        return self.by ** (step % 5)


class Wave(Decay):
    def __call__(self, x):
        return self.by * (1 + math.cos(x))


def sequential(optimizer):
    parts = [
        lr_scheduler.LinearLR(optimizer, total_iters=2),
        lr_scheduler.MultiStepLR(optimizer, [1, 1, 3]),
        lr_scheduler.LambdaLR(optimizer, Decay(0.9)),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, [2, 6])


def chained(optimizer):
    parts = [
        lr_scheduler.MultiStepLR(optimizer, [2, 4]),
        lr_scheduler.MultiplicativeLR(optimizer, Decay(0.7)),
        sequential(optimizer),
        lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3),
    ]
    return lr_scheduler.ChainedScheduler(parts)


MAKERS = {
    "ChainedScheduler": [chained],
    "ConstantLR": [lambda o: lr_scheduler.ConstantLR(o, total_iters=4)],
    "CosineAnnealingLR": [lambda o: lr_scheduler.CosineAnnealingLR(o, 6)],
    "CosineAnnealingWarmRestarts": [
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, T_mult=2)
    ],
    "CyclicLR": [
        lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
        lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3, mode="exp_range"),
        lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3, scale_fn=Wave(0.4)),
    ],
    "ExponentialLR": [lambda o: lr_scheduler.ExponentialLR(o, 0.9)],
    "LambdaLR": [lambda o: lr_scheduler.LambdaLR(o, Decay(0.8))],
    "LinearLR": [lr_scheduler.LinearLR],
    "MultiStepLR": [lambda o: lr_scheduler.MultiStepLR(o, [2, 4, 4])],
    "MultiplicativeLR": [lambda o: lr_scheduler.MultiplicativeLR(o, Decay(0.8))],
    "OneCycleLR": [
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=20),
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=20, three_phase=True),
    ],
    "PolynomialLR": [lambda o: lr_scheduler.PolynomialLR(o, 7, power=2.0)],
    "ReduceLROnPlateau": [
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, cooldown=1, min_lr=1e-3)
    ],
    "SequentialLR": [sequential],
    "StepLR": [lambda o: lr_scheduler.StepLR(o, 2)],
    "SWALR": [lambda o: swa_utils.SWALR(o, 0.05, anneal_epochs=5)],
}


def test_every_scheduler_of_torch_is_tried():
    assert set(MAKERS) == set(ALL), "give each scheduler of torch a line in MAKERS"


class Run:
    """A model with two groups, its optimizer, and a scheduler."""

    def __init__(self, make, *, seed=0, steps=0, lr=0.1, reverse=False):
        torch.manual_seed(seed)
        self.model = nn.Linear(3, 2)
        groups = [{"params": [p]} for p in self.model.parameters()]
        self.optimizer = torch.optim.SGD(
            groups[::-1] if reverse else groups, lr=lr, momentum=0.9
        )
        self.scheduler = make(self.optimizer)
        self.parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
        }
        self.go(steps, seed=seed)

    def go(self, steps, seed):
        torch.manual_seed(seed)
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = self.model(torch.rand(4, 3)).pow(2).mean()
            loss.backward()
            self.optimizer.step()
            is_plateau = isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau)
            self.scheduler.step(*[1.0] * is_plateau)

    def state(self):
        return plain([part.state_dict() for part in self.parts.values()])


EACH = [
    pytest.param(make, id=f"{name}-{k}")
    for name, makers in MAKERS.items()
    for k, make in enumerate(makers)
]


@pytest.mark.parametrize("make", EACH)
@pytest.mark.parametrize("tensor", [False, True], ids=["number", "tensor"])
@pytest.mark.parametrize("steps", [0, 3, 8])
def test_it_resumes_bit_for_bit(tmp_path, make, tensor, steps):
    def lr():
        return torch.tensor(0.1) if tensor else 0.1

    run = Run(make, seed=1, steps=steps, lr=lr())
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(make, seed=2, steps=1, lr=lr())
    expected = run.state()
    load_checkpoint(path, **other.parts)
    assert other.state() == expected
    for each in (run, other):
        each.go(7, seed=3)
    assert other.state() == run.state()


def test_a_counter_comes_back_as_one_and_counts_a_milestone_that_is_there_twice(tmp_path):
    run = Run(MAKERS["MultiStepLR"][0], seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(lambda o: lr_scheduler.MultiStepLR(o, [9]), seed=2)
    load_checkpoint(path, **other.parts)
    assert type(other.scheduler.milestones) is type(run.scheduler.milestones)
    assert other.scheduler.milestones == {2: 1, 4: 2}


# What does not fit


def test_another_scheduler_inside_is_refused(tmp_path):
    def warm(first):
        return lambda o: lr_scheduler.SequentialLR(
            o, [first(o), lr_scheduler.ConstantLR(o)], [2]
        )

    path = save_checkpoint(tmp_path / "a.pt", **Run(warm(lr_scheduler.LinearLR)).parts)
    other = Run(warm(lr_scheduler.ConstantLR), seed=2)
    before = other.state()
    assert problem_of(path, **other.parts) == (
        f"{path} does not fit the scheduler: number 1 in it: the scheduler is of class "
        "ConstantLR, the saved one of class LinearLR. Nothing was changed."
    )
    single = Run(
        lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o)], []), seed=2
    )
    assert "it holds 1 schedulers, the saved one 2" in problem_of(path, **single.parts)
    assert other.state() == before


def test_a_file_that_does_not_say_what_was_inside_is_still_loaded(tmp_path):
    run = Run(sequential, steps=3)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    content = torch.load(path, weights_only=True)
    del content["metadata"]["scheduler"]["schedulers"]
    torch.save(content, path)
    other = Run(sequential, seed=2)
    load_checkpoint(path, **other.parts)
    assert other.state() == run.state()


def test_another_number_of_groups_is_refused(tmp_path):
    run = Run(MAKERS["StepLR"][0])
    path = save_checkpoint(tmp_path / "a.pt", model=run.model, scheduler=run.scheduler)
    alone = torch.optim.SGD(run.model.parameters())
    scheduler = lr_scheduler.StepLR(alone, 2)
    assert problem_of(path, model=run.model, scheduler=scheduler) == (
        f"{path} does not fit the scheduler: its base_lrs are of 1 groups, the saved one's "
        "of 2: create it before or after add_param_group, as the saved one was. Nothing "
        "was changed."
    )


def then_a_group(make):
    """Make a scheduler over one group, and give its optimizer another."""

    class Grown(Run):
        def __init__(self, seed, steps=0, early=True):
            super().__init__(make if early else lambda o: None, seed=seed)
            other = nn.Linear(2, 1)
            self.optimizer.add_param_group({"params": [*other.parameters()], "lr": 0.01})
            self.scheduler = self.scheduler or make(self.optimizer)
            self.model = nn.Sequential(self.model, other)
            self.parts |= {"model": self.model, "scheduler": self.scheduler}
            self.go(steps, seed=seed)

    return Grown


def works_with_another_group(make):
    """Try it without a checkpoint: what torch refuses here is not asked of a file."""
    try:
        then_a_group(make)(seed=1).go(8, seed=1)
    except (KeyError, ValueError):
        return False
    return True


WITH_ANOTHER_GROUP = {
    f"{name}-{k}": make
    for name, makers in MAKERS.items()
    for k, make in enumerate(makers)
    if works_with_another_group(make)
}


def test_groups_are_added_to_most_schedulers():
    tried = {name.partition("-")[0] for name in WITH_ANOTHER_GROUP}
    assert {"StepLR", "MultiStepLR", "ExponentialLR", "ReduceLROnPlateau"} <= tried


@pytest.mark.parametrize("make", WITH_ANOTHER_GROUP.values(), ids=WITH_ANOTHER_GROUP)
def test_a_group_that_was_added_later_is_no_difference(tmp_path, make):
    grown = then_a_group(make)
    run, other = grown(seed=1, steps=3), grown(seed=2)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    load_checkpoint(path, **other.parts)
    for each in (run, other):
        each.go(5, seed=3)
    assert other.state() == run.state()


def test_it_matters_for_functions_alone_whether_the_group_came_later(tmp_path):
    for name, fits in (("StepLR", True), ("LambdaLR", False)):
        grown = then_a_group(MAKERS[name][0])
        run, other = grown(seed=1, early=False), grown(seed=2)
        path = save_checkpoint(tmp_path / "a.pt", **run.parts)
        if fits:
            load_checkpoint(path, **other.parts)
            assert other.state() == run.state()
        else:
            problem = problem_of(path, **other.parts)
            assert "its lr_lambdas are of 2 groups, the saved one's of 3: create" in problem


def test_a_scheduler_is_refused_where_the_groups_moved(tmp_path):
    """It knows them by position, and would give one the rates of another."""
    make = MAKERS["LambdaLR"][0]
    run = Run(make, steps=2)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(make, seed=2, reverse=True)
    before = other.state()
    assert problem_of(path, **other.parts) == (
        f"{path} does not fit the scheduler: its optimizer's groups are in another order: "
        "build them in the order weight; bias. Nothing was changed."
    )
    assert "in another order" in problem_of(
        path, model=other.model, scheduler=other.scheduler
    )
    assert other.state() == before
    load_checkpoint(path, model=other.model, optimizer=other.optimizer)


# Functions, which torch does not save


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda o: lr_scheduler.LambdaLR(o, lambda n: 0.9**n), "lr_lambdas of LambdaLR"),
        (
            lambda o: lr_scheduler.MultiplicativeLR(o, [Decay(0.5), lambda n: 0.9]),
            "lr_lambdas of MultiplicativeLR",
        ),
        (
            lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, scale_fn=lambda x: x / 2),
            "scale_fn of CyclicLR",
        ),
        (
            lambda o: lr_scheduler.ChainedScheduler(
                [lr_scheduler.LambdaLR(o, partial(pow, 0.9))]
            ),
            "lr_lambdas of LambdaLR",
        ),
    ],
    ids=["LambdaLR", "MultiplicativeLR", "CyclicLR", "inside"],
)
def test_a_function_that_is_not_in_the_file_is_reported_by_name(tmp_path, make, named):
    run = Run(make, seed=1, steps=2)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(make, seed=2)
    note = (
        f"scheduler: torch does not save the functions in {named}; those of the given one "
        "go on"
    )
    with pytest.warns(UserWarning) as caught:
        found = load_checkpoint(path, **other.parts)
    assert [str(each.message) for each in caught] == [f"{path}: {note}"]
    assert found.notes == (note,)
    assert other.state() == run.state()


def test_nothing_is_reported_of_an_object_or_of_one_without_functions():
    for make in (sequential, chained, *MAKERS["CyclicLR"]):
        scheduler = Run(make).scheduler
        told = describe_scheduler(scheduler)
        assert functions_left_out(scheduler, told, scheduler.state_dict()) == []


def test_an_object_does_not_go_into_a_plain_function(tmp_path):
    run = Run(MAKERS["LambdaLR"][0])
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(lambda o: lr_scheduler.LambdaLR(o, lambda n: 0.9))
    assert (
        "does not fit the scheduler: lr_lambdas[0] is a plain function; an object with by "
        "was saved" in problem_of(path, **other.parts)
    )


def test_what_holds_others_is_described_to_the_bottom():
    decay = {"functions": {f"lr_lambdas[{k}]": "Decay" for k in range(2)}}
    inner = [{"class": name} for name in ("LinearLR", "MultiStepLR")]
    assert describe_scheduler(Run(chained).scheduler) == {
        "class": "ChainedScheduler",
        "schedulers": [
            {"class": "MultiStepLR"},
            {"class": "MultiplicativeLR", **decay},
            {
                "class": "SequentialLR",
                "schedulers": [*inner, {"class": "LambdaLR", **decay}],
            },
            {"class": "CosineAnnealingWarmRestarts"},
        ],
    }


def cyclic(scale_fn):
    return lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, scale_fn=scale_fn)


def of_lambdas(function):
    return lambda o: lr_scheduler.LambdaLR(o, function)


def inside(function):
    return lambda o: lr_scheduler.ChainedScheduler([of_lambdas(function)(o)])


@pytest.mark.parametrize(
    ("saved", "given", "problem"),
    [
        (
            of_lambdas([Decay(0.5), Decay(0.5)]),
            of_lambdas([Decay(0.5), Wave(0.5)]),
            "the function lr_lambdas[1] is of class Wave, the saved one of class Decay",
        ),
        (
            lambda o: lr_scheduler.MultiplicativeLR(o, Wave(0.5)),
            lambda o: lr_scheduler.MultiplicativeLR(o, Decay(0.5)),
            "the function lr_lambdas[0] is of class Decay, the saved one of class Wave",
        ),
        (
            of_lambdas(Decay(0.5)),
            of_lambdas(partial(pow, 0.9)),
            "the function lr_lambdas[0] is of class partial, the saved one of class Decay",
        ),
        (
            cyclic(Wave(0.5)),
            cyclic(Decay(0.5)),
            "the function scale_fn is of class Decay, the saved one of class Wave",
        ),
        (
            cyclic(Wave(0.5)),
            MAKERS["CyclicLR"][0],
            "it was created without scale_fn, the saved one with an object with by",
        ),
        (
            cyclic(lambda x: x / 2),
            MAKERS["CyclicLR"][0],
            "it was created without scale_fn, the saved one with function",
        ),
        (
            inside(Decay(0.5)),
            inside(Wave(0.5)),
            "number 1 in it: the function lr_lambdas[0] is of class Wave, the saved one of "
            "class Decay",
        ),
    ],
)
def test_attributes_do_not_go_into_an_object_of_another_class(
    tmp_path, saved, given, problem
):
    path = save_checkpoint(tmp_path / "a.pt", **Run(saved).parts)
    other = Run(given, seed=2)
    before = other.state()
    assert problem_of(path, **other.parts) == (
        f"{path} does not fit the scheduler: {problem}. Nothing was changed."
    )
    assert other.state() == before


def test_a_function_of_another_class_is_reported_with_both(tmp_path):
    path = save_checkpoint(
        tmp_path / "a.pt", **Run(of_lambdas(partial(pow, 0.9)), steps=2).parts
    )
    other = Run(of_lambdas(Decay(0.5)), seed=2)
    with pytest.warns(UserWarning, match="does not save the functions"):
        found = load_checkpoint(path, **other.parts)
    assert found.notes == (
        "scheduler: torch does not save the functions in lr_lambdas of LambdaLR (of class "
        "Decay, when saved of class partial); those of the given one go on",
    )


def test_a_file_that_does_not_say_of_which_class_functions_were_is_still_loaded(tmp_path):
    run = Run(of_lambdas(Decay(0.5)), steps=3)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    content = torch.load(path, weights_only=True)
    del content["metadata"]["scheduler"]["functions"]
    torch.save(content, path)
    other = Run(of_lambdas(Wave(0.9)), seed=2)
    load_checkpoint(path, **other.parts)
    assert other.scheduler.lr_lambdas[0].by == 0.5


def test_a_scheduler_whose_optimizer_is_left_out_says_from_which_rates_it_goes_on(tmp_path):
    saved, fresh = (Run(lr_scheduler.LinearLR, seed=1, steps=n) for n in (3, 0))
    path = save_checkpoint(tmp_path / "a.pt", **saved.parts)
    parts = dict(fresh.parts)
    rates = [group["lr"] for group in saved.optimizer.param_groups]
    optimizer = parts.pop("optimizer")
    with pytest.warns(UserWarning, match="its optimizer is not loaded: its rates are "):
        found = load_checkpoint(path, **parts)
    assert str(rates) in found.notes[0] and "[0.03" in found.notes[0]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    assert load_checkpoint(path, **parts).notes == ()
    assert load_checkpoint(path, **fresh.parts).notes == ()

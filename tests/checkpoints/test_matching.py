"""Matching: what does not fit is named, and the optimizer is matched by name."""

import copy

import pytest
import torch
from torch import nn

from helpers.checkpoints import load_checkpoint, save_checkpoint
from helpers.training import capture_rng
from tests.checkpoints.runs import Net, Run, plain, problem_of


class Smaller(Net):
    def __init__(self):
        super().__init__(hidden=5)


class Renamed(Net):
    def __init__(self):
        super().__init__()
        self.end = self.last
        del self.last

    def forward(self, x):
        return self.end(torch.relu(self.norm(self.first(x))))


def half():
    return Net().bfloat16()


def compiled():
    model = Net()
    return nn.ModuleDict({"module": model})


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            Smaller,
            "first.weight is float32 (6, 4) in the file, float32 (5, 4) in the model; "
            "first.bias is float32 (6,) in the file, float32 (5,) in the model; "
            "norm.weight is float32 (6,) in the file, float32 (5,) in the model; "
            "norm.bias is float32 (6,) in the file, float32 (5,) in the model; and 3 more",
        ),
        (
            Renamed,
            "end.weight is missing from the file; end.bias is missing from the file; "
            "last.weight is not in the model; last.bias is not in the model",
        ),
        (half, "first.weight is float32 (6, 4) in the file, bfloat16 (6, 4) in the model"),
        (
            compiled,
            "only the model's names begin with 'module.', DataParallel's or "
            "DistributedDataParallel's: unwrap it",
        ),
    ],
    ids=["shapes", "names", "dtypes", "wrapped"],
)
def test_a_model_that_does_not_fit_is_not_touched(tmp_path, make, problem):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    model = make()
    before = copy.deepcopy(model.state_dict())
    random_before = plain(capture_rng())
    message = problem_of(path, model=model)
    assert message.startswith(f"{path} does not fit the model: {problem}")
    assert message.endswith(". Nothing was changed.")
    assert plain(capture_rng()) == random_before
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_file_of_a_wrapped_model_says_so(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=nn.ModuleDict({"module": Net()}))
    assert problem_of(path, model=Net()) == (
        f"{path} does not fit the model: its names begin with 'module.', DataParallel's or "
        "DistributedDataParallel's: wrap the model first. Nothing was changed."
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda m: {"optimizer": torch.optim.SGD(m.parameters())},
            "does not fit the optimizer: the optimizer is of class SGD, the saved one of "
            "class AdamW",
        ),
        (
            lambda m: {"optimizer": torch.optim.AdamW(m.first.parameters())},
            "does not fit the optimizer: the optimizer's parameters differ: last.bias is "
            "only in the file; last.weight is only in the file; norm.bias is only in the "
            "file; norm.weight is only in the file",
        ),
        (
            lambda m: {
                "optimizer": torch.optim.AdamW([{"params": [p]} for p in m.parameters()])
            },
            "does not fit the optimizer: the optimizer's parameters differ: the same "
            "parameters are grouped differently",
        ),
        (
            lambda m: {
                "scheduler": torch.optim.lr_scheduler.ConstantLR(
                    torch.optim.AdamW(m.parameters())
                )
            },
            "does not fit the scheduler: the scheduler is of class ConstantLR, the saved "
            "one of class StepLR",
        ),
    ],
    ids=["class", "parameters", "groups", "scheduler"],
)
def test_another_optimizer_or_scheduler_is_refused(tmp_path, change, problem):
    path = save_checkpoint(tmp_path / "a.pt", **Run(seed=1).parts)
    run = Run(seed=2)
    arguments = {**run.parts, **change(run.model)}
    before = [plain(part.state_dict()) for part in arguments.values()]
    message = problem_of(path, **arguments)
    assert message == f"{path} {problem}. Nothing was changed."
    assert [plain(part.state_dict()) for part in arguments.values()] == before


def test_an_optimizer_asked_of_a_file_without_one_is_an_error(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net())
    run = Run()
    assert problem_of(path, model=run.model, optimizer=run.optimizer) == (
        f"{path} does not fit the optimizer: the file holds no optimizer: load it without "
        "optimizer=. Nothing was changed."
    )
    assert "the file holds no scheduler: load it without scheduler=" in problem_of(
        path, model=run.model, scheduler=run.scheduler
    )


# The optimizer is matched by name


class Reordered(Net):
    """The same parameters, registered in another order."""

    def __init__(self):
        nn.Module.__init__(self)
        self.last = nn.Linear(6, 2)
        self.norm = nn.BatchNorm1d(6)
        self.first = nn.Linear(4, 6)


def moments(run):
    return {
        name: run.optimizer.state[parameter]["exp_avg"].tolist()
        for name, parameter in run.model.named_parameters()
    }


def test_moments_follow_their_names_into_another_order(tmp_path):
    run = Run(seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(seed=2, make=Reordered)
    load_checkpoint(path, **other.parts)
    assert moments(other) == moments(run)
    names = [name for name, _ in other.model.named_parameters()]
    assert names[0] == "last.weight", "the order is the same: nothing was tested"


def two_groups(names):
    def make(parameters, lr):
        names_of_all = [name for name, _ in Net().named_parameters()]
        named = dict(zip(names_of_all, parameters, strict=True))
        first = [named[name] for name in names]
        rest = [value for name, value in named.items() if name not in names]
        return torch.optim.AdamW(
            [{"params": first, "lr": lr / 10}, {"params": rest, "lr": lr}]
        )

    return make


def test_groups_follow_their_parameters(tmp_path):
    weights = ["first.weight", "norm.weight", "last.weight"]
    biases = ["first.bias", "norm.bias", "last.bias"]
    run = Run(seed=1, optimizer=two_groups(weights))
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    other = Run(seed=2, optimizer=two_groups(list(reversed(biases))))
    load_checkpoint(path, model=other.model, optimizer=other.optimizer)
    assert moments(other) == moments(run)
    rates = [group["lr"] for group in other.optimizer.param_groups]
    assert rates == [group["lr"] for group in reversed(run.optimizer.param_groups)]


def test_an_optimizer_that_knows_names_keeps_its_own(tmp_path):
    run = Run(seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    model = Net()
    optimizer = torch.optim.AdamW(model.named_parameters())
    load_checkpoint(path, model=model, optimizer=optimizer)
    names = [name for name, _ in model.named_parameters()]
    assert optimizer.param_groups[0]["param_names"] == names
    back = save_checkpoint(tmp_path / "b.pt", model=model, optimizer=optimizer)
    load_checkpoint(back, model=run.model, optimizer=run.optimizer)
    assert "param_names" not in run.optimizer.param_groups[0]


def test_what_has_no_memory_or_shape_of_its_own_is_named(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=nn.Linear(3, 2))
    lazy, freed = nn.LazyLinear(2), nn.Linear(3, 2)
    assert "weight of the model has no shape yet: run one batch" in problem_of(
        path, model=lazy
    )
    freed.weight.untyped_storage().resize_(0)
    assert "weight of the model has lost its memory (as FSDP frees it)" in problem_of(
        path, model=freed
    )

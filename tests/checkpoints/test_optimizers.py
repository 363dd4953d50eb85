"""Every optimizer of torch, and those of others: saved, loaded, resumed bit for bit."""

import copy
import inspect
import warnings
from collections import Counter, OrderedDict

import pytest
import torch
from torch import nn

from helpers.checkpoints import load_checkpoint, save_checkpoint
from helpers.checkpoints.optimizers import load_state
from helpers.state_dicts.kinds import contents
from tests.checkpoints.runs import plain, problem_of

ALL = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
}
ALL.pop("Optimizer")
FLAGS = ("fused", "foreach", "capturable", "differentiable", "amsgrad", "centered")


def make_model(dtype=torch.float32, embedding=False):
    torch.manual_seed(1)
    if embedding:
        return nn.Sequential(nn.Embedding(6, 4, sparse=True), nn.Flatten())
    layers = nn.Linear(4, 3, bias=False), nn.Tanh(), nn.Linear(3, 2, bias=False)
    return nn.Sequential(*layers).to(dtype)


def steps(model, optimizer, count, seed):
    torch.manual_seed(seed)
    is_sparse = isinstance(model[0], nn.Embedding)

    for _ in range(count):
        first = next(model.parameters())
        batch = torch.randint(6, (5, 2)) if is_sparse else torch.rand(5, 4).to(first.dtype)

        def loss(batch=batch):
            optimizer.zero_grad()
            result = model(batch).float().pow(2).mean()
            result.backward()
            return result

        optimizer.step(loss)


def make_optimizer(name, model, **options):
    return ALL[name](model.parameters(), **options)


def variants():
    """Every optimizer alone, and with each flag that it takes and can use on a CPU."""
    for name, kind in ALL.items():
        taken = inspect.signature(kind.__init__).parameters
        yield name, {}
        yield from ((name, {flag: True}) for flag in FLAGS if flag in taken)
        if "momentum" in taken and name != "Muon":
            yield name, {"momentum": 0.9}
        if name != "LBFGS":
            yield name, {"lr": torch.tensor(0.01)}
            yield name, {"lr": torch.tensor(0.01), "foreach": False}


def works_here(name, options):
    """Try it without a checkpoint: what torch refuses here is not asked of a file."""
    model = make_model(embedding=name == "SparseAdam")
    try:
        steps(model, make_optimizer(name, model, **options), 3, seed=2)
    except (RuntimeError, ValueError, TypeError, AssertionError, NotImplementedError):
        return False
    return True


VARIANTS = [each for each in variants() if works_here(*each)]


def test_every_optimizer_of_torch_is_tried():
    assert {name for name, _ in VARIANTS} == set(ALL)
    tried = {flag for _, options in VARIANTS for flag in options}
    # "capturable" needs a GPU; "differentiable" runs on no parameter of a module.
    assert {"fused", "foreach", "amsgrad", "centered", "lr", "momentum"} <= tried


def resume(tmp_path, model, optimizer, fresh, other, **more):
    """Save one run, load it into the other; return both after some more steps."""
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    held = copy_of_state(optimizer)
    load_checkpoint(path, model=fresh, optimizer=other, **more)
    assert copy_of_state(other) == held
    for each, its in ((model, optimizer), (fresh, other)):
        steps(each, its, 3, seed=5)
    return plain(fresh.state_dict()), plain(model.state_dict())


def copy_of_state(optimizer):
    return plain(optimizer.state_dict())


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=lambda v: str(v))
def test_it_resumes_bit_for_bit(tmp_path, name, options):
    runs = []
    for count in (3, 1):
        model = make_model(embedding=name == "SparseAdam")
        optimizer = make_optimizer(name, model, **copy.deepcopy(options))
        steps(model, optimizer, count, seed=count)
        runs += [model, optimizer]
    resumed, whole = resume(tmp_path, *runs)
    assert resumed == whole


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("SparseAdam",)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_numbers_of_another_dtype_than_the_weights_come_back_as_they_were(
    tmp_path, name, dtype
):
    """torch itself rounds NAdam's product of momenta and ASGD's averages to bfloat16."""
    runs = []
    for count in (9, 1):
        model = make_model(dtype)
        optimizer = make_optimizer(name, model)
        steps(model, optimizer, count, seed=count)
        runs += [model, optimizer]
    resumed, whole = resume(tmp_path, *runs)
    assert resumed == whole


@pytest.mark.parametrize("named", [False, True])
def test_several_groups_and_names_resume(tmp_path, named):
    def make():
        model = make_model()
        of = dict(model.named_parameters())
        groups = [
            {"params": [(name, of[name]) if named else of[name]], "lr": lr}
            for name, lr in (("2.weight", 0.1), ("0.weight", torch.tensor(0.2)))
        ]
        return model, torch.optim.AdamW(groups, foreach=False)

    runs = [*make(), *make()]
    steps(*runs[:2], 3, seed=1)
    resumed, whole = resume(tmp_path, *runs)
    assert resumed == whole


# Flags of the machine


@pytest.mark.parametrize("key", ["capturable", "fused"])
def test_what_a_gpu_was_told_is_not_asked_of_a_cpu(tmp_path, key):
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters())
    steps(model, optimizer, 2, seed=1)
    optimizer.param_groups[0][key] = True
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    fresh = make_model()
    other = torch.optim.AdamW(fresh.parameters())
    before = other.param_groups[0][key]
    note = f"optimizer: {key} stays {before}; it was True when saved"
    with pytest.warns(UserWarning, match=note):
        found = load_checkpoint(path, model=fresh, optimizer=other)
    assert found.notes == (note,)
    assert other.param_groups[0][key] is before
    optimizer.param_groups[0][key] = before
    for each, its in ((model, optimizer), (fresh, other)):
        steps(each, its, 2, seed=3)
    assert plain(fresh.state_dict()) == plain(model.state_dict())


def test_what_this_machine_was_told_stays(tmp_path):
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters())
    steps(model, optimizer, 2, seed=1)
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    optimizer.param_groups[0]["capturable"] = True  # as on a GPU, for a graph
    with pytest.warns(UserWarning, match="capturable stays True; it was False when saved"):
        load_checkpoint(path, model=model, optimizer=optimizer)
    assert optimizer.param_groups[0]["capturable"] is True


# Another order


def reversed_order(name, options):
    model = make_model(embedding=name == "SparseAdam")
    return model, ALL[name](list(model.parameters())[::-1], **copy.deepcopy(options))


@pytest.mark.parametrize("name", [name for name in ALL if name != "LBFGS"])
def test_every_state_follows_its_parameter_into_another_order(tmp_path, name):
    model = make_model(embedding=name == "SparseAdam")
    optimizer = make_optimizer(name, model)
    steps(model, optimizer, 3, seed=1)
    fresh, other = reversed_order(name, {})
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    load_checkpoint(path, model=fresh, optimizer=other)
    for each, its in ((model, optimizer), (fresh, other)):
        steps(each, its, 3, seed=5)
    assert plain(fresh.state_dict()) == plain(model.state_dict())


def test_lbfgs_keeps_all_parameters_in_a_row_and_is_refused_in_another_order(tmp_path):
    model = make_model()
    optimizer = torch.optim.LBFGS(model.parameters())
    steps(model, optimizer, 2, seed=1)
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    fresh, other = reversed_order("LBFGS", {})
    before = plain(fresh.state_dict())
    assert problem_of(path, model=fresh, optimizer=other) == (
        f"{path} does not fit the optimizer: its parameters are in another order than in "
        "the file, and 'd' is not of one parameter: build it in the order 0.weight, "
        "2.weight. Nothing was changed."
    )
    assert plain(fresh.state_dict()) == before and not other.state


# Optimizers of others


class Counts(torch.optim.SGD):
    """Keeps a counter beside the parameters, as Lookahead does."""

    def step(self, closure=None):
        super().step(closure)
        self.state["rounds"] = self.state.get("rounds", 0) + 1
        self.state["kinds"] = {"of": "text", "seen": [self.state["rounds"]]}


class OwnState(torch.optim.SGD):
    """Puts attributes of its own into the state dict."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.losses, self.slow = [], torch.zeros(1)

    def step(self, closure=None):
        self.losses.append(len(self.losses))
        self.slow += 1
        return super().step(closure)

    def state_dict(self):
        return {**super().state_dict(), "losses": self.losses, "slow": self.slow}

    def load_state_dict(self, state_dict):
        state_dict = dict(state_dict)
        self.losses[:] = state_dict.pop("losses")
        self.slow.copy_(state_dict.pop("slow"))
        super().load_state_dict(state_dict)


class Text(torch.optim.SGD):
    """Keeps a word, and numbers in float32, with a parameter."""

    def step(self, closure=None):
        super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            state = self.state[parameter]
            state["phase"] = "warm"
            master = state.get("master", parameter.detach().float())
            state["master"] = master + 1e-5
            state["history"] = [*state.get("history", []), torch.tensor(1 / 3)]


@pytest.mark.parametrize("kind", [Counts, OwnState, Text])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_kept_beside_the_parameters_comes_back(tmp_path, kind, dtype):
    runs = []
    for count in (5, 1):
        model = make_model(dtype)
        runs += [model, kind(model.parameters(), lr=0.1, momentum=0.9)]
        steps(*runs[-2:], count, seed=count)
    resumed, whole = resume(tmp_path, *runs)
    assert resumed == whole
    assert copy_of_state(runs[1]) == copy_of_state(runs[3])


def as_no_parameter_is():
    """Return numbers of each dtype that the parameters' would round, in every container."""
    exact = {
        "double": torch.tensor([1 + 2**-40], dtype=torch.float64),
        "steps": torch.tensor(2**24 + 1),
        "mask": torch.tensor([True]),
        "step": torch.tensor(2.0**24 + 1, dtype=torch.float64),
        "half": torch.tensor([1.5], dtype=torch.float16),
    }
    return {
        "block_0": exact,
        "deep": [({"in": OrderedDict(exact)},), exact["double"], ["words", None, 3]],
        "top": exact["steps"],
        "count": Counter("aab"),
        "seen": {"a", 2},
        "name": "text",
        3: True,
    }


def types_of(value):
    if isinstance(value, dict):
        return type(value), [types_of(each) for each in value.values()]
    if isinstance(value, list | tuple):
        return type(value), [types_of(each) for each in value]
    return type(value)


class Super(torch.optim.SGD):
    """Loads as its base class does."""

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)


class Around(torch.optim.SGD):
    """Wraps another in a list, and leaves the loading to it."""

    def __init__(self, params):
        super().__init__(params := [*params])
        self.inner = [self, {"first": torch.optim.SGD(params)}]
        self.state = self.inner[1]["first"].state

    def load_state_dict(self, state_dict):
        self.inner[1]["first"].load_state_dict(state_dict)
        self.state = self.inner[1]["first"].state


def with_hook(parameters):
    optimizer = torch.optim.SGD(parameters)
    optimizer.register_load_state_dict_pre_hook(lambda its, state: None)
    optimizer.register_load_state_dict_post_hook(lambda its: None)
    return optimizer


@pytest.mark.parametrize("make", [torch.optim.SGD, Super, Around, with_hook])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("state", [as_no_parameter_is, lambda: torch.full((2,), 1.001)])
def test_whatever_is_kept_comes_back_in_its_own_types(tmp_path, make, dtype, state):
    model, fresh = make_model(dtype), make_model(dtype)
    optimizer, other = make(model.parameters()), make(fresh.parameters())
    for parameter in model.parameters():
        optimizer.state[parameter] = state()
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    hooks = [*other._optimizer_load_state_dict_pre_hooks]
    load_checkpoint(path, model=fresh, optimizer=other)
    for its, saved in zip(fresh.parameters(), model.parameters(), strict=True):
        loaded, expected = other.state[its], optimizer.state[saved]
        assert plain(loaded) == plain(expected) and types_of(loaded) == types_of(expected)
    assert [*other._optimizer_load_state_dict_pre_hooks] == hooks


class OfItsOwn:
    """Wraps another, and is no optimizer of torch's, as those of some trainers."""

    def __init__(self, parameters):
        self.inner = torch.optim.SGD(parameters)
        self.state, self.param_groups = self.inner.state, self.inner.param_groups

    def load_state_dict(self, state_dict):
        self.inner.load_state_dict(state_dict)
        self.state, self.param_groups = self.inner.state, self.inner.param_groups


def test_what_a_foreign_class_wraps_keeps_its_types():
    optimizer = OfItsOwn(make_model(torch.bfloat16).parameters())
    saved = optimizer.inner.state_dict() | {"state": {0: as_no_parameter_is()}}
    load_state(optimizer, saved)
    (loaded,) = optimizer.state.values()
    assert plain(loaded) == plain(as_no_parameter_is())


class Doubling(torch.optim.SGD):
    """Changes what it loads, before torch's own method and after it."""

    def __setstate__(self, state):
        super().__setstate__(state)
        for of_one in self.state.values():
            of_one["third"] = of_one["third"] * 2

    def load_state_dict(self, state_dict):
        for of_one in state_dict["state"].values():
            of_one["first"] = of_one["first"] * 2
        super().load_state_dict(state_dict)
        for of_one in self.state.values():
            of_one["second"] = of_one["second"].bfloat16()


def test_what_an_optimizer_does_to_its_state_in_loading_is_not_undone(tmp_path):
    model = make_model(torch.bfloat16)
    optimizer = Doubling(model.parameters())
    exact = torch.tensor([1.001])
    names = "first", "second", "third", "fourth", "fifth", "sixth"
    for parameter in model.parameters():
        optimizer.state[parameter] = dict.fromkeys(names, exact)
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    other = Doubling(model.parameters())

    def before(its, state):
        for of_one in state["state"].values():
            of_one["fourth"] = of_one["fourth"] * 2

    def after(its):
        for of_one in its.state.values():
            of_one["fifth"] = of_one["fifth"].bfloat16()

    other.register_load_state_dict_pre_hook(before)
    other.register_load_state_dict_post_hook(after)
    load_checkpoint(path, model=model, optimizer=other)
    rounded, doubled = exact.bfloat16(), exact * 2
    values = doubled, rounded, doubled, doubled, rounded, exact
    for parameter in model.parameters():
        expected = dict(zip(names, values, strict=True))
        assert plain(other.state[parameter]) == plain(expected)


def test_a_state_that_contains_itself_is_refused():
    optimizer = torch.optim.SGD(make_model().parameters())
    loop = {}
    loop["again"] = loop
    with pytest.raises(ValueError, match="the state contains itself, or is nested too"):
        load_state(optimizer, optimizer.state_dict() | {"state": {0: loop}})
    assert not optimizer._optimizer_load_state_dict_pre_hooks


def test_all_of_a_state_goes_to_the_device_of_its_parameter():
    """The meta device stands for a GPU."""
    weight = torch.empty(2, device="meta")
    optimizer = torch.optim.SGD([weight])
    load_state(optimizer, optimizer.state_dict() | {"state": {0: as_no_parameter_is()}})
    found = [one for one in contents(optimizer.state[weight]) if torch.is_tensor(one)]
    stay = [one for one in found if not one.is_meta]
    assert len(found) == 11 and {one.item() for one in stay} == {2.0**24 + 1}, "the steps"


def test_the_counter_of_what_computes_on_the_device_is_there_as_float32():
    """As torch does: a fused or capturable step is on the device, another stays."""
    for flag, dtype in (("capturable", torch.float32), ("lr", torch.float64)):
        optimizer = torch.optim.Adam(make_model().parameters())
        optimizer.param_groups[0][flag] = optimizer.param_groups[0][flag] or True
        step = {"step": torch.tensor(3.0, dtype=torch.float64)}
        load_state(optimizer, optimizer.state_dict() | {"state": {0: step}})
        assert next(iter(optimizer.state.values()))["step"].dtype == dtype


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_groups_without_parameters_keep_their_own_values(tmp_path, order):
    """Nothing but their turn tells them apart."""

    def make(model, lrs, order):
        groups = [{"params": [*model.parameters()]}, {"params": []}, {"params": []}]
        return torch.optim.SGD([groups[k] | {"lr": lrs[k]} for k in order])

    model, fresh = make_model(), make_model()
    optimizer = make(model, (0.1, 0.2, 0.3), (0, 1, 2))
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    other = make(fresh, (9.0, 9.0, 9.0), order)
    load_checkpoint(path, model=fresh, optimizer=other)
    expected = [(0.1, 0.2, 0.3)[k] for k in order]
    assert [group["lr"] for group in other.param_groups] == expected


def test_one_number_beside_the_parameters_goes_into_another_order(tmp_path):
    model = make_model()
    optimizer = Counts(model.parameters(), lr=0.1, momentum=0.9)
    steps(model, optimizer, 3, seed=1)
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    fresh = make_model()
    other = Counts(list(fresh.parameters())[::-1], lr=0.1)
    assert "'kinds' is not of one parameter" in problem_of(
        path, model=fresh, optimizer=other
    )
    del optimizer.state["kinds"]
    save_checkpoint(path, model=model, optimizer=optimizer)
    load_checkpoint(path, model=fresh, optimizer=other)
    assert other.state["rounds"] == 3
    momenta = [other.state[p]["momentum_buffer"].shape for p in fresh.parameters()]
    assert momenta == [(3, 4), (2, 3)]


class Lookahead(torch.optim.Optimizer):
    """Wraps another, without a call of the base class, as the usual one does."""

    def __init__(self, inner):
        self.inner, self.param_groups, self.count = inner, inner.param_groups, 0
        self.slow = [p.detach().clone() for g in self.param_groups for p in g["params"]]

    @property
    def state(self):
        return self.inner.state

    def zero_grad(self):
        self.inner.zero_grad()

    def step(self, closure=None):
        self.inner.step(closure)
        self.count += 1
        if self.count % 2 == 0:
            for slow, fast in zip(self.slow, self.param_groups[0]["params"], strict=True):
                fast.data.copy_(slow.lerp_(fast.detach(), 0.5))

    def state_dict(self):
        return {**self.inner.state_dict(), "slow": self.slow, "count": self.count}

    def load_state_dict(self, state):
        self.inner.load_state_dict(state)
        self.param_groups, self.count = self.inner.param_groups, state["count"]
        for mine, saved in zip(self.slow, state["slow"], strict=True):
            mine.copy_(saved)


def test_an_optimizer_around_another_resumes(tmp_path):
    runs = []
    for count in (3, 2):
        model = make_model()
        inner = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        runs += [model, Lookahead(inner)]
        steps(*runs[-2:], count, seed=count)
    resumed, whole = resume(tmp_path, *runs)
    assert resumed == whole
    path = save_checkpoint(tmp_path / "a.pt", model=runs[0], optimizer=runs[1])
    inner = torch.optim.SGD(list(runs[0].parameters())[::-1], lr=0.1)
    assert "'slow' is not of one parameter" in problem_of(
        path, model=runs[0], optimizer=Lookahead(inner)
    )


class Foreign(torch.optim.SGD):
    """Has a state dict of its own form."""

    def state_dict(self):
        return {"everything": [len(self.param_groups[0]["params"])]}

    def load_state_dict(self, state_dict):
        self.loaded = state_dict


def test_a_state_dict_of_another_form_is_passed_on_as_it_is(tmp_path):
    model = make_model()
    path = save_checkpoint(
        tmp_path / "a.pt", model=model, optimizer=Foreign(model.parameters())
    )
    optimizer = Foreign(model.parameters())
    load_checkpoint(path, model=model, optimizer=optimizer)
    assert optimizer.loaded == {"everything": [2]}
    other = Foreign(list(model.parameters())[::-1])
    assert "its state dict has a form of its own: build it in the order 0.weight, " in (
        problem_of(path, model=model, optimizer=other)
    )


def test_a_tensor_of_a_group_is_of_no_parameter(tmp_path):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters())
    optimizer.param_groups[0]["masks"] = torch.ones(2)
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    other = torch.optim.SGD(list(model.parameters())[::-1])
    problem = problem_of(path, model=model, optimizer=other)
    assert "'masks' is not of one parameter" in problem


def test_a_state_that_is_a_tensor_follows_its_parameter_or_is_refused(tmp_path):
    model, fresh = make_model(), make_model()
    optimizer = torch.optim.SGD(model.parameters())
    other = torch.optim.SGD([*fresh.parameters()][::-1])
    first, last = model.parameters()
    optimizer.state = {first: torch.ones(12), last: torch.zeros(6)}
    path = save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)
    load_checkpoint(path, model=fresh, optimizer=other)
    assert [other.state[p].numel() for p in fresh.parameters()] == [12, 6]
    optimizer.state[first] = torch.ones(18)  # of both in a row
    save_checkpoint(path, model=model, optimizer=optimizer)
    problem = problem_of(path, model=fresh, optimizer=other)
    assert "'state' is not of one parameter" in problem


class Sharp(torch.optim.Optimizer):
    """As the usual SAM: its state dict lacks that of the optimizer in it."""

    def __init__(self, parameters, **options):
        super().__init__(parameters, options)
        self.inner = torch.optim.SGD(self.param_groups, **options)
        self.param_groups = self.inner.param_groups

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["old"] = parameter.detach().clone()
        self.inner.step(closure)

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.inner.param_groups = self.param_groups


def test_an_optimizer_whose_state_another_one_forgets_is_told(tmp_path):
    runs = []
    for count in (3, 1):
        model = make_model()
        optimizer = Sharp(model.parameters(), lr=0.1, momentum=0.9)
        steps(model, optimizer, count, seed=count)
        runs.append({"model": model, "optimizer": optimizer})
    with pytest.warns(UserWarning, match="lacks the state of the SGD in it; save and load"):
        save_checkpoint(tmp_path / "a.pt", **runs[0])
    for run in runs:  # as it says
        outer = run["optimizer"]
        run["optimizer"] = {"inner": outer.inner, "outer": outer}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = save_checkpoint(tmp_path / "a.pt", **runs[0])
        load_checkpoint(path, **runs[1])
    for run in runs:
        outer = run["optimizer"]["outer"]
        outer.param_groups[0]["lr"] = 0.5
        steps(run["model"], outer, 2, seed=9)
    assert plain(runs[0]["model"].state_dict()) == plain(runs[1]["model"].state_dict())


@pytest.mark.parametrize("kind", ["SGD", "Lookahead"])
def test_of_one_that_forgets_nothing_nothing_is_told(tmp_path, kind):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer = Lookahead(optimizer) if kind == "Lookahead" else optimizer
    steps(model, optimizer, 3, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_checkpoint(tmp_path / "a.pt", model=model, optimizer=optimizer)


def test_a_wrapper_may_have_slots_alone(tmp_path):
    class Slotted:
        __slots__ = ("inner", "param_groups")

        def __init__(self, inner):
            self.inner, self.param_groups = inner, inner.param_groups

        def state_dict(self):
            return self.inner.state_dict()

        def load_state_dict(self, state):
            self.inner.load_state_dict(state)
            self.param_groups = self.inner.param_groups

    runs = []
    for count in (3, 1):
        model = make_model()
        inner = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        steps(model, inner, count, seed=count)
        runs.append({"model": model, "optimizer": Slotted(inner)})
    load_checkpoint(save_checkpoint(tmp_path / "a.pt", **runs[0]), **runs[1])
    states = [plain(run["optimizer"].state_dict()) for run in runs]
    assert states[0] == states[1]

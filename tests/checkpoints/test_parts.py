"""Several models, optimizers and schedulers in one file, and whatever else has a state."""

import copy
import threading

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from helpers.checkpoints import (
    CheckpointFolder,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
    verify,
)
from helpers.checkpoints.parts import group_names, named_parameters
from tests.checkpoints.runs import Net, Run, plain, problem_of


class Gan:
    """Two models, each with an optimizer and a scheduler."""

    def __init__(self, seed, steps=3):
        torch.manual_seed(seed)
        self.models = {"generator": nn.Linear(3, 4), "critic": nn.Linear(4, 1)}
        self.optimizers = {
            "generator": torch.optim.Adam(self.models["generator"].parameters(), lr=0.1),
            "critic": torch.optim.SGD(self.models["critic"].parameters(), momentum=0.9),
        }
        self.schedulers = {
            name: torch.optim.lr_scheduler.StepLR(optimizer, 2)
            for name, optimizer in self.optimizers.items()
        }
        self.step(steps)

    def step(self, steps):
        for _ in range(steps):
            made = self.models["generator"](torch.rand(5, 3))
            self.models["critic"](made).sum().backward()
            for optimizer in self.optimizers.values():
                optimizer.step()
                optimizer.zero_grad()
            for scheduler in self.schedulers.values():
                scheduler.step()

    @property
    def parts(self):
        return {
            "model": self.models,
            "optimizer": self.optimizers,
            "scheduler": self.schedulers,
        }

    def state(self):
        return plain(
            [one.state_dict() for part in self.parts.values() for one in part.values()]
        )


def test_two_models_with_two_optimizers_resume_bit_for_bit(tmp_path):
    run, other = Gan(seed=1), Gan(seed=2, steps=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts, epoch=4)
    assert verify(path).missing == ()
    expected = run.state()
    assert load_checkpoint(path, **other.parts).epoch == 4
    assert other.state() == expected
    for each in (run, other):
        torch.manual_seed(5)
        each.step(3)
    assert other.state() == run.state() != expected


def test_the_file_can_be_read_by_hand(tmp_path):
    run = Gan(seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    content = torch.load(path, weights_only=True)
    nn.Linear(3, 4).load_state_dict(content["model"]["generator"])
    metadata = read_metadata(path)
    assert metadata["format_version"] == 2, "older helpers could not read it"
    assert metadata["architecture"]["class"] == {"generator": "Linear", "critic": "Linear"}
    assert list(metadata["parameters"]) == [
        "critic.weight",
        "critic.bias",
        "generator.weight",
        "generator.bias",
    ]
    assert metadata["optimizer"]["critic"] == {
        "class": "SGD",
        "groups": [["critic.weight", "critic.bias"]],
    }


def test_one_of_several_is_loaded_alone_and_the_order_does_not_matter(tmp_path):
    run, other = Gan(seed=1), Gan(seed=2)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    before = plain(other.models["critic"].state_dict())
    alone = {part: {"generator": each["generator"]} for part, each in other.parts.items()}
    load_checkpoint(path, **alone)
    assert plain(other.models["critic"].state_dict()) == before
    turned = {part: dict(reversed(each.items())) for part, each in other.parts.items()}
    load_checkpoint(path, **turned)
    assert other.state() == run.state()


def test_one_optimizer_of_two_models(tmp_path):
    def make():
        run = Gan(seed=1)
        both = [*run.models["generator"].parameters(), *run.models["critic"].parameters()]
        return run.models, torch.optim.Adam(both)

    models, optimizer = make()
    path = save_checkpoint(tmp_path / "a.pt", model=models, optimizer=optimizer)
    assert read_metadata(path)["optimizer"]["groups"] == [
        ["generator.weight", "generator.bias", "critic.weight", "critic.bias"]
    ]
    models, optimizer = make()
    load_checkpoint(path, model=models, optimizer=optimizer)


def test_a_parameter_of_two_models_has_one_name():
    shared = nn.Linear(2, 2)
    models = {"b": nn.Sequential(shared), "a": nn.Sequential(nn.ReLU(), shared)}
    assert list(named_parameters(models)) == ["a.1.weight", "a.1.bias"]
    optimizer = torch.optim.SGD(models["b"].parameters())
    assert group_names(models, optimizer) == [["a.1.weight", "a.1.bias"]]


@pytest.mark.parametrize(
    ("saved", "asked", "problem"),
    [
        (
            lambda run: {"model": run.models},
            lambda run: {"model": run.models["critic"]},
            "the model: the file holds several, 'generator', 'critic': pass a dict with "
            "such names",
        ),
        (
            lambda run: {"model": run.models["critic"]},
            lambda run: {"model": {"critic": run.models["critic"]}},
            "the model['critic']: the file holds one model, without a name: pass it "
            "without a dict",
        ),
        (
            lambda run: {"model": run.models},
            lambda run: {"model": {"painter": run.models["generator"]}},
            "the model['painter']: the file holds none of this name, but 'generator', "
            "'critic'",
        ),
        (
            lambda run: {"model": run.models},
            lambda run: {"model": {"critic": run.models["generator"]}},
            "the model['critic']: weight is float32 (1, 4) in the file, float32 (4, 3) in "
            "the model; bias is float32 (1,) in the file, float32 (4,) in the model",
        ),
        (
            lambda run: {"model": run.models},
            lambda run: {"model": run.models, "optimizer": run.optimizers},
            "the optimizer['generator']: the file holds no optimizer: load it without "
            "optimizer=",
        ),
        (
            lambda run: {"model": run.models},
            lambda run: {"model": run.models, "others": {"loader": Loader()}},
            "the others['loader']: the file holds no others: load it without others=",
        ),
        (
            lambda run: {"model": run.models, "others": {"loader": Loader()}},
            lambda run: {"model": run.models, "others": {"loader": Run()}},
            "the others['loader']: the object is of class Run, the saved one of class "
            "Loader",
        ),
    ],
)
def test_what_the_file_does_not_hold_is_named(tmp_path, saved, asked, problem):
    path = save_checkpoint(tmp_path / "a.pt", **saved(Gan(seed=1)))
    run = Gan(seed=2)
    before = run.state()
    arguments = asked(run)
    for other in arguments.get("others", {}).values():
        other.state_dict = other.load_state_dict = lambda *_: {}
    assert problem_of(path, **arguments) == (
        f"{path} does not fit {problem}. Nothing was changed."
    )
    assert run.state() == before


# Parameters that have several names


class Shared(nn.Module):
    """A head over an encoder, which may be another's too."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.encoder(x))


class SharedRun(Gan):
    """An actor and a critic over one encoder; each optimizer trains all that it sees."""

    def __init__(self, seed, names=("actor", "critic")):
        torch.manual_seed(seed)
        encoder = nn.Linear(3, 4)
        self.models = {name: Shared(encoder) for name in names}
        self.optimizers = {
            name: torch.optim.Adam(model.parameters(), lr=0.1)
            for name, model in self.models.items()
        }
        self.schedulers = {
            name: torch.optim.lr_scheduler.StepLR(optimizer, 2)
            for name, optimizer in self.optimizers.items()
        }
        for _ in range(seed):
            sum(model(torch.rand(5, 3)).sum() for model in self.models.values()).backward()
            for each in (*self.optimizers.values(), *self.schedulers.values()):
                each.step()


@pytest.mark.parametrize("name", ["actor", "critic"])
def test_one_of_two_models_that_share_a_part_is_loaded_with_its_optimizer(tmp_path, name):
    run, other = SharedRun(seed=3), SharedRun(seed=1, names=[name])
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    told = read_metadata(path)
    encoder = {
        f"actor.encoder.{one}": [f"critic.encoder.{one}"] for one in ("weight", "bias")
    }
    assert told["aliases"] == encoder and told["format_version"] == 2
    assert load_checkpoint(path, **other.parts).metadata == told
    for part in ("models", "optimizers", "schedulers"):
        loaded, saved = getattr(other, part)[name], getattr(run, part)[name]
        assert plain(loaded.state_dict()) == plain(saved.state_dict())
    whole = SharedRun(seed=1)
    load_checkpoint(path, **whole.parts)
    assert whole.state() == run.state()


def test_a_file_that_knows_one_name_of_each_is_still_loaded(tmp_path):
    run, other = SharedRun(seed=3), SharedRun(seed=1)
    path = save_checkpoint(tmp_path / "a.pt", **run.parts)
    content = torch.load(path, weights_only=True)
    del content["metadata"]["aliases"]
    torch.save(content, path)
    load_checkpoint(path, **other.parts)
    assert other.state() == run.state()
    alone = SharedRun(seed=1, names=["critic"])
    problem = problem_of(path, **alone.parts)
    assert "critic.encoder.bias is not in the file" in problem


def tied(seed, tie=True, turn=False):
    """Two layers, of which the second's name is that of the first where they are tied."""
    torch.manual_seed(seed)
    model = nn.Module()
    layers = [("a", nn.Linear(3, 3, bias=False)), ("b", nn.Linear(3, 3, bias=False))]
    for name, layer in layers[::-1] if turn else layers:
        setattr(model, name, layer)
    if tie:
        model.b.weight = model.a.weight
    each = [{"params": [parameter]} for parameter in model.parameters()]
    optimizer = torch.optim.Adam(each)
    for parameter in model.parameters():
        parameter.grad = torch.rand(3, 3)
    optimizer.step()
    return {"model": model, "optimizer": optimizer}


@pytest.mark.parametrize("has_aliases", [True, False])
def test_tied_weights_are_found_by_any_of_their_names(tmp_path, has_aliases):
    run, other = tied(seed=1), tied(seed=2, turn=True)
    path = save_checkpoint(tmp_path / "a.pt", **run)
    assert read_metadata(path)["aliases"] == {"a.weight": ["b.weight"]}
    assert read_metadata(path)["format_version"] == 1
    if not has_aliases:
        content = torch.load(path, weights_only=True)
        del content["metadata"]["aliases"]
        torch.save(content, path)
    assert list(named_parameters(other["model"])) == ["b.weight"]
    load_checkpoint(path, **other)
    for part in ("model", "optimizer"):
        loaded, saved = other[part].state_dict(), run[part].state_dict()
        assert dict(plain(loaded)) == dict(plain(saved))


@pytest.mark.parametrize(
    ("saved", "problem"),
    [
        (True, "the optimizer's parameters differ: b.weight is not in the file"),
        (False, "the optimizer's parameters differ: b.weight is only in the file"),
    ],
)
def test_weights_that_are_tied_on_one_side_alone_are_refused(tmp_path, saved, problem):
    run, other = tied(1, tie=saved), tied(2, tie=not saved)
    if not saved:  # else the model itself would be refused
        run["model"].b.load_state_dict(run["model"].a.state_dict())
    path = save_checkpoint(tmp_path / "a.pt", **run)
    assert problem_of(path, **other) == (
        f"{path} does not fit the optimizer: {problem}. Nothing was changed."
    )


def test_a_model_that_names_its_parameters_itself_is_saved_and_loaded(tmp_path):
    class Own(nn.Linear):
        def named_parameters(self, prefix="", recurse=True):
            return super().named_parameters(prefix, recurse)

    run, other = Own(2, 1), Own(2, 1)
    path = save_checkpoint(tmp_path / "a.pt", model=run)
    load_checkpoint(path, model=other)
    assert torch.equal(run.weight, other.weight)


# Whatever else has a state


class Loader:
    """A data loader that knows where it stands."""

    def __init__(self, at=0):
        self.at, self.order, self.lock = at, [3, 1, 2], threading.Lock()

    def state_dict(self):
        return {"at": self.at, "order": self.order}

    def load_state_dict(self, state):
        self.at, self.order[:] = state["at"], state["order"]


def test_an_object_with_a_state_comes_back(tmp_path):
    loader = Loader(at=7)
    loader.order.reverse()
    path = save_checkpoint(tmp_path / "a.pt", model=Net(), others={"loader": loader})
    assert verify(path).missing == ()
    assert read_metadata(path)["others"] == {"loader": {"class": "Loader"}}
    assert read_metadata(path)["format_version"] == 2
    other, model = Loader(), Net()
    load_checkpoint(path, model=model, others={"loader": other})
    assert (other.at, other.order) == (7, [2, 1, 3])
    load_checkpoint(path, model=model)  # what is not asked for is left alone


def test_a_gradient_scaler_resumes(tmp_path):
    def make(scale):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
        scaler.scale(torch.ones(1))  # makes its tensors
        return scaler

    scaler = make(8.0)
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    for _ in range(3):
        scaler.scale(weight.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    path = save_checkpoint(tmp_path / "a.pt", model=Net(), others={"scaler": scaler})
    other = make(2.0)
    load_checkpoint(path, model=Net(), others={"scaler": other})
    assert other.state_dict() == scaler.state_dict() and other.get_scale() == 16.0
    assert other.scale(torch.ones(1)).item() == 16.0


def test_a_scaler_that_was_off_does_not_go_into_one_that_is_on(tmp_path):
    off = torch.amp.GradScaler("cpu", enabled=False)
    path = save_checkpoint(tmp_path / "a.pt", model=Net(), others={"scaler": off})
    scaler, model = torch.amp.GradScaler("cpu", init_scale=4.0), Net()
    before = plain(model.state_dict())
    with pytest.raises(RuntimeError, match="source state dict is empty") as caught:
        load_checkpoint(path, model=model, others={"scaler": scaler})
    note = f"others['scaler'] did not take what {path} holds of it; nothing was changed"
    assert caught.value.__notes__ == [note]
    assert plain(model.state_dict()) == before and scaler.get_scale() == 4.0


class Uncopyable(nn.Module):
    """Copies itself only by hand, as a module with a lock has to."""

    def __init__(self):
        super().__init__()
        self.fc, self.lock = nn.Linear(2, 2), threading.Lock()
        self.random = torch.Generator().manual_seed(3)

    def forward(self, x):
        return self.fc(x) + torch.rand(2, generator=self.random)

    def __deepcopy__(self, memo):
        twin = Uncopyable()
        twin.load_state_dict(self.state_dict())
        return twin


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), Uncopyable])
@pytest.mark.parametrize("as_model", [True, False])
def test_an_average_of_weights_resumes(tmp_path, make, as_model):
    def run(seed):
        torch.manual_seed(seed)
        net = make()
        average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        return net, average, torch.optim.SGD(net.parameters(), lr=0.1)

    def go(net, average, optimizer, seed):
        torch.manual_seed(seed)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.rand(4, 2)).pow(2).sum().backward()
            optimizer.step()
            average.update_parameters(net)

    def parts(net, average, optimizer):
        if as_model:
            return {"model": {"net": net, "average": average}, "optimizer": optimizer}
        return {"model": net, "optimizer": optimizer, "others": {"average": average}}

    first, second = run(1), run(2)
    go(*first, seed=3)
    path = save_checkpoint(tmp_path / "a.pt", **parts(*first))
    load_checkpoint(path, **parts(*second))
    for each in (first, second):
        if make is Uncopyable:
            each[0].random.manual_seed(7)
        go(*each, seed=4)
    assert plain(second[1].state_dict()) == plain(first[1].state_dict())
    assert second[1].n_averaged == 6


def test_a_module_among_the_others_must_fit(tmp_path):
    path = save_checkpoint(tmp_path / "a.pt", model=Net(), others={"ema": nn.Linear(2, 2)})
    problem = problem_of(path, model=Net(), others={"ema": nn.Linear(3, 2)})
    assert "does not fit the others['ema']: weight is float32 (2, 2) in the" in problem


def test_a_folder_of_checkpoints_takes_them_too(tmp_path):
    folder = CheckpointFolder(tmp_path, keep_best=0)
    run, loader = Gan(seed=1), Loader(at=3)
    folder.save(**run.parts, others={"loader": loader})
    other, fresh = Gan(seed=2), Loader()
    folder.load_latest(**other.parts, others={"loader": fresh})
    assert other.state() == run.state() and fresh.at == 3


# What is given wrongly


class NoState:
    param_groups = ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": {}}, "model is of type dict; expected a torch.nn.Module"),
        (
            {"model": {"a": Net(), "b": "net"}},
            "model['b'] is of type str; expected a torch.nn.Module",
        ),
        (
            {"model": {"a": Net(), 3: Net()}},
            "model has the key 3; expected names: strings",
        ),
        (
            {"optimizer": {"a": NoState()}},
            "optimizer['a'] is of type NoState; expected one with a state_dict()",
        ),
        (
            {"optimizer": Net()},
            "optimizer is of type Net, without param_groups; pass it in others=",
        ),
        ({"others": Loader()}, "others is of type Loader; expected a dict: name -> object"),
        (
            {"others": {"seed": 3}},
            "others['seed'] is of type int; expected one with a state_dict()",
        ),
    ],
)
def test_what_has_no_state_is_refused_by_name(tmp_path, given, message):
    path = tmp_path / "a.pt"
    with pytest.raises(TypeError) as caught:
        save_checkpoint(path, **{"model": Net(), **given})
    assert str(caught.value) == message and not path.exists()
    save_checkpoint(path, model=Net())
    with pytest.raises(TypeError) as caught:
        load_checkpoint(path, **{"model": Net(), **given})
    assert str(caught.value) == message


def test_a_state_that_cannot_be_saved_is_named_with_its_owner(tmp_path):
    loader = Loader()
    loader.order = [copy]
    with pytest.raises(ValueError, match=r"others\['loader'\]\['order'\]\[0\] is of type"):
        save_checkpoint(tmp_path / "a.pt", model=Net(), others={"loader": loader})
    del loader.order
    with pytest.raises(AttributeError) as caught:
        save_checkpoint(tmp_path / "a.pt", model=Net(), others={"loader": loader})
    assert caught.value.__notes__ == [
        "in others['loader'].state_dict(); nothing was written"
    ]
    assert not list(tmp_path.iterdir())


def test_names_that_would_be_one_are_refused(tmp_path):
    models = {"a": nn.ModuleDict({"b": nn.Linear(2, 2)}), "a.b": nn.Linear(2, 2)}
    with pytest.raises(ValueError, match=r"are 'a\.b\.weight': rename model\['a\.b'\]"):
        save_checkpoint(tmp_path / "a.pt", model=models)
    assert not [*tmp_path.iterdir()]

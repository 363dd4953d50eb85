"""Devices: which is best, and loading onto one, all or nothing."""

import sys
import traceback
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers import devices
from helpers.classroom.exercises.notebook_03 import Payload
from helpers.classroom.faults.gpu_files import make_gpu_checkpoint
from helpers.devices import available_devices, best_device, load_to_device
from helpers.state_dicts import compare
from tests.state_dicts import samples
from tests.state_dicts.interrupting import FailsAt, InterruptAt

CPU = torch.device("cpu")


def small_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.fixture
def only_a_cpu(monkeypatch):
    """Make this machine, whatever it has, one without a GPU."""
    for module in (torch.cuda, torch.backends.mps, torch.xpu):
        monkeypatch.setattr(module, "is_available", lambda: False)


@pytest.fixture
def saved(tmp_path) -> Path:
    torch.manual_seed(1)
    net = small_net()
    net(torch.rand(8, 3))  # so that its buffers are not those of every new one
    torch.save(net.state_dict(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


# best_device


def test_a_machine_without_a_gpu_uses_the_cpu_and_says_why(only_a_cpu, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    assert available_devices() == [CPU]
    assert best_device() == (CPU, "torch finds no GPU, and was built without CUDA")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert best_device().reason == (
        "torch was built for a GPU, but finds none: check the driver"
    )


def test_cuda_comes_before_mps_before_xpu_before_the_cpu(only_a_cpu, monkeypatch):
    def there(module, count=1):
        monkeypatch.setattr(module, "is_available", lambda: True)
        if hasattr(module, "device_count"):
            monkeypatch.setattr(module, "device_count", lambda: count)
            monkeypatch.setattr(module, "get_device_name", lambda device: f"GPU {device}")

    there(torch.xpu)
    assert best_device() == (
        torch.device("xpu:0"),
        "no CUDA or MPS, but an Intel GPU: GPU xpu:0",
    )
    there(torch.backends.mps)
    assert best_device() == (
        torch.device("mps:0"),
        "no CUDA device, but Apple's GPU is available (MPS)",
    )
    there(torch.cuda, count=2)
    device, reason = best_device()
    assert device == torch.device("cuda:0")
    assert reason == "an NVIDIA or AMD GPU is available: GPU cuda:0"
    assert [str(d) for d in available_devices()] == [
        "cuda:0",
        "cuda:1",
        "mps:0",
        "xpu:0",
        "cpu",
    ]


# load_to_device


def test_every_tensor_arrives_and_the_parameters_stay_the_same_objects(saved):
    torch.manual_seed(2)
    net = small_net()
    parameters = list(net.parameters())
    assert load_to_device(net, saved, "cpu") is net
    assert compare(net, torch.load(saved, weights_only=True)).identical
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert net.training and all(p.requires_grad for p in parameters)


def test_an_optimizer_that_was_built_before_trains_the_loaded_weights(saved):
    net = small_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    load_to_device(net, saved, "cpu")
    net(torch.rand(5, 3)).square().sum().backward()
    optimizer.step()
    changed = compare(net, torch.load(saved, weights_only=True)).different
    assert {"0.weight", "2.weight", "2.bias"} <= changed.keys()


def test_dtypes_are_the_models_tied_weights_stay_tied_and_gradients_stay(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

    torch.save(Tied().double().state_dict(), tmp_path / "tied.pt")
    model = Tied()
    model.head.weight.grad = torch.ones(5, 3)
    load_to_device(model, tmp_path / "tied.pt", CPU)
    assert model.embed.weight.dtype == torch.float32
    assert model.head.weight is model.embed.weight
    assert bool((model.head.weight.grad == 1).all())


@pytest.mark.parametrize("device", [d for d in available_devices() if d != CPU] or [CPU])
def test_whatever_gpu_there_is_gets_parameters_buffers_and_gradients(saved, device):
    net = small_net()
    net[0].weight.grad = torch.ones(4, 3)
    load_to_device(net, saved, device)
    assert {t.device for t in (*net.state_dict().values(), net[0].weight.grad)} == {device}
    assert net(torch.rand(5, 3, device=device)).device == device


def test_a_file_from_a_gpu_machine_loads_on_the_cpu(saved, tmp_path):
    state = torch.load(saved, weights_only=True)
    gpu = make_gpu_checkpoint(state, tmp_path / "gpu.pt")
    assert compare(load_to_device(small_net(), gpu, "cpu"), state).identical


def pieces(net: nn.Module) -> list:
    return [
        (id(p), p.data_ptr(), p.device, p.tolist(), p.grad) for p in net.parameters()
    ] + [(id(b), b.data_ptr(), b.tolist()) for b in net.buffers()]


def short(state):
    del state["2.bias"]


def more(state):
    state["extra"] = torch.ones(1)


def wider(state):
    state["0.weight"] = torch.ones(5, 3)


@pytest.mark.parametrize(
    "spoil, says",
    [
        (short, 'Missing key(s) in state_dict: "2.bias"'),
        (more, 'Unexpected key(s) in state_dict: "extra"'),
        (wider, "size mismatch for 0.weight"),
    ],
)
def test_what_does_not_fit_changes_nothing(saved, spoil, says):
    state = torch.load(saved, weights_only=True)
    spoil(state)
    torch.save(state, saved)
    net = small_net()
    before = pieces(net)
    with pytest.raises(RuntimeError) as caught:
        load_to_device(net, saved, "cpu")
    assert says in str(caught.value)
    assert caught.value.__notes__ == [f"{saved} does not fit; the model is unchanged"]
    assert pieces(net) == before


def test_a_move_that_fails_changes_nothing(saved, monkeypatch):
    net = small_net()
    before = pieces(net)

    def full(module, *arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nn.Module, "to", full)
    with pytest.raises(torch.OutOfMemoryError):
        load_to_device(net, saved, "cpu")
    assert pieces(net) == before


# All or nothing, for every kind of model and of entry

NOT_IN_A_FILE = {"packed parameters", "uint4", "subclass"}  # weights_only=True refuses them
kinds_in_files = pytest.mark.parametrize(
    "kind",
    [kind for kind in (*samples.MODELS, *samples.KINDS) if kind not in NOT_IN_A_FILE],
)
# What load_state_dict itself cannot copy into.
NOT_LOADABLE = {"quint4x2", "nested", "jagged", "expanded", "inference"}


def file_for(kind: str, folder: Path) -> Path:
    state = samples.model(kind, seed=1).state_dict()
    if "1.entry" in state and kind == "qint8":  # whose scale is no tensor
        values = torch.rand(2, 4)
        state["1.entry"] = torch.quantize_per_tensor(values, 0.7, 1, torch.qint8)
    torch.save(state, folder / "kind.pt")
    return folder / "kind.pt"


@pytest.mark.filterwarnings("ignore")
@kinds_in_files
def test_the_result_is_that_of_torch_itself_or_nothing_has_changed(kind, tmp_path):
    path = file_for(kind, tmp_path)
    net, twin = samples.model(kind), samples.model(kind)
    before, parameters = samples.photograph(net), list(net.parameters())
    if kind in NOT_LOADABLE:
        with pytest.raises(RuntimeError) as caught:
            load_to_device(net, path, "cpu")
        assert caught.value.__notes__ == [f"{path} does not fit; the model is unchanged"]
        assert samples.photograph(net) == before
        return
    assert load_to_device(net, path, "cpu") is net
    twin.to("cpu").load_state_dict(torch.load(path, weights_only=True))
    expected, after = samples.photograph(twin), samples.photograph(net)
    for name in ("state", *(name for name in after if name.startswith("bits of"))):
        assert after[name] == expected[name], name
    assert before["state"] != after["state"] or kind in ("zero-size", "bool")
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))


@pytest.mark.filterwarnings("ignore")
@kinds_in_files
def test_ctrl_c_at_any_operation_changes_nothing(kind, tmp_path):
    path = file_for(kind, tmp_path)
    state = torch.load(path, weights_only=True)
    net, twin = samples.model(kind), samples.model(kind)
    with suppress(RuntimeError), FailsAt() as counted:
        devices._load(twin, CPU, state)
    before = samples.photograph(net)
    assert counted.count > 0
    for k in range(counted.count):
        with pytest.MonkeyPatch.context() as patched:
            load = devices._load

            def interrupted(*arguments, k=k, load=load):
                with FailsAt(k):
                    load(*arguments)

            patched.setattr(devices, "_load", interrupted)
            with pytest.raises((KeyboardInterrupt, RuntimeError)):
                load_to_device(net, path, "cpu")
        assert samples.photograph(net) == before, k


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind, step",
    {"extra state": 1, "recurrent": 1, "torchao": 9, "ties and views": 9}.items(),
)
def test_ctrl_c_at_any_line_changes_all_or_nothing(kind, step, tmp_path):
    path = file_for(kind, tmp_path)
    net = samples.model(kind)
    before = samples.photograph(net)
    files = ("nn/modules/module.py", "modules/rnn.py", "torch/utils/__init__.py")
    files += ("helpers/devices.py", "state_dicts/samples.py")
    for k in range(0, 10_000, step):
        at = InterruptAt(k, *files)
        try:
            load_to_device(net, path, "cpu")
        except KeyboardInterrupt:
            if samples.photograph(net) != before:  # at the very last line: all is loaded
                assert compare(net, torch.load(path, weights_only=True)).identical, k
                net = samples.model(kind)
                before = samples.photograph(net)
        else:  # the last line was reached
            assert at.left >= 0 and k > 200
            break
        finally:
            sys.settrace(None)
        assert torch.is_grad_enabled()
    assert samples.photograph(net) != before


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
@pytest.mark.parametrize(
    "where, name",
    [(samples.Extra, "set_extra_state"), (nn.Linear, "_load_from_state_dict")],
)
def test_a_method_that_fails_after_its_work_is_undone(
    where, name, error, tmp_path, monkeypatch
):
    def pair():
        return nn.Sequential(samples.Extra(), nn.Linear(2, 2), samples.Extra())

    other = pair()
    other[0].factor, other[0].history = 7.0, [torch.ones(2)]
    other[0].counts["deep"]["n"] = 5
    torch.save(other.state_dict(), tmp_path / "pair.pt")
    real = getattr(where, name)
    for k in range(2):
        net, calls = pair(), []

        def fails(self, *arguments, k=k, calls=calls):
            real(self, *arguments)
            calls.append(self)
            if len(calls) == k + 1:
                raise error

        before = samples.photograph(net)
        monkeypatch.setattr(where, name, fails)
        with pytest.raises(error):
            load_to_device(net, tmp_path / "pair.pt", "cpu")
        monkeypatch.setattr(where, name, real)
        assert samples.photograph(net) == before


def test_a_move_that_fails_half_way_is_undone(saved, monkeypatch):
    net = small_net()
    net[0].weight.grad = torch.ones(4, 3)
    before = samples.photograph(net)

    def half_way(module, device):  # as where the GPU's memory runs out
        module[0].double()
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nn.Module, "to", half_way)
    with pytest.raises(torch.OutOfMemoryError):
        load_to_device(net, saved, "cpu")
    assert samples.photograph(net) == before


# What the model holds afterwards is what the file holds


def test_a_tensor_whose_class_does_not_copy_is_noticed(saved):
    class Forgets(nn.Parameter):
        def copy_(self, value):
            return self

    net = small_net()
    net[2].bias = Forgets(net[2].bias)
    before = pieces(net)
    with pytest.raises(RuntimeError) as caught:
        load_to_device(net, saved, "cpu")
    assert str(caught.value) == (
        "2.bias does not hold what the file holds: torch copied another value into the "
        "same memory (tied weights?), or the tensor's class, Forgets, cannot be copied "
        "into"
    )
    assert pieces(net) == before


def test_tied_weights_with_two_values_in_the_file_are_noticed(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    torch.save(net.state_dict(), tmp_path / "untied.pt")
    net[1].weight = net[0].weight
    with pytest.raises(RuntimeError, match=r"0.weight does not hold .* \(tied weights\?\)"):
        load_to_device(net, tmp_path / "untied.pt", "cpu")
    net[1] = net[0]
    with pytest.raises(RuntimeError, match=r"0.weight does not hold .* \(tied weights\?\)"):
        load_to_device(net, tmp_path / "untied.pt", "cpu")


@pytest.mark.parametrize("where", ["hook", "method"])
def test_a_module_that_changes_what_it_loads_is_believed(where, tmp_path):
    class Doubles(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *others):
            state_dict[prefix + "weight"] = 2 * state_dict[prefix + "weight"]
            super()._load_from_state_dict(state_dict, prefix, *others)

    def doubles(module, state_dict, prefix, *others):
        state_dict[prefix + "weight"] = 2 * state_dict[prefix + "weight"]

    net = nn.Sequential(nn.Linear(2, 2) if where == "hook" else Doubles(2, 2))
    if where == "hook":
        net[0].register_load_state_dict_pre_hook(doubles)
    file = {"0.weight": torch.ones(2, 2), "0.bias": torch.ones(2)}
    torch.save(file, tmp_path / "file.pt")
    load_to_device(net, tmp_path / "file.pt", "cpu")
    assert net[0].weight.tolist() == [[2, 2], [2, 2]]


def test_files_of_old_versions_and_other_dtypes_are_no_surprise(tmp_path):
    net = nn.BatchNorm1d(2).half()
    file = {name: value.double() for name, value in net.state_dict().items()}
    file["num_batches_tracked"] = torch.tensor([3])  # torch 0.3 had no scalars
    file["weight"] = torch.tensor([0.1, torch.nan])
    twice = nn.ModuleList([net, net])
    torch.save(
        {f"{k}.{name}": v.clone() for k in (0, 1) for name, v in file.items()},
        tmp_path / "old.pt",
    )
    load_to_device(twice, tmp_path / "old.pt", "cpu")
    assert net.num_batches_tracked == 3
    assert net.weight[0] == torch.tensor(0.1).half() and bool(net.weight[1].isnan())


def test_a_device_that_is_not_there_is_answered_with_those_that_are(saved, only_a_cpu):
    net = small_net()
    for device in ("cuda:0", "cuda", "mps", torch.device("xpu", 1), "meta"):
        with pytest.raises(ValueError) as caught:
            load_to_device(net, saved, device)
        name = str(torch.device(device))
        assert (
            str(caught.value) == f"device '{name}' is not available; this machine has: cpu"
        )
    for device in ("gpu", "cpu:x", None, 1.5):
        with pytest.raises(ValueError) as caught:
            load_to_device(net, saved, device)
        assert str(caught.value) == f"device is {device!r}; expected one of: cpu"


def test_the_cpu_may_have_its_index(saved):
    state = torch.load(saved, weights_only=True)
    assert compare(load_to_device(small_net(), saved, "cpu:0"), state).identical


def test_an_index_too_high_is_answered_with_the_list(saved, only_a_cpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(
        ValueError, match="'cuda:2' is not available; this machine has: cuda:0, cuda:1, cpu"
    ):
        load_to_device(small_net(), saved, "cuda:2")


def test_a_file_that_cannot_be_read_is_named(saved, tmp_path):
    net = small_net()
    before = pieces(net)
    with pytest.raises(FileNotFoundError, match=r"there is no file at .*nothing\.pt"):
        load_to_device(net, tmp_path / "nothing.pt", "cpu")
    with pytest.raises(FileNotFoundError, match="there is no file at"):
        load_to_device(net, tmp_path, "cpu")
    data = saved.read_bytes()
    for content in (b"", b"hello", b"weights: none", data[:100], data[: len(data) // 2]):
        saved.write_bytes(content)
        with pytest.raises(ValueError) as caught:
            load_to_device(net, saved, "cpu")
        assert str(saved) in str(caught.value) and ".pt file" in str(caught.value)
        assert "weights_only=False" not in str(caught.value)
    assert pieces(net) == before


def test_a_whole_model_and_a_checkpoint_are_refused_with_the_cure(tmp_path):
    path = tmp_path / "other.pt"
    torch.save(small_net(), path)
    with pytest.raises(
        ValueError, match=r"a whole model\?\); save model.state_dict"
    ) as caught:
        load_to_device(small_net(), path, "cpu")
    # torch's own text above it would propose what lets a crafted file run.
    assert "False" not in "".join(traceback.format_exception(caught.value))
    torch.save({"epoch": 1, "model": small_net().state_dict()}, path)
    with pytest.raises(TypeError, match=r"other.pt\['epoch'\] is of type int") as caught:
        load_to_device(small_net(), path, "cpu")
    assert caught.value.__notes__ == (
        ["load_to_device reads a file that holds a state dict alone"]
    )


def test_a_file_that_would_run_code_runs_none_whatever_the_environment_says(
    tmp_path, monkeypatch
):
    path, marker = tmp_path / "bad.pt", tmp_path / "it-ran"
    torch.save({"0.weight": Payload(marker)}, path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(ValueError, match=r"bad.pt is not a .pt file, or holds more than"):
        load_to_device(small_net(), path, "cpu")
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the payload does nothing, so this test shows nothing"


def test_a_model_must_be_a_module_with_memory(saved):
    with pytest.raises(TypeError, match="model is of type OrderedDict; expected a torch"):
        load_to_device(small_net().state_dict(), saved, "cpu")
    with torch.device("meta"):
        empty = small_net()
    half_empty = small_net()
    half_empty[1].running_mean = empty[1].running_mean
    for model in (empty, half_empty):
        with pytest.raises(ValueError, match=r"call model.to_empty\(device='cpu'\) first"):
            load_to_device(model, saved, "cpu")


def test_a_lazy_layer_would_forget_the_weights_at_its_first_batch(saved):
    net = small_net()
    net[0] = nn.LazyLinear(4)
    with pytest.raises(ValueError) as caught:
        load_to_device(net, saved, "cpu")
    assert str(caught.value) == "model has lazy layers: run one batch through it first"
    net(torch.rand(5, 3))
    load_to_device(net, saved, "cpu")
    net(torch.rand(5, 3))
    assert torch.equal(net[0].weight, torch.load(saved, weights_only=True)["0.weight"])


def test_a_file_that_may_not_be_opened_is_not_called_damaged(saved, monkeypatch):
    def forbidden(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(torch, "load", forbidden)
    with pytest.raises(PermissionError, match=rf"Permission denied: .*{saved.name}"):
        load_to_device(small_net(), saved, "cpu")

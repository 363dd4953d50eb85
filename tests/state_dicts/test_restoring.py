"""Whatever fails, wherever: afterwards the model is as it was."""

import gc
import itertools
import sys
from collections import Counter, OrderedDict, deque
from contextlib import suppress

import pytest
import torch
from torch import nn

from helpers.state_dicts.held_memory import memory_of
from helpers.state_dicts.kinds import raw_bytes
from helpers.state_dicts.restoring import all_or_nothing, what_is_left
from helpers.state_dicts.summarizing import _bytes_held, _bytes_of
from tests.state_dicts import samples
from tests.state_dicts.interrupting import FailsAt, InterruptAt

pytestmark = pytest.mark.filterwarnings("ignore")
every_model = pytest.mark.parametrize("kind", [*samples.MODELS, *samples.KINDS])


class Stop(BaseException):
    """Raised where nothing else would."""


def spoil(net: nn.Module) -> None:
    """Flip a bit in every byte that the model's tensors hold."""
    for memory in memory_of([*net.parameters(), *net.buffers()]):
        raw_bytes(memory).bitwise_xor_(1)


@every_model
def test_every_bit_that_is_overwritten_comes_back(kind):
    net = samples.model(kind)
    before = samples.photograph(net)
    with pytest.raises(Stop), all_or_nothing(net):
        spoil(net)
        has_bytes = _bytes_held([*net.parameters(), *net.buffers()]) > 0  # not packed ones
        assert has_bytes == (samples.photograph(net) != before)
        raise Stop
    assert samples.photograph(net) == before


@every_model
def test_loading_that_fails_at_any_operation_changes_nothing(kind):
    state = samples.model(kind, seed=1).state_dict()
    net, twin = samples.model(kind), samples.model(kind)
    with suppress(RuntimeError), FailsAt() as all_of_them:  # some, torch cannot load
        twin.load_state_dict(state)
    before = samples.photograph(net)
    for k in range(all_of_them.count):
        failure = pytest.raises((KeyboardInterrupt, RuntimeError))
        with failure, all_or_nothing(net), FailsAt(k):
            net.load_state_dict(state)
        assert samples.photograph(net) == before, k


def remove_all(net):
    for module in net.modules():
        for name in [*module._parameters, *module._buffers]:
            delattr(module, name)
        module._forward_pre_hooks.clear()


def replace_all(net):
    for module in net.modules():
        for name, buffer in dict(module._buffers).items():
            module._buffers[name] = None if buffer is not None else torch.ones(1)
        for name, parameter in dict(module._parameters).items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(torch.ones(3))


def other_gradients(net):
    for parameter in net.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()
        parameter.grad = None
        if parameter.is_floating_point():
            parameter.requires_grad_(not parameter.requires_grad)


def free_memory(net):
    for memory in memory_of([*net.parameters(), *net.buffers()]):
        memory.untyped_storage().resize_(0)


def other_memory(net):
    for tensor in (*net.parameters(), *net.buffers()):
        with suppress(RuntimeError, TypeError):
            tensor.data = torch.ones(5)
        tensor.note = "an attribute of a tensor"


def other_attributes(net):
    for module in net.modules():
        module.anything, module.training = 1, not module.training
        module.register_forward_hook(print)


CHANGES = {
    "to meta": lambda net: net.to("meta"),
    "to_empty": lambda net: net.to_empty(device="cpu"),
    "double": lambda net: net.double(),
    "remove": remove_all,
    "replace": replace_all,
    "gradients": other_gradients,
    "attributes": other_attributes,
    "memory": other_memory,
    "freed": free_memory,
}


@pytest.mark.parametrize("change", CHANGES)
@every_model
def test_whatever_is_changed_comes_back(kind, change):
    net = samples.model(kind)
    if kind == "scripted" and change in ("remove", "replace", "attributes"):
        return  # TorchScript allows none of these
    tensors = [*net.parameters(), *net.buffers()]
    if change == "freed" and sum(map(_bytes_of, tensors)) < _bytes_held(tensors):
        return  # what lies between or beside the elements is not the model's
    before = samples.photograph(net)
    with pytest.raises(Stop), all_or_nothing(net):
        with suppress(Exception):  # some kinds refuse, half-way
            CHANGES[change](net)
        raise Stop
    after = samples.photograph(net)
    for name in before:
        if not (change == "freed" and name.startswith("place of")):
            assert after[name] == before[name], name


def test_a_lazy_layer_has_no_shape_again():
    net = nn.Sequential(nn.LazyLinear(2), nn.LazyBatchNorm1d())
    parameters = list(net.parameters())
    with pytest.raises(Stop), all_or_nothing(net):
        net(torch.rand(3, 4))
        assert not any(map(nn.parameter.is_lazy, net.parameters()))
        raise Stop
    assert all(map(nn.parameter.is_lazy, net.parameters()))
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert isinstance(net[0], nn.LazyLinear)
    assert net(torch.rand(3, 5)).shape == (3, 2)


def test_containers_that_a_module_holds_get_their_own_contents_back():
    net = nn.Linear(1, 1)
    net.seen, net.last = Counter("aab"), deque([1, 2], maxlen=2)
    net.order, net.raw = OrderedDict(a=1, b=2), bytearray(b"ab")
    with pytest.raises(Stop), all_or_nothing(net):
        net.seen.update("abc")
        net.last.append(3)
        net.order.move_to_end("a")
        net.raw += b"c"
        net.__dict__ = {"other": 1}
        raise Stop
    assert net.seen == Counter("aab") and net.last == deque([1, 2])
    assert list(net.order) == ["a", "b"] and net.raw == b"ab"


def test_nothing_is_undone_when_nothing_fails():
    net = nn.Linear(1, 1)
    with all_or_nothing(net):
        net.weight.data.fill_(7)
    assert net.weight.item() == 7


def test_what_cannot_be_put_back_is_named_and_the_rest_is_put_back():
    class Refuses(nn.Module):
        def __init__(self):
            super().__init__()
            self.iterator = itertools.count()  # which C alone knows

        def get_extra_state(self):
            return repr(self.iterator)

        def set_extra_state(self, state):
            raise ValueError("not again")

    net = nn.Sequential(Refuses(), nn.Linear(1, 1))
    before = net[1].weight.item()
    with pytest.raises(KeyError) as caught, all_or_nothing(net):
        next(net[0].iterator)
        net[1].weight.data.fill_(7)
        raise KeyError("anything")
    assert caught.value.__notes__ == [
        "could not be put back: 0._extra_state (ValueError: not again)"
    ]
    assert what_is_left(caught.value) == "the model is partly changed"
    assert net[1].weight.item() == before


def test_read_only_memory_that_nobody_wrote_is_not_written():
    numbers = torch.ones(2, 3).numpy()
    numbers.flags.writeable = False
    net = nn.Linear(1, 1)
    net.register_buffer("mapped", torch.from_numpy(numbers))
    version = net.mapped._version
    with pytest.raises(Stop), all_or_nothing(net):
        raise Stop
    assert net.mapped._version == version


def test_another_ctrl_c_does_not_stop_the_undo():
    for k in range(0, 4000, 5):
        net = samples.model("parameters, buffers, gradients")
        before = samples.photograph(net)
        with pytest.raises(KeyboardInterrupt), all_or_nothing(net):
            spoil(net)
            at = InterruptAt(k, "/restoring.py", "/reaching.py", "/tensors_back.py")
            raise KeyboardInterrupt
        sys.settrace(None)
        assert samples.photograph(net) == before, k
        assert torch.is_grad_enabled()
        if at.left >= 0:  # the undo has fewer lines than that
            assert k > 50
            return


def test_the_copy_is_gone_although_the_error_is_kept():
    net = nn.Linear(100, 100)
    with pytest.raises(KeyError) as caught, all_or_nothing(net):
        raise KeyError
    gc.collect()
    kept = [
        t
        for t in gc.get_objects()
        if isinstance(t, torch.Tensor) and t.dtype == torch.uint8 and len(t) == 40_000
    ]
    assert caught.value and not kept


def test_only_a_module_has_state():
    expected = pytest.raises(TypeError, match=r"model is of type dict; expected a torch")
    with expected, all_or_nothing({}):
        pass

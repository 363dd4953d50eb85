"""Whatever fails, wherever: afterwards the model is as it was."""

from contextlib import suppress

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.state_dicts.entries import memory_of, raw_bytes
from helpers.state_dicts.restoring import all_or_nothing
from tests.state_dicts import kinds

pytestmark = pytest.mark.filterwarnings("ignore")
every_model = pytest.mark.parametrize("kind", [*kinds.MODELS, *kinds.KINDS])


class Stop(BaseException):
    """Raised where nothing else would."""


@every_model
def test_every_bit_that_is_overwritten_comes_back(kind):
    net = kinds.model(kind)
    before = kinds.photograph(net)
    with pytest.raises(Stop), all_or_nothing(net):
        for tensor in (*net.parameters(), *net.buffers()):
            for memory in memory_of(tensor):
                raw_bytes(memory).bitwise_xor_(1)
        assert kinds.photograph(net) != before or kind in ("zero-size", "packed parameters")
        raise Stop
    assert kinds.photograph(net) == before


class FailsAt(TorchDispatchMode):
    """Counts the operations on tensors, and raises at the k-th."""

    def __init__(self, k=None):
        super().__init__()
        self.fails_at, self.count = k, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        if self.count - 1 == self.fails_at:
            raise KeyboardInterrupt
        return func(*args, **(kwargs or {}))


@every_model
def test_loading_that_fails_at_any_operation_changes_nothing(kind):
    state = kinds.model(kind, seed=1).state_dict()
    net, twin = kinds.model(kind), kinds.model(kind)
    with suppress(RuntimeError), FailsAt() as all_of_them:  # some, torch cannot load
        twin.load_state_dict(state)
    before = kinds.photograph(net)
    for k in range(all_of_them.count):
        failure = pytest.raises((KeyboardInterrupt, RuntimeError))
        with failure, all_or_nothing(net), FailsAt(k):
            net.load_state_dict(state)
        assert kinds.photograph(net) == before, k

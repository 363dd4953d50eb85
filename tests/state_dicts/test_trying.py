"""Whatever is tried with a model: afterwards it is as it was."""

import pytest
from torch import nn

from helpers.state_dicts.trying import unchanged
from tests.state_dicts import samples
from tests.state_dicts.test_restoring import Stop, every_model, spoil

pytestmark = pytest.mark.filterwarnings("ignore")
OUTSIDE = {"seen": 0}


class Forgets(nn.Module):
    """Its extra state is nowhere in it, and cannot be given back."""

    def get_extra_state(self):
        return dict(OUTSIDE)

    def set_extra_state(self, state):
        raise NotImplementedError("no way back")


@every_model
def test_what_is_tried_leaves_no_trace(kind):
    net = samples.model(kind)
    before = samples.photograph(net)
    with unchanged(net):
        spoil(net)
    assert samples.photograph(net) == before
    with pytest.raises(Stop), unchanged(net):
        spoil(net)
        raise Stop
    assert samples.photograph(net) == before


def test_what_leaves_a_trace_is_named():
    with (
        pytest.raises(RuntimeError, match=r"could not be put back: .*no way back"),
        unchanged(Forgets()),
    ):
        OUTSIDE["seen"] += 1

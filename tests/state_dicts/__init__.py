"""Models that the tests of state dicts share."""

from collections import OrderedDict

from torch import nn


class Tied(nn.Module):
    """Two names for one tensor, as in a language model's embedding and head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


def small_net() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            fc=nn.Linear(4, 3), bn=nn.BatchNorm1d(3), act=nn.ReLU(), out=nn.Linear(3, 2)
        )
    )


def bits(state_dict) -> dict[str, bytes]:
    return {k: v.detach().numpy().tobytes() for k, v in state_dict.items()}


def same_objects(a: dict, b: dict) -> bool:
    return list(a) == list(b) and all(a[name] is b[name] for name in a)

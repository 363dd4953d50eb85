"""One small convolutional network, written in five styles, with the same weights."""

import torch
from torch import nn
from torch.nn import functional as F


class Attributes(nn.Module):
    """As torchvision writes its ResNets."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.bn2 = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean(dim=(2, 3)))


class Functional(Attributes):
    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(torch.mean(x, dim=(2, 3)))


class Lists(nn.Module):
    def __init__(self, twin):
        super().__init__()
        self.convs = nn.ModuleList([twin.conv1, twin.conv2])
        self.norms = nn.ModuleList([twin.bn1, twin.bn2])
        self.ends = nn.ModuleDict({"fc": twin.fc})

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x)).relu()
        return self.ends["fc"](x.mean(dim=(2, 3)))


class Block(nn.Module):
    def __init__(self, conv, norm):
        super().__init__()
        self.norm, self.conv = norm, conv  # not in the order in which they run

    def forward(self, x):
        x = self.conv(x)
        return F.relu(self.norm(x))


class Nested(nn.Module):
    def __init__(self, twin):
        super().__init__()
        first, second = Block(twin.conv1, twin.bn1), Block(twin.conv2, twin.bn2)
        self.body = nn.Sequential(first, nn.Sequential(second))
        self.fc = twin.fc

    def forward(self, x):
        if x.sum() > 1e9:  # nobody can follow this without running it
            return self.fc(torch.zeros(len(x), 6))
        return self.fc(self.body(x).mean(dim=(2, 3)))


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))


def twins() -> dict[str, nn.Module]:
    """Return style -> the network, trained as far as random statistics go; eval mode."""
    torch.manual_seed(5)
    one = Attributes()
    for norm in (one.bn1, one.bn2):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.1, 3)
        nn.init.uniform_(norm.weight, 0.1, 3)
        nn.init.normal_(norm.bias)
    functional = Functional()
    functional.load_state_dict(one.state_dict())
    flat = nn.Sequential(
        one.conv1, one.bn1, nn.ReLU(), one.conv2, one.bn2, nn.ReLU(), Mean(), one.fc
    )
    return {
        "Sequential": flat.eval(),
        "attributes": one.eval(),
        "functional": functional.eval(),
        "lists": Lists(one).eval(),
        "nested": Nested(one).eval(),
    }

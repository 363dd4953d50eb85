"""Models as learners have them: a table, images, tokens, several inputs, a dictionary."""

from typing import NamedTuple

import torch
from torch import nn

WORDS, TOKENS, COUNT = 11, 6, 48


class Case(NamedTuple):
    """A model with what it is evaluated on."""

    model: nn.Module
    inputs: object
    labels: torch.Tensor
    metric: str | None
    calibration: object


class Residual(nn.Module):
    """Convolutions and norms as attributes, added to what went in."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.norm0, self.head = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x):
        x = self.norm0(self.stem(x)).relu()
        x = (x + self.norm(self.conv(x))).relu()
        return self.head(x.mean((2, 3)))


class Recurrent(nn.Module):
    """A language model; its output is a pair, as an LSTM's is."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 8)
        self.lstm, self.head = nn.LSTM(8, 8, batch_first=True), nn.Linear(8, WORDS)

    def forward(self, tokens):
        outputs, state = self.lstm(self.embed(tokens))
        return self.head(outputs), state


class Encoder(nn.Module):
    """Attention between an embedding and a head that share their weight."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8, WORDS, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.layers(self.embed(tokens)))


class Answer(nn.Module):
    """Answers as it is told to."""

    def __init__(self, wrap):
        super().__init__()
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(x)


class TwoInputs(nn.Module):
    """A row of numbers and a word, each through a layer of its own."""

    def __init__(self):
        super().__init__()
        self.table, self.word = nn.Linear(5, 6), nn.Embedding(WORDS, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, row, word):
        return self.head((self.table(row) + self.word(word)).relu())


class Named(nn.Module):
    """Takes its inputs by name and returns a dictionary, as those of transformers do."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(WORDS, 8), nn.Linear(8, 2)

    def forward(self, ids, mask):
        found = self.embed(ids) * mask[..., None]
        logits = self.head(found.sum(1) / mask.sum(1, keepdim=True))
        return {"hidden": found, "logits": logits}


def cases():
    """Return name -> a small case, the same at each call."""
    generator = torch.Generator().manual_seed(3)

    def floats(*shape):
        return torch.randn(*shape, generator=generator)

    def whole(most, *shape):
        return torch.randint(0, most, shape, generator=generator)

    def table(out):
        return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, out))

    with torch.random.fork_rng():
        torch.manual_seed(3)
        models = table(1), table(3), Residual(), Recurrent(), Encoder(), TwoInputs()
        named, one = Named(), table(1)
    residual = models[2]
    with torch.no_grad():
        residual.head.bias.zero_()
        for norm in (residual.norm0, residual.norm):
            norm.running_mean.copy_(floats(4) / 9), norm.running_var.copy_(1 + whole(3, 4))
    rows, images, tokens = (
        floats(COUNT, 5),
        floats(COUNT, 1, 6, 6),
        whole(WORDS, COUNT, TOKENS),
    )
    following = tokens.roll(-1, 1)
    following[:, -1] = -100
    pair = (rows, whole(WORDS, COUNT))
    by_name = {"ids": tokens, "mask": torch.ones(COUNT, TOKENS)}
    true = rows @ floats(5) / 4
    return {
        "a table, regression": Case(models[0], rows, true, None, rows),
        "a table, classes": Case(models[1], rows, whole(3, COUNT), None, rows),
        "images, attributes": Case(residual, images, whole(3, COUNT), None, images),
        "tokens, recurrent": Case(models[3], tokens, following, "perplexity", tokens),
        "tokens, attention": Case(models[4], tokens, following, "accuracy", tokens),
        "two inputs": Case(models[5], pair, whole(3, COUNT), None, pair),
        "a dictionary": Case(named, by_name, whole(2, COUNT), None, by_name),
        "one logit": Case(one, rows, whole(2, COUNT), None, rows),
    }

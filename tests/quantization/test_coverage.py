"""What is quantized and what is not: every byte and every multiplication has a row."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torchao.quantization import Int8WeightOnlyConfig, quantize_

from helpers.classroom.data.pruning import multiply_adds
from helpers.quantization import Scheme, coverage, fold_batch_norm, packed_bytes
from helpers.quantization.coverage import UNSTORED
from tests.quantization.styles import twins
from tests.quantization.test_layers import OwnForward, Tied


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.pos = nn.Embedding(30, 8), nn.Parameter(torch.rand(1, 5, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 30, bias=False)
        self.head.weight = self.emb.weight

    def forward(self, tokens):
        return self.head(self.body(self.emb(tokens) + self.pos))


class Experts(nn.Module):
    """Weights that are nobody's standard layer: GPT-2's own, and experts in one tensor."""

    def __init__(self):
        super().__init__()
        self.gpt = nn.Parameter(torch.rand(4, 6))
        self.experts = nn.Parameter(torch.rand(3, 6, 2))

    def forward(self, x):
        x = torch.addmm(torch.zeros(6), x, self.gpt)
        return x @ self.experts[0] + torch.nn.functional.linear(x, self.experts[2].T)


def by_layer(table):
    return table.set_index("layer")


def test_each_byte_and_each_multiplication_of_the_digits_model_is_counted(model, digits):
    image = digits.test_images[:1]
    table = coverage(model, image)
    assert table["bytes"].sum() == packed_bytes(model, None)
    assert table["quantized"].all()
    assert set(table["why"]) == {""}
    assert table["multiplications"].sum() == pytest.approx(1)
    places = {"stem.0": 64 * 9 * 24}
    share = places["stem.0"] / multiply_adds(fold_batch_norm(model), image)
    width = model.stem[0].out_channels
    assert by_layer(table)["multiplications"]["stem.0"] == pytest.approx(share * width / 24)


def test_an_encoder_shows_its_attention_and_counts_its_tied_embedding_once():
    model = Encoder().eval()
    table = coverage(model, torch.randint(0, 30, (2, 5)))
    assert table["bytes"].sum() == packed_bytes(model, None)
    rows = by_layer(table)
    inside, tokens = rows.loc["body.layers.0.self_attn"], 2 * 5
    assert inside["quantized"]
    assert inside["bytes"] == 4 * (24 * 8 + 24)
    dense = tokens * (2 * (24 * 8 + 8 * 8 + 2 * 8 * 16) + 8 * 30)
    scores = 2 * 2 * (2 * 5 * 5 * 8)  # two layers; scores and sums, over all heads
    total = dense + scores
    assert inside["multiplications"] == pytest.approx(tokens * 24 * 8 / total)
    assert rows.loc[UNSTORED, "multiplications"] == pytest.approx(scores / total)
    assert rows.loc["head", "bytes"] == 0
    assert rows.loc["head", "why"] == "has a weight in common with emb"
    assert rows.loc["emb", "multiplications"] == pytest.approx(tokens * 8 * 30 / total)
    assert rows.loc["body.layers.0.norm1", "why"].startswith("vectors alone")
    assert rows.loc["", "why"] == "pos: not of one of PyTorch's layers that are treated"


def test_the_count_leaves_pytorch_s_switches_as_they_were():
    assert torch.backends.mha.get_fastpath_enabled()
    coverage(Encoder(), torch.randint(0, 30, (2, 5)))
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mkldnn.enabled


def test_weights_of_nobody_s_layers_are_in_the_table_with_their_products():
    table = coverage(Experts(), torch.rand(5, 4))
    assert table[["layer", "kind", "bytes", "quantized"]].values.tolist() == [
        ["", "Experts", 4 * (24 + 36), False]
    ]
    assert table["multiplications"].tolist() == [1]
    assert table["why"][0].startswith("gpt, experts: not of one of PyTorch's layers")


@pytest.mark.parametrize(
    "layer, inputs, reason",
    [
        (nn.GRU(3, 4), torch.rand(5, 3), "recurrent layers are not treated"),
        (OwnForward(3, 4), torch.rand(5, 3), "its forward is its own, so how it uses its"),
        (nn.BatchNorm1d(3), torch.rand(5, 3), "a batch norm that is not folded: it does"),
        (nn.PReLU(3), torch.rand(5, 3), "vectors alone, which engines keep in float"),
        (
            parametrizations.weight_norm(nn.Linear(3, 4)),
            torch.rand(5, 3),
            "0 computes its weight at each run, so values",
        ),
    ],
)
def test_what_stays_in_float_says_why(layer, inputs, reason):
    model = nn.Sequential(layer)
    table = coverage(model, inputs)
    assert table["bytes"].sum() == packed_bytes(model, None)
    assert not table["quantized"].any()
    assert table["why"][0].startswith(reason)
    assert table["bytes"][0] == packed_bytes(model, None)


def test_a_recurrent_layer_s_products_are_counted_however_they_are_computed():
    table = coverage(
        nn.Sequential(nn.Linear(3, 3, bias=False), nn.LSTM(3, 4)), torch.rand(5, 3)
    )
    assert table["multiplications"].tolist() == pytest.approx(
        [9 / (9 + 16 * 7), 16 * 7 / (9 + 16 * 7)]
    )


def test_layers_that_are_kept_and_those_they_share_with():
    rows = by_layer(coverage(Tied(), keep_float=("emb",)))
    assert rows["quantized"].to_dict() == {"emb": False, "hidden": True, "head": False}
    assert rows.loc["emb", "why"] == "named in keep_float"
    assert rows.loc["head", "why"] == (
        "has a weight in common with emb, which stays in float: named in keep_float"
    )
    assert rows["multiplications"].isna().all()
    assert packed_bytes(Tied(), Scheme(), ("emb",)) == packed_bytes(
        Tied(), Scheme(), ("head",)
    )


def test_a_quantized_weight_that_no_product_uses_is_pointed_out():
    class Computed(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.scaled = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.used(x) @ (self.scaled.weight * 2)

    rows = by_layer(coverage(Computed(), torch.rand(5, 3)))
    assert rows.loc["used", "why"] == ""
    assert (
        rows.loc["scaled", "why"] == "quantized, but no product of this run uses its weight"
    )
    assert rows.loc[UNSTORED, "multiplications"] == pytest.approx(0.5)


def test_the_model_is_not_touched_and_may_be_written_in_any_style():
    images = torch.rand(2, 1, 6, 6)
    tables = [coverage(model, images) for model in twins().values()]
    for table in tables:
        assert table["quantized"].all()
        assert sorted(table["multiplications"]) == sorted(tables[0]["multiplications"])


def test_a_weight_of_torchao_counts_what_it_holds():
    model = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 8))
    quantize_(model[0], Int8WeightOnlyConfig())
    table = coverage(model)
    assert table["bytes"].sum() == packed_bytes(model, None) < 64 * 32 * 4
    assert table["quantized"].tolist() == [False, True]
    assert "not a plain float tensor" in table["why"][0]


class Products(nn.Module):
    """Multiplies with its weight in some way, and with a Linear: half and half."""

    def __init__(self, weight, way, size=1):
        super().__init__()
        self.weight, self.way = nn.Parameter(torch.rand(weight)), way
        self.last = nn.Linear(6, size, bias=False)

    def forward(self, x):
        return self.last(self.way(x, self.weight))


def in_16_bits(x, weight):
    with torch.autocast("cpu", torch.bfloat16):
        return nn.functional.linear(x, weight).float()


@pytest.mark.parametrize(
    ("weight", "shape", "size", "way"),
    [
        ((6, 4), (4,), 4, lambda x, w: torch.mv(w, x)),
        ((6, 4), (4,), 4, lambda x, w: torch.addmv(torch.ones(6), w, x)),
        ((6, 4), (5, 4), 4, in_16_bits),
        ((3, 4, 6), (5, 4), 4, lambda x, w: torch.einsum("nd,edf->nef", x, w)),
        ((6, 4, 4), (5, 4), 16, lambda x, w: nn.functional.bilinear(x, x, w)),
    ],
    ids=["mv", "addmv", "autocast", "einsum", "bilinear"],
)
def test_products_of_any_kind_are_counted_for_the_weight(weight, shape, size, way):
    table = coverage(Products(weight, way, size), torch.rand(shape))
    assert table["multiplications"].tolist() == [0.5, 0.5]
    assert table["layer"].tolist() == ["", "last"]

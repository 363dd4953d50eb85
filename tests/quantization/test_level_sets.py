"""The levels of small floats and NF4 against published tables and torch's own casts."""

import pytest
import torch

from helpers.quantization import Scheme, choose_qparams, fake_quantize, quantize, round_trip
from helpers.quantization.level_sets import VALUES, level_set
from helpers.quantization.schemes import QParams, dequantize

FLOAT8 = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
BITS = {"e4m3": 8, "e5m2": 8, "e2m1": 4, "nf4": 4}


def value(code: int, exponent_bits: int, mantissa_bits: int) -> float:
    """What a float's bits stand for, as IEEE 754 defines it, without specials."""
    sign, rest = divmod(code, 2 ** (exponent_bits + mantissa_bits))
    exponent, mantissa = divmod(rest, 2**mantissa_bits)
    bias = 2 ** (exponent_bits - 1) - 1
    fraction = mantissa / 2**mantissa_bits + (exponent > 0)
    return (-1) ** sign * fraction * 2.0 ** (max(exponent, 1) - bias)


@pytest.mark.parametrize(
    ("name", "exponent", "mantissa", "specials"),
    [
        ("e4m3", 4, 3, {0x7F, 0xFF}),  # NaN
        ("e5m2", 5, 2, {*range(0x7C, 0x80), *range(0xFC, 0x100)}),  # infinity, NaN
        ("e2m1", 2, 1, set()),
    ],
)
def test_each_code_stands_for_what_its_bits_say(name, exponent, mantissa, specials):
    assert len(VALUES[name]) == 2 ** (1 + exponent + mantissa)
    for code, found in enumerate(VALUES[name].tolist()):
        if code in specials:
            assert not abs(found) < float("inf")
        else:
            assert found == value(code, exponent, mantissa)


def test_the_published_tables():
    # Open Compute Project, MX specification 1.0, table 5.
    positive = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert (
        level_set("e2m1", "cpu").levels.tolist() == [-v for v in positive[:0:-1]] + positive
    )
    # QLoRA, appendix E: quantiles of the normal distribution, seven to the left of zero
    # and eight to its right (bitsandbytes: create_normal_map).
    left, right = (
        torch.special.ndtri(torch.linspace(0.9677083, 0.5, count).double()[:-1])
        for count in (7 + 1, 8 + 1)
    )
    found = torch.cat([-left, torch.zeros(1), right.flip(0)]) / right.max()
    torch.testing.assert_close(VALUES["nf4"], found.float(), rtol=0, atol=2e-7)
    assert [level_set(name, "cpu").levels[-1] for name in FLOAT8] == [448, 57344]


@pytest.mark.parametrize("name", FLOAT8)
def test_every_float32_goes_where_torchs_cast_puts_it(name):
    ends = level_set(name, "cpu").levels
    borders = (ends[1:] + ends[:-1]) / 2  # halfway, to the even code
    near = torch.cat(
        [borders, borders.nextafter(borders - 1), borders.nextafter(borders + 1)]
    )
    random = torch.randn(5000, generator=torch.Generator().manual_seed(0)) * 100
    values = torch.cat([near, random, random / 1e4, ends, torch.tensor([-0.0, 1e6, -1e6])])
    one = QParams(torch.tensor(1.0), torch.tensor(0), 0, 255, name)
    cast = values.clamp(ends[0], ends[-1]).to(FLOAT8[name])
    assert torch.equal(round_trip(values, one), cast.float())
    codes = quantize(values, one)
    assert torch.equal(
        codes.to(torch.uint8)[cast.float() != 0], cast.view(torch.uint8)[cast.float() != 0]
    )
    assert (codes[cast.float() == 0] == 0).all()  # one zero, the positive


@pytest.mark.parametrize("name", BITS)
def test_the_nearest_level_is_taken(name):
    values = torch.randn(3000, generator=torch.Generator().manual_seed(1))
    scheme = Scheme(BITS[name], format=name)
    qparams = choose_qparams(values, scheme)
    found = fake_quantize(values, scheme)
    distances = (values.unsqueeze(1) - qparams.levels).abs()
    error = (found - values).abs()
    torch.testing.assert_close(error, distances.min(dim=1).values, rtol=0, atol=1e-6)
    assert torch.isin(found, qparams.levels).all()
    assert torch.equal(round_trip(values, qparams), found)
    assert found.abs().max() == values.abs().max()  # the largest is the last level
    codes = quantize(values, qparams)
    assert codes.dtype == torch.int32 and codes.min() >= 0 and codes.max() <= qparams.qmax
    assert torch.equal(quantize(dequantize(codes, qparams), qparams), codes)


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_a_level_set_takes_all_granularities_and_observers(name, granularity):
    weight = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(2))
    weight[0] = 0
    for observer in ("minmax", "percentile", "mse", "entropy"):
        scheme = Scheme(BITS[name], True, granularity, 4, observer, format=name)
        found = fake_quantize(weight, scheme)
        assert found.shape == weight.shape and torch.equal(found[0], weight[0])
    mse, minmax = (
        fake_quantize(weight, Scheme(BITS[name], True, granularity, 4, each, format=name))
        for each in ("mse", "minmax")
    )
    assert (mse - weight).square().sum() <= (minmax - weight).square().sum() * (1 + 1e-6)


def test_nan_stays_nan_on_the_way_there_and_back_and_has_no_code():
    one = QParams(torch.tensor(1.0), torch.tensor(0), 0, 15, "e2m1")
    values = torch.tensor([torch.nan, torch.inf, -torch.inf])
    assert round_trip(values, one).tolist()[1:] == [6, -6]
    assert round_trip(values, one)[0].isnan()
    with pytest.raises(ValueError, match="the tensor holds NaN"):
        quantize(values, one)


def test_levels_of_each_channel():
    weight = torch.tensor([[3.0, 1.0], [6.0, 1.0]])
    levels = choose_qparams(weight, Scheme(4, granularity="channel", format="e2m1")).levels
    assert levels.shape == (2, 1, 15)
    assert levels[0, 0].tolist() == [value / 2 for value in levels[1, 0].tolist()]

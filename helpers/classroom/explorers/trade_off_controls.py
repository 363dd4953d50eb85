"""The controls of the trade-off explorer, and the setting that they stand on."""

from collections.abc import Sequence

from helpers.classroom.explorers.layer_values import Watched
from helpers.classroom.panel import Check, Choice, Menu, Range, Sliders, Stops, Ticks
from helpers.classroom.panel.controls import Control
from helpers.quantization import GRANULARITIES, OBSERVERS, Scheme, Setting

FLOAT = 32  # bits that stand for "not quantized", in a model of float32
AS_ABOVE = 0  # bits of a layer that stand for those of all
INTEGERS = (2, 3, 4, 5, 6, 7, 8, 16)
BITS = (*INTEGERS, FLOAT)
MOST_SLIDERS = 12  # for single layers
WEIGHTS, BOTH, ACTIVATIONS = "Weights", "Both", "Activations"


def setting_of(
    weight_bits: int,
    granularity: str,
    symmetric: bool,
    observer: str,
    keep_float: tuple[str, ...],
    activation_bits: int | None = None,
    calibration: int = 64,
    float_bits: int = FLOAT,
    own_bits: dict[str, int] | None = None,
    layers: Sequence[str] = (),
) -> Setting:
    """Return the setting that the controls stand on.

    Args:
        weight_bits: of all layers; float_bits for none.
        granularity: see Scheme, as for `symmetric` and `observer`.
        symmetric: see there.
        observer: see there.
        keep_float: layers that stay in float, whatever their own bits are.
        activation_bits: None where there is no such control.
        calibration: how many rows.
        float_bits: those that stand for float.
        own_bits: layer -> its own bits; AS_ABOVE are those of all.
        layers: all that can be quantized.
    """

    def scheme(bits: int) -> Scheme | None:
        if bits == float_bits:
            return None
        return Scheme(bits, symmetric, granularity, observer=observer)

    weights, own = scheme(weight_bits), own_bits or {}
    chosen = {
        name: scheme(own.get(name, AS_ABOVE) or weight_bits)
        for name in layers
        if name not in keep_float
    }
    if len(set(chosen.values())) == 1:
        [weights] = set(chosen.values())
    elif chosen:
        weights = {name: some for name, some in chosen.items() if some}
    activations = None
    if activation_bits not in (None, float_bits):
        activations = Scheme(activation_bits, symmetric, observer=observer)
    return Setting(weights, activations, calibration, tuple(keep_float))


def layers_with_sliders(evaluator: Watched) -> tuple[str, ...]:
    """Return the largest layers, of which each has a slider, in the model's order."""
    some = sorted(evaluator.layers, key=evaluator.bytes_of, reverse=True)[:MOST_SLIDERS]
    return tuple(name for name in evaluator.layers if name in some)


def controls_of(
    evaluator: Watched, guess: Range, counts: Sequence[int], rows: str, float_bits: int
) -> list[Control]:
    """Return the panel's controls, on the setting to begin with.

    Args:
        evaluator: of the model.
        guess: the slider for it.
        counts: of rows to calibrate with; none where activations stay in float.
        rows: what they are called: images, or rows.
        float_bits: those that stand for float.
    """
    integers = tuple(bits for bits in INTEGERS if bits < float_bits)
    bits, some = (*integers, float_bits), layers_with_sliders(evaluator)
    activations, both = [], WEIGHTS
    if counts:
        both, start = BOTH, min(64, counts[-1])
        activations = [
            Stops("activation_bits", "Activation bits", bits, bits[-1], ACTIVATIONS),
            Stops("calibration", f"Calibration {rows}", counts, start, ACTIVATIONS),
        ]
    which = "single layers"
    if len(some) < len(evaluator.layers):
        which = f"the {len(some)} largest layers"
    names = [name or "the model" for name in evaluator.layers]
    each = [names[evaluator.layers.index(name)] for name in some]
    texts = ("as above", *map(str, integers), "float")
    alone = names[1:] and [  # one layer has the bits of all
        Sliders(
            "own_bits",
            f"Bits of {which}",
            "Bits of",
            tuple(each),
            (AS_ABOVE, *bits),
            texts,
            (AS_ABOVE,) * len(some),
        ),
        Menu("layer", "Show layer", tuple(names), names[0]),
    ]
    return [
        guess,
        Stops("weight_bits", "Weight bits", bits, 3, WEIGHTS),
        Choice("granularity", "One scale per", GRANULARITIES, "tensor", WEIGHTS),
        *activations,
        Choice("observer", "Range by", OBSERVERS, "minmax", both),
        Check("symmetric", "Symmetric", True, both),
        *alone,
        Ticks("keep_float", "Layers that stay in float", tuple(names)),
    ]

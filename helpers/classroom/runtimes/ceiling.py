"""What int8 can gain over float32 in linear layers at most, by counting."""

from collections.abc import Sequence
from dataclasses import dataclass

from helpers.measurement import cpu_features, has_int8_dot_product


@dataclass(frozen=True)
class Ceiling:
    """What int8 can gain over float32 in linear layers, by counting.

    Attributes:
        multiply_adds: products that are added up, the same for both.
        float_bytes: weights, inputs and outputs, each once, at 4 bytes.
        int8_bytes: the same at 1 byte.
        with_vnni: how many times as many multiply-adds an instruction does in int8, where
            there is a dot product instruction.
        without_vnni: the same where there is none.
        arithmetic: the one of the two that is this processor's.
    """

    multiply_adds: int
    float_bytes: int
    int8_bytes: int
    with_vnni: float
    without_vnni: float
    arithmetic: float

    @property
    def traffic(self) -> float:
        """How many times fewer bytes int8 moves."""
        return self.float_bytes / self.int8_bytes

    @property
    def speedup(self) -> float:
        """How many times as fast int8 can be at most, as long as caches do not help it."""
        return max(self.arithmetic, self.traffic)


def ceiling(
    layers: Sequence[tuple[int, int]],
    batch: int,
    *,
    features: dict[str, bool | None] | None = None,
) -> Ceiling:
    """Count what linear layers compute and move, and how much int8 can gain by that.

    A layer takes the longer of two times, for its arithmetic and for its bytes (the
    roofline model: S. Williams et al., "Roofline", Communications of the ACM 52(4),
    2009). The gain of the whole is then at most the larger of both gains:

    - Arithmetic: a vector holds four times as many int8 as float32. A dot product
      instruction (VNNI; SDOT on ARM) multiplies and adds them in one step, like float32's
      FMA: 4. x86 without it takes three instructions: 4/3. Source: A. Rodriguez et al.,
      "Lower Numerical Precision Deep Learning Inference and Training", Intel, 2018.
      On ARM without it, a widening multiply and a pairwise addition for 8 products: 1.
      ARM's SMMLA does 32 products in one instruction: 8. AMX does 1024 in a cycle where
      two AVX-512 units do 32 in float32: 32. Source: Intel 64 and IA-32 Architectures
      Optimization Reference Manual, chapter on AMX.
    - Bytes: 4 in float32, 1 in int8.

    It is not a ceiling where a cache holds the int8 weights and not those of float32, which
    then wait for memory: wide layers at batch 1 can be faster than this.

    Args:
        layers: (inputs, outputs) of each linear layer.
        batch: rows that go through them at once.
        features: of the processor, see `cpu_features`; this one's where None.

    Raises:
        ValueError: there is no layer, or a size is below 1.
    """
    if not layers or min(batch, *(size for layer in layers for size in layer)) < 1:
        raise ValueError(
            f"layers is {list(layers)} and batch {batch}; expected at least one pair "
            "(inputs, outputs) and no size below 1"
        )
    features = cpu_features() if features is None else features
    values = sum(i * o + batch * (i + o) for i, o in layers)
    arm = bool(features.get("NEON"))
    with_vnni, without_vnni = 4.0, 1.0 if arm else 4 / 3
    arithmetic = with_vnni if has_int8_dot_product(features) else without_vnni
    if features.get("NEON int8 matrix"):
        arithmetic = 8.0
    if features.get("AMX int8"):
        arithmetic = 32.0
    return Ceiling(
        multiply_adds=batch * sum(i * o for i, o in layers),
        float_bytes=4 * values,
        int8_bytes=values,
        with_vnni=with_vnni,
        without_vnni=without_vnni,
        arithmetic=arithmetic,
    )

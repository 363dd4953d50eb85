"""What the processor can do with small numbers, and what that allows at most.

Imports with the standard library alone, so that a machine with a broken installation can
still be examined.

Save, Load, Ship 0.2.0: helpers/measurement/processor.py · repairs: CHANGELOG.md
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Each feature with its names in Linux's /proc/cpuinfo and in macOS's sysctl.
_FEATURES = {
    "AVX2": {"avx2", "avx2_0"},
    "AVX-512": {"avx512f"},
    "AVX-512 VNNI": {"avx512_vnni"},
    "AVX-VNNI": {"avx_vnni"},
    "AMX int8": {"amx_int8"},
    "bfloat16": {"avx512_bf16", "amx_bf16", "bf16", "feat_bf16"},
    "NEON": {"asimd", "neon", "advsimd"},
    "NEON dot product": {"asimddp", "feat_dotprod"},
    "NEON int8 matrix": {"i8mm", "feat_i8mm"},
}


def cpu_features() -> dict[str, bool | None]:
    """Tell which instructions for small numbers this processor has.

    Returns:
        Name of the feature -> True, False, or None where the system does not say
        (Windows, for one).

    >>> "AVX2" in cpu_features(), "NEON" in cpu_features()
    (True, True)
    """
    flags: set[str] = set()
    with suppress(OSError, subprocess.SubprocessError):
        if platform.system() == "Linux":
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                key, _, words = line.partition(":")
                if key.strip() in ("flags", "Features"):  # x86 and ARM
                    flags.update(words.lower().split())
        elif platform.system() == "Darwin":
            command = ["sysctl", "hw.optional"]
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10)
            for line in answer.stdout.lower().splitlines():
                name, _, value = line.partition(": ")
                if value.strip() == "1":
                    flags.add(name.split(".")[-1])
    return {
        feature: bool(names & flags) if flags else None
        for feature, names in _FEATURES.items()
    }


def has_int8_dot_product(features: dict[str, bool | None] | None = None) -> bool:
    """Tell whether one instruction multiplies and adds up 8-bit integers in 32 bits.

    On x86 these are AVX-VNNI, AVX-512 VNNI and AMX, on ARM the dot product. Where the
    system does not say, the answer is no.

    Args:
        features: see `cpu_features`; this processor's where None.

    >>> has_int8_dot_product({"AVX2": True, "AVX-VNNI": False})
    False
    """
    features = cpu_features() if features is None else features
    names = ("AVX-512 VNNI", "AVX-VNNI", "AMX int8", "NEON dot product", "NEON int8 matrix")
    return any(features.get(name) for name in names)


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

    >>> Ceiling(1000, 400, 100, with_vnni=4, without_vnni=1, arithmetic=1).speedup
    4.0
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

    >>> int8 = ceiling([(512, 512)], batch=64, features={"AVX2": True, "AVX-VNNI": True})
    >>> int8.multiply_adds, int8.speedup
    (16777216, 4.0)
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

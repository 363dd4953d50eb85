"""What the processor can do with small numbers.

Imports with the standard library alone, so that a machine with a broken installation can
still be examined.

Save, Load, Ship 0.2.0: helpers/measurement/processor.py · repairs: CHANGELOG.md
"""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
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
    system does not say, the answer is no. Without `features`, this processor's are taken.

    >>> has_int8_dot_product({"AVX2": True, "AVX-VNNI": False})
    False
    """
    features = cpu_features() if features is None else features
    names = ("AVX-512 VNNI", "AVX-VNNI", "AMX int8", "NEON dot product", "NEON int8 matrix")
    return any(features.get(name) for name in names)

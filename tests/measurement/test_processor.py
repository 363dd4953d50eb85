"""What the processor has for small numbers."""

import platform
import subprocess
from pathlib import Path

import pytest

from helpers import measurement
from helpers.measurement.processor import cpu_features, has_int8_dot_product

X86 = """processor : 0
model name : Some CPU with avx512f in its name
flags\t\t: fpu sse2 avx2 avx_vnni amx_int8
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp i8mm bf16
"""
APPLE = """hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_BF16: 0
hw.optional.arm.AdvSIMD: 1
"""


def present(features):
    return {name for name, there in features.items() if there}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, {"AVX2", "AVX-VNNI", "AMX int8"}),
        (ARM, {"NEON", "NEON dot product", "NEON int8 matrix", "bfloat16"}),
    ],
)
def test_features_on_linux_come_from_cpuinfo(monkeypatch, text, expected):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(Path, "read_text", lambda path: text)
    features = cpu_features()
    assert present(features) == expected
    assert None not in features.values()


def test_features_on_macos_come_from_sysctl(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    answer = subprocess.CompletedProcess([], 0, stdout=APPLE)
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: answer)
    assert present(cpu_features()) == {"NEON", "NEON dot product"}


def test_features_are_unknown_where_the_system_does_not_say(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert set(cpu_features().values()) == {None}


def test_notebooks_may_import_it_from_measurement():
    assert measurement.cpu_features is cpu_features


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"AVX2", "AVX-512"}, False),
        ({"AVX-VNNI"}, True),
        ({"AVX-512 VNNI"}, True),
        ({"NEON"}, False),
        ({"NEON", "NEON dot product"}, True),
    ],
)
def test_a_dot_product_of_int8_is_vnni_on_x86_and_sdot_on_arm(has, expected):
    features = {name: name in has for name in cpu_features()}
    assert has_int8_dot_product(features) is expected


def test_where_the_system_does_not_say_there_is_no_dot_product():
    assert has_int8_dot_product(dict.fromkeys(cpu_features())) is False

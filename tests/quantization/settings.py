"""Settings of every kind, for the tests of what a setting costs and of its words."""

import pytest

from helpers.quantization import Scheme, Setting

SETTINGS = {
    "float32": Setting(),
    "3 bits": Setting(Scheme(bits=3)),
    "16 bits, all kept but one": Setting(
        Scheme(bits=16, granularity="group"), keep_float=("stem.0", "head")
    ),
    "activations only": Setting(None, Scheme(bits=4, symmetric=False), 16),
    "everything": Setting(
        Scheme(4, False, "channel", observer="mse"),
        Scheme(6, False, observer="percentile"),
        256,
        ("blocks.1.0",),
    ),
}
each_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)

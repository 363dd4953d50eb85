"""All that can be decided about a model that is to be quantized, as one value.

Save, Load, Ship 0.2.0: helpers/quantization/settings.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass

from helpers.arguments import whole_number
from helpers.quantization.schemes import Scheme


@dataclass(frozen=True)
class Setting:
    """What can be decided about a model that is to be quantized; see quantize_model.

    Attributes:
        weights: the scheme of the weights; None keeps float32.
        activations: the scheme of the activations, per tensor; None keeps float32.
        calibration: how many images the ranges of the activations are chosen from.
        keep_float: names of layers that stay in float32.

    Raises:
        ValueError: calibration is not a whole number of 1 or more, keep_float is not a
            tuple, or the scheme of the activations is not per tensor.

    >>> setting = Setting(Scheme(bits=4, granularity="channel"), keep_float=("head",))
    >>> setting.weights.bits, setting.activations, setting.keep_float
    (4, None, ('head',))
    """

    weights: Scheme | None = None
    activations: Scheme | None = None
    calibration: int = 64
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could not be carried out."""
        whole_number("calibration", self.calibration, least=1)
        if not isinstance(self.keep_float, tuple):
            raise ValueError(
                f"keep_float is {self.keep_float!r}; expected a tuple of names"
            )
        if self.activations and self.activations.granularity != "tensor":
            raise ValueError(
                "activations are quantized per tensor; got "
                f"granularity={self.activations.granularity!r}"
            )

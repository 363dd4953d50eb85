"""All that can be decided about a model that is to be quantized, as one value."""

from dataclasses import dataclass, fields

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
        ValueError: calibration is no whole number of 1 or more, keep_float no tuple, or
            the scheme of the activations not per tensor.
    """

    weights: Scheme | None = None
    activations: Scheme | None = None
    calibration: int = 64
    keep_float: tuple[str, ...] = ()

    def __post_init__(self):
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

    @property
    def words(self) -> tuple[str, str]:
        """What is done to the weights and to the activations, in a few words each."""
        weights = "weights: " + _scheme_words(self.weights)
        if self.weights:
            weights += f", per {self.weights.granularity}"
            if self.weights.granularity == "group":
                weights += f" of {self.weights.group_size}"
        activations = "activations: " + _scheme_words(self.activations)
        if self.activations:
            activations += f", from {self.calibration} images"
        return weights, activations

    def code(self, calibration: str = "digits.train_images") -> str:
        """Return the call of quantize_model that does this to a `model`.

        Args:
            calibration: how the calibration images are called there.
        """
        arguments = ["model"]
        if self.weights:
            arguments.append(f"weights={_scheme_code(self.weights)}")
        if self.activations:
            arguments.append(f"activations={_scheme_code(self.activations)}")
            arguments.append(f"calibration={calibration}[:{self.calibration}]")
        if self.keep_float:
            names = "".join(f'"{name}", ' for name in self.keep_float)
            arguments.append(f"keep_float=({names.strip()})")
        line = f"quantize_model({', '.join(arguments)})"
        if len(line) <= 76:
            return line
        return "\n".join(["quantize_model(", *(f"    {a}," for a in arguments), ")"])


def _scheme_words(scheme: Scheme | None) -> str:
    if scheme is None:
        return "float32"
    kind = "symmetric" if scheme.symmetric else "asymmetric"
    return f"{scheme.bits} bits, {kind}, {scheme.observer_words}"


def _scheme_code(scheme: Scheme) -> str:
    """Write the call that makes the scheme, defaults left out."""
    given = [
        f"{field.name}={getattr(scheme, field.name)!r}"
        for field in fields(scheme)
        if field.name == "bits" or getattr(scheme, field.name) != field.default
    ]
    return f"Scheme({', '.join(given)})".replace("'", '"')

"""A setting of the quantizer in words, and as the call that makes the model."""

from dataclasses import fields

from helpers.classroom.explorers.evaluation import Evaluation, Setting
from helpers.quantization import Scheme


def setting_words(setting: Setting) -> tuple[str, str]:
    """Say what is done to the weights and to the activations, in a few words each."""
    weights = "weights: " + _scheme_words(setting.weights)
    if setting.weights:
        weights += f", per {setting.weights.granularity}"
        if setting.weights.granularity == "group":
            weights += f" of {setting.weights.group_size}"
    activations = "activations: " + _scheme_words(setting.activations)
    if setting.activations:
        activations += f", from {setting.calibration} images"
    return weights, activations


def ratio_words(found: Evaluation) -> str:
    """Say how the size compares with that of float32."""
    if found.bytes == found.float_bytes:
        return "as large as float32"
    if found.bytes > found.float_bytes:
        return "larger than float32"
    times = "hardly" if found.ratio < 1.05 else f"{found.ratio:.1f} times"
    return f"{times} smaller than float32"


def observer_words(scheme: Scheme) -> str:
    """Name the observer, with its percentile where it has one."""
    share = f" {scheme.percentile:g}" if scheme.observer == "percentile" else ""
    return f"{scheme.observer}{share}"


def setting_code(setting: Setting, calibration: str = "digits.train_images") -> str:
    """Return the call of quantize_model that does this to a `model`.

    Args:
        setting: what is to be done.
        calibration: how the calibration images are called there.
    """
    arguments = ["model"]
    if setting.weights:
        arguments.append(f"weights={_scheme_code(setting.weights)}")
    if setting.activations:
        arguments.append(f"activations={_scheme_code(setting.activations)}")
        arguments.append(f"calibration={calibration}[:{setting.calibration}]")
    if setting.keep_float:
        names = "".join(f'"{name}", ' for name in setting.keep_float)
        arguments.append(f"keep_float=({names.strip()})")
    line = f"quantize_model({', '.join(arguments)})"
    if len(line) <= 76:
        return line
    return "\n".join(["quantize_model(", *(f"    {a}," for a in arguments), ")"])


def _scheme_words(scheme: Scheme | None) -> str:
    if scheme is None:
        return "float32"
    kind = "symmetric" if scheme.symmetric else "asymmetric"
    return f"{scheme.bits} bits, {kind}, {observer_words(scheme)}"


def _scheme_code(scheme: Scheme) -> str:
    """Write the call that makes the scheme, defaults left out."""
    given = [
        f"{field.name}={getattr(scheme, field.name)!r}"
        for field in fields(scheme)
        if field.name == "bits" or getattr(scheme, field.name) != field.default
    ]
    return f"Scheme({', '.join(given)})".replace("'", '"')

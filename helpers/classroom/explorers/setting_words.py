"""A setting of the quantizer in words, and as the call that makes the model."""

from dataclasses import fields

from helpers.quantization import Evaluation, Scheme, Setting


def setting_words(
    setting: Setting, dtype: str = "float32", unit: str = "images"
) -> tuple[str, str]:
    """Say what is done to the weights and to the activations, in a few words each.

    Args:
        setting: what is to be done.
        dtype: of the model as it is.
        unit: what the calibration consists of.
    """
    weights = "weights: " + _scheme_words(setting.weights, dtype)
    if setting.weights:
        weights += f", per {setting.weights.granularity}"
        if setting.weights.granularity == "group":
            weights += f" of {setting.weights.group_size}"
    activations = "activations: " + _scheme_words(setting.activations, dtype)
    if setting.activations:
        activations += f", from {setting.calibration} {unit}"
    return weights, activations


def ratio_words(found: Evaluation) -> str:
    """Say how the size compares with that of the model as it is."""
    if found.bytes == found.float_bytes:
        return f"as large as {found.dtype}"
    if found.bytes > found.float_bytes:
        return f"larger than {found.dtype}"
    times = "hardly" if found.ratio < 1.05 else f"{found.ratio:.1f} times"
    return f"{times} smaller than {found.dtype}"


def observer_words(scheme: Scheme) -> str:
    """Name the observer, with its percentile where it has one."""
    share = f" {scheme.percentile:g}" if scheme.observer == "percentile" else ""
    return f"{scheme.observer}{share}"


def setting_code(
    setting: Setting, calibration: str = "digits.train_images", tensor: bool = True
) -> str:
    """Return the call of quantize_model that does this to a `model`.

    Args:
        setting: what is to be done.
        calibration: how the inputs to calibrate with are called there.
        tensor: whether these are one tensor.
    """
    arguments = ["model"]
    if setting.weights:
        arguments.append(f"weights={_scheme_code(setting.weights)}")
    if setting.activations:
        arguments.append(f"activations={_scheme_code(setting.activations)}")
        count = setting.calibration
        some = f"{calibration}[:{count}]" if tensor else f"rows({calibration}, 0, {count})"
        arguments.append(f"calibration={some}")
    if setting.keep_float:
        names = "".join(f'"{name}", ' for name in setting.keep_float)
        arguments.append(f"keep_float=({names.strip()})")
    line = f"quantize_model({', '.join(arguments)})"
    if len(line) <= 76:
        return line
    return "\n".join(["quantize_model(", *(f"    {a}," for a in arguments), ")"])


def _scheme_words(scheme: Scheme | None, dtype: str) -> str:
    if scheme is None:
        return dtype
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

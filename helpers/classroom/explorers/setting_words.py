"""A setting of the quantizer in words, and as the call that makes the model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from helpers.quantization import Evaluation, Scheme, Setting

LINE = 84  # letters of a line of code
MOST_KEPT = 4  # layers that are named


def setting_words(
    setting: Setting,
    dtype: str = "float32",
    unit: str = "images",
    layers: Sequence[str] = (),
) -> tuple[str, str]:
    """Say what is done to the weights and to the activations, in a few words each.

    Args:
        setting: what is to be done.
        dtype: of the model as it is.
        unit: what the calibration consists of.
        layers: all that can be quantized, so that those which a mapping leaves out can be
            named; where all stay in float, nothing else is said.
    """
    if layers and set(layers) <= set(setting.keep_float):
        setting = Setting()
    weights = setting.weights
    if isinstance(weights, Mapping):
        names = [name for name in layers if name not in setting.keep_float]
        said = _each_in_words(weights, dtype, names)
    else:
        said = _weights_words(weights, dtype)
    activations = _scheme_words(setting.activations, dtype)
    if setting.activations:
        activations += _scale_words(setting.activations)
        activations += f", from {setting.calibration} {unit}"
    return f"weights: {said}", f"activations: {activations}"


def kept_words(setting: Setting, layers: Sequence[str]) -> str:
    """Name the layers that stay in float, where others do not.

    Args:
        setting: what is to be done.
        layers: all that can be quantized.
    """
    kept = [name for name in layers if name in setting.keep_float]
    is_quantized = setting.weights or setting.activations
    if not kept or len(kept) == len(layers) or not is_quantized:
        return ""
    if len(kept) > MOST_KEPT:
        kept[MOST_KEPT - 1 :] = [f"{len(kept) - MOST_KEPT + 1} others"]
    return f"in float: {listed(kept)}"


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


def listed(names: Sequence[str]) -> str:
    """Write names as a list: "a", "a and b", "a, b and c"."""
    said = [name or "the model" for name in names]
    return " and ".join(filter(None, (", ".join(said[:-1]), said[-1])))


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
    if isinstance(setting.weights, Mapping):
        arguments.append(f"weights={_each_as_code(setting.weights)}")
    elif setting.weights:
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
    if len(line) <= 76 and "\n" not in line:
        return line
    return "\n".join(["quantize_model(", *(f"    {a}," for a in arguments), ")"])


def by_scheme(weights: Mapping[str, Scheme]) -> dict[Scheme, list[str]]:
    """Return the names of each scheme's layers, the scheme of most layers first."""
    found: dict[Scheme, list[str]] = {
        scheme: [] for scheme, _ in Counter(weights.values()).most_common()
    }
    for name, scheme in weights.items():
        found[scheme].append(name)
    return found


def others(setting: Setting) -> list[str]:
    """Return the layers that have other weights than most: a scheme of their own."""
    if not isinstance(setting.weights, Mapping):
        return []
    _, *rest = by_scheme(setting.weights).values() or [[]]
    return [name for names in rest for name in names]


def _each_in_words(weights: Mapping[str, Scheme], dtype: str, layers: Sequence[str]) -> str:
    rest = [name for name in layers if name not in weights]
    groups = [*by_scheme(weights).items(), *([(None, rest)] if rest else [])]
    if not groups:
        return dtype
    groups.sort(key=lambda group: len(group[1]), reverse=True)
    (usual, named), *different = groups
    first, said = _weights_words(usual, dtype), []
    if not layers:  # what else there is cannot be said by name
        first = f"{first} in {listed(named)}"
        different.append((None, ["all others"]))
    for scheme, names in different:
        alike = usual and scheme and replace(scheme, bits=usual.bits) == usual
        how = f"{scheme.bits} bits" if alike else _weights_words(scheme, dtype)
        said.append(f"{how} in {listed(names)}")
    return ", but ".join(filter(None, (first, "; ".join(said))))


def _weights_words(scheme: Scheme | None, dtype: str) -> str:
    said = _scheme_words(scheme, dtype)
    if scheme is None:
        return said
    group = f" of {scheme.group_size}" if scheme.granularity == "group" else ""
    return f"{said}, per {scheme.granularity}{group}{_scale_words(scheme)}"


def _scale_words(scheme: Scheme) -> str:
    is_usual = scheme.scale_dtype == "float32"
    return "" if is_usual else f", scales of {scheme.scale_dtype}"


def _scheme_words(scheme: Scheme | None, dtype: str) -> str:
    if scheme is None:
        return dtype
    kind = "symmetric" if scheme.symmetric else "asymmetric"
    words = [f"{scheme.bits} bits", kind, observer_words(scheme)]
    if scheme.format != "integer":
        words[:2] = [f"{scheme.bits} bits of {scheme.format}"]
    if scheme.signed_range != "narrow":
        words.insert(2, f"{scheme.signed_range} signed range")
    return ", ".join(words)


def _each_as_code(weights: Mapping[str, Scheme]) -> str:
    """Write the mapping over several lines, as an argument of a call."""
    lines = ["{"]
    for scheme, names in by_scheme(weights).items():
        if len(names) == 1:
            lines.append(f'        "{names[0]}": {_scheme_code(scheme)},')
            continue
        quoted = [f'"{name}",' for name in names]
        quoted[-1] = f"{quoted[-1][:-1]}),"
        pieces = [*quoted, f"{_scheme_code(scheme)}),"]
        lines += _wrapped("        **dict.fromkeys((", pieces)
    return "\n".join([*lines, "    }"])


def _wrapped(start: str, pieces: Iterable[str]) -> list[str]:
    lines, gap = [start], ""
    for piece in pieces:
        if len(lines[-1]) + len(gap) + len(piece) > LINE:
            lines.append(" " * 12)
            gap = ""
        lines[-1] += gap + piece
        gap = " "
    return lines


def _scheme_code(scheme: Scheme) -> str:
    """Write the call that makes the scheme, defaults left out."""
    given = [
        f"{field.name}={getattr(scheme, field.name)!r}"
        for field in fields(scheme)
        if field.name == "bits" or getattr(scheme, field.name) != field.default
    ]
    return f"Scheme({', '.join(given)})".replace("'", '"')

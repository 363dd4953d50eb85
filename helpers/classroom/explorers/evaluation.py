"""What one setting of the quantizer costs: accuracy with its interval, bytes, noise."""

from dataclasses import dataclass

import torch
from torch import nn

from helpers.arguments import whole_number
from helpers.quantization import (
    QParams,
    Scheme,
    calibrate,
    fold_batch_norm,
    packed_bytes,
    quantizable_layers,
    quantize_model,
    sqnr_db,
    wilson_interval,
)

CHUNK = 180  # images at once: what they leave behind fits a processor's cache


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


@dataclass(frozen=True)
class Evaluation:
    """What a setting costs, measured.

    Attributes:
        setting: what was measured.
        right: images whose class was found.
        count: images that were asked about.
        interval: the 95 % interval of the accuracy, (low, high), 0 to 1.
        bytes: of the packed model; see packed_bytes.
        float_bytes: of the model in float32.
        sqnr: layer -> SQNR of its weights in dB; infinite where they are exact.
        changed: (number of the image, class in float32, class now) for each image whose
            class is another one now.
    """

    setting: Setting
    right: int
    count: int
    interval: tuple[float, float]
    bytes: int
    float_bytes: int
    sqnr: dict[str, float]
    changed: tuple[tuple[int, int, int], ...]

    @property
    def accuracy(self) -> float:
        """Share of the images whose class was found, 0 to 1."""
        return self.right / self.count

    @property
    def ratio(self) -> float:
        """How many times smaller than in float32."""
        return self.float_bytes / self.bytes

    @property
    def point(self) -> tuple[int, float]:
        """(bytes, accuracy), as pareto_front takes it."""
        return self.bytes, self.accuracy


class Evaluator:
    """Evaluates settings of one model on one set of images; nothing is measured twice.

    Attributes:
        layers: names of the layers that can be quantized.
        exact: the evaluation of the model in float32.
    """

    def __init__(
        self,
        model: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        calibration_images: torch.Tensor | None = None,
    ):
        """Fold the batch norms and evaluate the model as it is.

        Args:
            model: any model whose batch norms follow their convolutions in a Sequential.
            images: shape (N, ...), at least one.
            labels: int64, shape (N,).
            calibration_images: where activations are to be quantized; not the test images.

        Raises:
            ValueError: there are no images, or not one label for each (None counts as no
                images or labels); or no layer of the model can be quantized.
        """
        pair = [0 if some is None else len(some) for some in (images, labels)]
        if not pair[0] or pair[0] != pair[1]:
            raise ValueError(
                f"got {pair[0]} images and {pair[1]} labels; expected one label for each "
                "image, and at least one"
            )
        if labels.dim() != 1:  # others would be compared with every image, or fail
            raise ValueError(
                f"labels have shape {tuple(labels.shape)}; expected ({len(images)},), the "
                "number of a class for each image"
            )
        self._model = fold_batch_norm(model)
        if not quantizable_layers(self._model):
            raise ValueError(
                "the model has no Conv2d and no Linear, so nothing to quantize"
            )
        self._images, self._labels = images, labels
        self._calibration = calibration_images
        self._ranges: dict[tuple[Scheme, int], dict[str, QParams]] = {}
        self._found: dict[Setting, Evaluation] = {}
        self._classes = _classes(self._model, images)
        self._float_bytes = packed_bytes(self._model, None)
        self._weights = {
            name: layer.weight.detach()
            for name, layer in quantizable_layers(self._model).items()
        }
        self.layers = tuple(self._weights)
        self.exact = self(Setting())

    def __call__(self, setting: Setting) -> Evaluation:
        """Return what the setting costs.

        Raises:
            ValueError: a name in keep_float is not a layer's, or there are not as many
                calibration images as the setting asks for.
        """
        if setting not in self._found:
            self._found[setting] = self._evaluate(setting)
        return self._found[setting]

    def _evaluate(self, setting: Setting) -> Evaluation:
        ranges = self._activation_ranges(setting)
        model = quantize_model(
            self._model, setting.weights, setting.activations, ranges, setting.keep_float
        )
        classes = _classes(model, self._images)
        right = int((classes == self._labels).sum())
        rounded = quantizable_layers(model)
        changed = torch.nonzero(classes != self._classes).flatten().tolist()
        return Evaluation(
            setting=setting,
            right=right,
            count=len(classes),
            interval=wilson_interval(right, len(classes)),
            bytes=packed_bytes(self._model, setting.weights, setting.keep_float),
            float_bytes=self._float_bytes,
            sqnr={
                name: sqnr_db(weight, rounded[name].weight.detach())
                for name, weight in self._weights.items()
            },
            changed=tuple((i, int(self._classes[i]), int(classes[i])) for i in changed),
        )

    def _activation_ranges(self, setting: Setting) -> dict[str, QParams] | None:
        scheme, count = setting.activations, setting.calibration
        if scheme is None:
            return None
        images = self._images[:0] if self._calibration is None else self._calibration
        if len(images) < count:
            raise ValueError(
                f"the setting asks for {count} calibration images and there are "
                f"{len(images)}; pass more, or ask for fewer"
            )
        if (scheme, count) not in self._ranges:
            self._ranges[scheme, count] = calibrate(self._model, scheme, images[:count])
        return self._ranges[scheme, count]


@torch.no_grad()
def _classes(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    parts = [model(part).argmax(dim=1) for part in images.split(CHUNK)]
    return torch.cat(parts)

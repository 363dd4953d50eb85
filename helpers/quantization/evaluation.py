"""What one setting of the quantizer costs: accuracy with its interval, bytes, noise.

Save, Load, Ship 0.2.0: helpers/quantization/evaluation.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass

import torch
from torch import nn

from helpers.quantization.comparison import wilson_interval
from helpers.quantization.layers import fold_batch_norm, quantizable_layers
from helpers.quantization.models import calibrate, quantize_model
from helpers.quantization.noise import sqnr_db
from helpers.quantization.packing import packed_bytes
from helpers.quantization.schemes import QParams, Scheme
from helpers.quantization.settings import Setting

CHUNK = 180  # images at once: what they leave behind fits a processor's cache


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

    >>> found = Evaluation(Setting(), 95, 100, (0.89, 0.98), 1000, 4000, {}, ())
    >>> found.accuracy, found.ratio, found.point
    (0.95, 4.0, (1000, 0.95))
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

    >>> model, inputs = nn.Sequential(nn.Linear(4, 3)), torch.rand(100, 4)
    >>> evaluate = Evaluator(model, inputs, model(inputs).argmax(dim=1))
    >>> evaluate.exact.accuracy, evaluate.exact.bytes
    (1.0, 60)
    >>> evaluate(Setting(Scheme(bits=8))).bytes  # 12 weights, a scale, 3 biases
    28
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

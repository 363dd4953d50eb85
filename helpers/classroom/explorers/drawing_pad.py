"""Draw a digit; PyTorch answers in Python, the exported file in the browser."""

from pathlib import Path

import anywidget
import torch
import traitlets
from torch import nn

from helpers.classroom import charts
from helpers.classroom.runtimes import WEB_FILES, web_folder, web_missing
from helpers.onnx_export import read_onnx

CELLS = 64
FILES = ("drawing_pad_strokes.js", "drawing_pad_answers.js", "drawing_pad.js")


class DrawingPad(anywidget.AnyWidget):
    """A pad to draw on, what the model sees of it, and two answers side by side.

    The file and ONNX Runtime Web (14 MB) travel to the browser when the pad asks for
    them, as a message: nothing of it is saved with the notebook.

    Attributes:
        image: 64 numbers, 0 to 1, row by row.
        python: "image" that was answered, and PyTorch's "logits" for it.
        browser: likewise, from the browser; empty before it has answered.
    """

    # One module for anywidget: the files of a module in the browser cannot import others.
    _esm = "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in FILES)
    _css = Path(__file__).with_name("drawing_pad.css")
    image = traitlets.List(traitlets.Float()).tag(sync=True)
    python = traitlets.Dict().tag(sync=True)
    browser = traitlets.Dict().tag(sync=True)

    def __init__(self, model: nn.Module, path: Path, image: torch.Tensor):
        """Answer the first image.

        Args:
            model: in eval mode; from (1, 1, 8, 8) to (1, 10).
            path: the same model's ONNX file.
            image: to begin with, of 64 numbers in 0..1, in any shape.

        Raises:
            FileNotFoundError, ValueError: the file is missing or not ONNX.
            ValueError: the image is not of 64 numbers in 0..1.
        """
        read_onnx(path)
        # Now: by the time that the browser asks, the notebook may have removed the file.
        self._model, self._file = model, Path(path).read_bytes()
        super().__init__(image=image.flatten().tolist())
        self.on_msg(lambda pad, message, buffers: self._hand_over())

    @traitlets.validate("image")
    def _only_images(self, proposal: dict) -> list:
        image = proposal["value"]
        if len(image) != CELLS or not all(0 <= ink <= 1 for ink in image):
            raise ValueError("image is not one: expected 64 numbers between 0 and 1")
        return image

    @traitlets.observe("image")
    def _answer(self, change: dict) -> None:
        with torch.no_grad():
            logits = self._model(torch.tensor(self.image).reshape(1, 1, 8, 8))[0]
        self.python = {"image": self.image, "logits": logits.tolist()}

    def _hand_over(self) -> None:
        """Send the runtime's two files and the model, or say why there are none."""
        missing = web_missing()
        files = [] if missing else [web_folder() / name for name in WEB_FILES]
        contents = [file.read_bytes() for file in files]
        self.send({"missing": missing}, [*contents, self._file] if files else [])

    @property
    def difference(self) -> float | None:
        """The largest between the two answers' logits; None while one is missing."""
        if self.browser.get("image") != self.image:
            return None
        pairs = zip(self.python["logits"], self.browser["logits"], strict=True)
        return max(abs(one - other) for one, other in pairs)

    def __repr__(self) -> str:
        """Say what PyTorch has answered."""
        logits = torch.tensor(self.python["logits"])
        share, digit = logits.softmax(dim=0).max(dim=0)
        return (
            f"Drawing pad. PyTorch in Python: {digit}, {share:.0%} sure. The browser "
            "answers where a page shows the pad."
        )

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        image = torch.tensor(self.image).reshape(1, 8, 8)
        data["image/svg+xml"] = charts.image_strip(
            "What the model sees", image, ["drawn"], text=repr(self)
        ).svg
        return data, metadata


def drawing_pad(model: nn.Module, path: Path, image: torch.Tensor) -> DrawingPad:
    """Return the pad with a picture to begin with; see DrawingPad."""
    return DrawingPad(model, path, image)

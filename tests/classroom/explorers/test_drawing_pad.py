"""The drawing pad in Python; tests/browser has what the page does."""

import pytest
import torch

from helpers.classroom import runtimes
from helpers.classroom.data.digits import load_digits
from helpers.classroom.explorers import drawing_pad as module
from helpers.classroom.explorers.drawing_pad import drawing_pad

IMAGE = load_digits().test_images[0]


def test_python_answers_what_is_drawn(model, onnx_file):
    pad = drawing_pad(model, onnx_file, IMAGE)
    pad.image = [0.5] * 64
    with torch.no_grad():
        expected = model(torch.full((1, 1, 8, 8), 0.5))[0]
    assert torch.equal(torch.tensor(pad.python["logits"]), expected)


def test_the_difference_is_of_the_same_image_only(model, onnx_file):
    pad = drawing_pad(model, onnx_file, IMAGE)
    assert pad.difference is None
    logits = [value + 0.25 * (k == 3) for k, value in enumerate(pad.python["logits"])]
    pad.browser = {"image": pad.image, "logits": logits}
    assert pad.difference == pytest.approx(0.25)
    pad.image = [0.0] * 64
    assert pad.difference is None


@pytest.mark.parametrize("image", [[0.0] * 63, [0.0] * 63 + [1.5]])
def test_what_is_no_image_is_refused(model, onnx_file, image):
    with pytest.raises(ValueError, match="expected 64 numbers between 0 and 1"):
        drawing_pad(model, onnx_file, torch.tensor(image))


def test_a_file_that_is_not_onnx_is_refused(model, tmp_path):
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(ValueError, match=r"text\.onnx"):
        drawing_pad(model, tmp_path / "text.onnx", IMAGE)


def test_without_a_page_there_are_words_and_a_picture(model, onnx_file):
    data, _ = drawing_pad(model, onnx_file, IMAGE)._repr_mimebundle_()
    assert data["text/plain"].startswith("Drawing pad. PyTorch in Python: 1, 100% sure.")
    assert data["image/svg+xml"].startswith("<svg")


def test_the_runtime_is_sent_when_asked_for_and_is_no_part_of_the_saved_state(
    model, onnx_file, monkeypatch, tmp_path
):
    for name in runtimes.WEB_FILES:
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setattr(module, "web_folder", lambda: tmp_path)
    monkeypatch.setattr(module, "web_missing", lambda: "")
    pad, sent = drawing_pad(model, onnx_file, IMAGE), []
    monkeypatch.setattr(pad, "send", lambda *message: sent.append(message))
    assert sent == []
    pad._handle_custom_msg({"wanted": "runtime"}, [])
    names = [name.encode() for name in runtimes.WEB_FILES]
    assert sent == [({"missing": ""}, [*names, onnx_file.read_bytes()])]
    state = pad.get_state()
    assert onnx_file.read_bytes() not in state.values() and names[0] not in state.values()

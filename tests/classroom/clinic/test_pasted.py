"""The error clinic reads what people paste: tracebacks, cut, coloured, of Windows."""

import re
import traceback
import warnings

import pytest
from IPython.core.ultratb import VerboseTB

from helpers.classroom.clinic import diagnose, nearest
from tests.classroom.clinic.test_clinic import CASES, provoked


def pasted(error: Exception) -> dict[str, str]:
    """The ways in which one error comes into the field."""
    plain = "".join(traceback.format_exception(error))
    # JupyterLab shows the lines of source around each call, in colour.
    lines = VerboseTB(theme_name="linux").structured_traceback(
        type(error), error, error.__traceback__
    )
    notebook = "\n".join(lines)
    drive = re.sub(r"/([\w.-]+)(?=/)", r"\\\1", plain).replace('File "', 'File "C:')
    return {
        "terminal": plain,
        "notebook": notebook,
        "colours lost": notebook.replace("\x1b", ""),
        "Windows": drive.replace("\n", "\r\n"),
        "the first lines cut off": plain.split("\n  File ", 2)[-1],
        "one line": " ".join(plain.split()),
        "in lines of 40": re.sub(r"(.{40}\S*) ", r"\1\n", plain),
    }


# Warnings have no traceback.
RAISED = [id for id in CASES if id not in ("old-quantization", "old-torchscript")]


@pytest.mark.parametrize("id", RAISED)
def test_a_real_traceback_is_recognised_however_it_is_pasted(id):
    error, _ = provoked(id)
    found = {
        how: [each.id for each in diagnose(text)][:1] for how, text in pasted(error).items()
    }
    assert found == {how: [id] for how in found}


def test_a_text_file_is_told_by_its_traceback_alone(tmp_path):
    import torch

    (tmp_path / "hello.pt").write_text("hello")
    with warnings.catch_warnings(action="ignore"), pytest.raises(KeyError) as caught:
        torch.load(tmp_path / "hello.pt")
    error = caught.value
    assert repr(error) == "KeyError(101)" and diagnose("KeyError: 101") == []
    for text in pasted(error).values():
        assert diagnose(text)[0].id == "weights-only-operand"


def test_quotation_marks_that_a_word_processor_bent_are_read():
    text = "Can’t get attribute ‘Net’ on <module ‘__main__’ (built-in)>"
    assert diagnose(text)[0].id == "class-moved"


@pytest.mark.parametrize(
    "text, id",
    [
        (
            "Got invalid dimensions for input: x for ... index: 0 Got: 3 Expected: 2",
            "shape",
        ),
        (
            "Got invalid dimensions for input: x for ... index: 2 Got: 9 Expected: 8",
            "picture",
        ),
    ],
)
def test_the_index_tells_another_batch_from_another_picture(text, id):
    assert [found.id for found in diagnose(text)] == [f"fixed-{id}"]


@pytest.mark.parametrize(
    "text",
    [
        "EOFError: EOF when reading a line",
        "AttributeError: 'dict' object has no attribute 'to'",
        "ValueError: Invalid magic number 2055 in MNIST labels file",
        "ImportError: bad magic number in 'x': b'\\xa7'",
        "Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(int64))",
        "tensorflow.errors.NotFoundError: Key dense/kernel not found in checkpoint",
        "zipfile.BadZipFile: File is not a zip file",
        "OSError: Cannot save file into a non-existent directory: 'runs'",
        "RuntimeError: shape '[2, 64]' is invalid for input of size 100",
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
        "Expected tensor for argument #1 'indices' to have scalar types: Long, Int",
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    ],
)
def test_a_message_that_only_looks_similar_is_not_known(text):
    assert diagnose(text) == []


def test_a_models_own_names_do_not_make_it_a_checkpoint():
    keys = '"optimizer_head.weight", "epoch_embedding.weight"'
    text = f"Unexpected key(s) in state_dict: {keys}."
    assert [found.id for found in diagnose(text)] == ["unexpected-keys"]
    text = 'Unexpected key(s) in state_dict: "model_state_dict", "optimizer_state_dict".'
    assert diagnose(text)[0].id == "optimizer-for-model"


@pytest.mark.parametrize("ask", [diagnose, nearest])
def test_an_error_in_place_of_its_text_is_told(ask):
    with pytest.raises(TypeError) as told:
        ask(ValueError("x"))
    assert str(told.value) == (
        "text is ValueError; expected the message as a str: str(error)"
    )

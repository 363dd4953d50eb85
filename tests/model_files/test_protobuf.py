"""Fields of a protobuf as a stream, against the messages of onnx."""

import io

import onnx
import pytest

from helpers.model_files.protobuf import SPAN, VARINT, Field, fields, text, varint


def test_fields_are_those_that_protobuf_wrote():
    model = onnx.ModelProto(ir_version=300, producer_name="me", model_version=-1)
    model.graph.name = "g" * 5000
    model.opset_import.add(version=20)
    data = model.SerializeToString()
    file = io.BytesIO(data)
    found = {}
    for field in fields(file, 0, len(data)):
        found[field.number] = field
        file.seek(3)  # whoever reads in between moves the file
    assert found[1][1:3] == (VARINT, 300) and found[5].value == (1 << 64) - 1
    assert text(file, found[2]) == "me"
    assert found[7].stop - found[7].value == model.graph.ByteSize()
    assert sorted(found) == sorted(field.number for field, _ in model.ListFields())


def test_numbers_of_fixed_size_are_skipped():
    data = b"\x0d" + bytes(4) + b"\x11" + bytes(8) + b"\x18\x07"
    assert [(f.number, f.wire) for f in fields(io.BytesIO(data), 0, 16)] == [
        *((1, 5), (2, 1), (3, VARINT))
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x0a\x7fabc", "field 1 ends at byte 129, its message at 5"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "field 1 ends at byte"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x08", "does not end"),
        (b"\x0b", "no field of a protobuf"),
        (b"\x0e", "no field of a protobuf"),
        (b"\x00\x00", "field 0 ends"),
        (b"\x0d\0\0", "field 1 ends at byte 5"),
    ],
)
def test_what_is_no_message_is_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        list(fields(io.BytesIO(data), 0, len(data)))


def test_a_text_is_read_as_far_as_64_kib():
    file = io.BytesIO(b"x" * 100_000)
    assert len(text(file, Field(1, SPAN, 0, 100_000))) == 1 << 16
    with pytest.raises(ValueError, match="field 1 is a number where a text must be"):
        text(file, Field(1, VARINT, 5, 9))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, (1 << 64) - 1])
def test_varints(number):
    data = onnx.OperatorSetIdProto(version=number - (1 << 64 if number >> 63 else 0))
    data = data.SerializeToString()
    assert varint(data, 1) == (number, len(data))

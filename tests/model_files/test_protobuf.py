"""Fields of a protobuf as a stream, against the messages of onnx."""

import io

import onnx
import pytest

from helpers.model_files.protobuf import SPAN, VARINT, Field, Messages


def fields(file: io.BytesIO):
    messages = Messages(file)
    return messages.fields(messages.whole)


def test_fields_are_those_that_protobuf_wrote():
    model = onnx.ModelProto(ir_version=300, producer_name="me", model_version=-1)
    model.graph.name = "g" * 5000
    model.opset_import.add(version=20)
    data = model.SerializeToString()
    file = io.BytesIO(data)
    found = {}
    for field in fields(file):
        found[field.number] = field
        file.seek(3)  # whoever reads in between moves the file
    assert found[1][1:3] == (VARINT, 300) and found[5].value == (1 << 64) - 1
    assert Messages(file).text([found[2]]) == "me"
    assert found[7].stop - found[7].value == model.graph.ByteSize()
    assert sorted(found) == sorted(field.number for field, _ in model.ListFields())


def test_numbers_of_fixed_size_are_skipped():
    data = b"\x0d" + bytes(4) + b"\x11" + bytes(8) + b"\x18\x07"
    assert [(f.number, f.wire) for f in fields(io.BytesIO(data))] == [
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
        list(fields(io.BytesIO(data)))


def test_a_text_is_read_as_far_as_64_kib():
    messages = Messages(io.BytesIO(b"x" * 100_000))
    assert len(messages.text([Field(1, SPAN, 0, 100_000)])) == 1 << 16
    assert messages.text([Field(1, SPAN, 0, 1), Field(1, VARINT, 5, 9)]) == "5"
    assert messages.text([]) == ""


def test_a_number_is_not_a_message():
    with pytest.raises(ValueError, match="field 1 at byte 5 is not a message"):
        Messages(io.BytesIO()).pick(Field(1, VARINT, 5, 9), 1)


def test_numbers_stand_alone_or_together():
    tensor = onnx.TensorProto(dims=[1, 300, 1 << 40])
    data = tensor.SerializeToString() + b"\x0a\x03\x05\xac\x02"
    messages = Messages(io.BytesIO(data))
    found = messages.pick(Field(0, SPAN, 0, len(data)), 1)[1]
    assert list(messages.numbers(found)) == [1, 300, 1 << 40, 5, 300]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, (1 << 64) - 1])
def test_varints(number):
    data = onnx.OperatorSetIdProto(version=number - (1 << 64 if number >> 63 else 0))
    data = data.SerializeToString()
    [field] = fields(io.BytesIO(data))
    assert (field.value, field.stop) == (number, len(data))


def test_numbers_that_stand_together_are_counted():
    tensor = onnx.TensorProto(int64_data=[*range(-5, 2000), 1 << 62])
    messages = Messages(io.BytesIO(tensor.SerializeToString()))
    [field] = messages.pick(messages.whole, 7)[7]
    assert messages.ends(field) == 2006

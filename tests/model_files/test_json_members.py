"""Members of a JSON object, one by one."""

import io
import json

import pytest

from helpers.model_files.json_members import members


def read(data: bytes, *into):
    return list(members(io.BytesIO(data), len(data), into))


def test_an_object_larger_than_the_window_is_read_whole():
    content = {f"ключ {i}": {"n": [i], "text": "ü" * 50} for i in range(40_000)}
    data = json.dumps(content, ensure_ascii=False, indent=1).encode()
    assert len(data) > 4 << 20
    assert {key: value for _, key, value in read(data)} == content
    nested = b'{"a": 1, "map": ' + data + b', "b": {"map": {}}, "c": {}}'
    found = read(nested, "map", "c")
    assert {key: value for parent, key, value in found if parent == "map"} == content
    assert [part for part in found if not part[0]] == [("", "a", 1), ("", "b", {"map": {}})]


@pytest.mark.parametrize("data", [b"{}", b" {\n}\t", b'{"map":{}}'])
def test_an_empty_object_has_no_members(data):
    assert read(data, "map") == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "has '' in place of {"),
        (b"[1]", r"has '\[' in place of {"),
        (b'{"a" 1}', "has '1' in place of :"),
        (b'{"a": 1', "has '' in place of , or }"),
        (b'{"map": {"a": 1}', "has '' in place of , or }"),
        (b'{"a": 1,}', "no name where one must be"),
        (b"{1: 2}", "no name where one must be"),
        (b'{"a": 1} x', "something follows"),
        (b'{"a": }', "Expecting value"),
    ],
)
def test_what_is_no_object_is_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        read(data, "map")


def test_a_file_shorter_than_it_said_is_refused():
    with pytest.raises(ValueError, match="in place of , or }"):
        list(members(io.BytesIO(b'{"a": 1'), 1000))

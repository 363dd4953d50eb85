"""What the readers share."""

import os
import struct

import pytest

from helpers.model_files.budgets import TooMuchError
from helpers.model_files.judging import HostileError, add_entry, bytes_of, inside, judging
from helpers.model_files.verdicts import (
    DAMAGED,
    NOT_CHECKED,
    SAFE,
    UNKNOWN,
    UNSAFE,
    WHOLE,
    Findings,
    TensorEntry,
)


@pytest.mark.parametrize(
    ("error", "field", "verdict", "why"),
    [
        (ValueError("it ends early"), "structure", DAMAGED, "it ends early"),
        (struct.error("short"), "structure", DAMAGED, "short"),
        (OverflowError("large"), "structure", DAMAGED, "large"),
        (TooMuchError("it is long"), "structure", UNKNOWN, "it is long"),
        (TooMuchError("it is long"), "safety", UNKNOWN, "it is long"),
        (HostileError("it lies"), "safety", UNSAFE, "it lies"),
        (RecursionError("maximum"), "safety", UNSAFE, "it is nested too deeply"),
    ],
)
def test_an_error_becomes_a_verdict_and_takes_back_the_lines_that_open(
    error, field, verdict, why
):
    found = Findings("a", opens=["load()"], safety=SAFE)
    with judging(found):
        raise error
    assert (getattr(found, field), getattr(found, f"{field}_why")) == (verdict, why)
    assert found.opens == []


def test_without_an_error_the_structure_is_whole_unless_it_was_judged():
    found = Findings("a", opens=["load()"])
    with judging(found):
        pass
    assert (found.structure, found.opens) == (WHOLE, ["load()"])
    with judging(damaged := Findings("a")):
        damaged.structure = DAMAGED
    assert damaged.structure == DAMAGED
    with judging(unsafe := Findings("a")):
        raise HostileError("it lies")
    assert unsafe.structure == NOT_CHECKED


def test_an_error_of_ours_is_not_swallowed():
    with pytest.raises(KeyError), judging(Findings("a")):
        raise KeyError("typo")


def test_lists_and_names_have_limits(monkeypatch):
    monkeypatch.setattr("helpers.model_files.judging.MOST_ENTRIES", 1)
    add_entry(found := Findings("a"), TensorEntry("w" * 1000, (), "float32", 4))
    with pytest.raises(HostileError, match="it lists more than 1 tensors"):
        add_entry(found, TensorEntry("v", (), "float32", 4))
    with pytest.raises(HostileError, match="is longer than any tensor's"):
        add_entry(found, TensorEntry("w" * 1001, (), "float32", 4))
    with pytest.raises(ValueError, match="'w' is larger than any file"):
        add_entry(Findings("a"), TensorEntry("w", (1 << 60, 8), "int8", 1 << 63))


@pytest.mark.parametrize(
    ("dtype", "elements", "held"),
    [
        ("float32", 3, 12),
        ("float8_e4m3fn", 3, 3),
        ("float4_e2m1fn", 3, 2),
        ("float6_e2m3fn", 4, 3),
        ("int2", 5, 2),
        ("bfloat16", 0, 0),
        ("complex128", 1, 16),
        ("bool", 7, 7),
    ],
)
def test_bytes_of_a_dtype(dtype, elements, held):
    assert bytes_of(dtype, elements) == held


@pytest.mark.parametrize("name", ["a.bin", "sub/a.bin", "..a.bin", "sub/..x/a.bin"])
def test_a_file_inside_is_found(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("name", ["missing", "sub", "", ".", "x" * 5000])
def test_what_is_no_file_is_none(tmp_path, name):
    (tmp_path / "sub").mkdir()
    assert inside(tmp_path, name) is None


@pytest.mark.parametrize("name", ["../a", "sub/../../a", "sub/../a", "/etc/hosts", "a\0b"])
def test_what_is_outside_is_hostile(tmp_path, name):
    with pytest.raises(HostileError, match="which is outside its folder"):
        inside(tmp_path, name)


def test_a_name_in_too_many_folders_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nested too deeply"):
        inside(tmp_path, "a/" * 33 + "b")


@pytest.mark.skipif(os.name != "posix", reason="Windows needs a right for links")
def test_a_link_out_is_hostile_unless_it_may_be_told(tmp_path):
    (tmp_path / "there").touch()
    (home := tmp_path / "home").mkdir()
    (home / "link").symlink_to("../there")
    with pytest.raises(HostileError):
        inside(home, "link")
    found = Findings(home)
    assert inside(home, "link", found) == home / "link"
    assert found.notes == [f"'link' is a link out of its folder, to {tmp_path / 'there'}."]
    for name in ("../there", "link/../../there", "/etc/hosts", "a\0b"):
        with pytest.raises(HostileError):
            inside(home, name, found)

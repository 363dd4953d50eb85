"""The strict directory, against zipfile's own on sound archives."""

import io
import random
import struct
import tracemalloc
import zipfile
from itertools import islice

import pytest

from helpers.model_files.budgets import TooMuchError
from helpers.model_files.judging import MOST_ENTRIES
from helpers.model_files.zip_records import (
    _MOST_RECORDS,
    _entries,
    chunks,
    read_directory,
    read_record,
)
from tests.model_files.samples import empties


def archive(compression=zipfile.ZIP_STORED, comment=b"", count=5, zip64=False) -> bytes:
    draw = random.Random(0)
    with zipfile.ZipFile(file := io.BytesIO(), "w", compression) as new:
        for number in range(count):
            with new.open(f"röot/{number}", "w", force_zip64=zip64) as record:
                record.write(draw.randbytes(number * 1000))
        new.comment = comment
    return file.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"hello", bytes(65535)])
@pytest.mark.parametrize("zip64", [False, True])
def test_a_sound_archive_is_read_as_zipfile_reads_it(compression, comment, zip64):
    data = archive(compression, comment, zip64=zip64)
    file = io.BytesIO(data)
    records, wrong, end = read_directory(file)
    assert (wrong, end) == ([], len(data) - len(comment))
    with zipfile.ZipFile(file) as known:
        assert [record.name for record in records] == known.namelist()
        for record, info in zip(records, known.infolist(), strict=True):
            assert (record.size, record.crc) == (info.file_size, info.CRC)
            assert read_record(file, record) == known.read(info)


@pytest.mark.parametrize("place", range(0, 22))
def test_a_changed_byte_in_the_end_is_seen(place):
    data = bytearray(archive())
    data[-22 + place] ^= 0x41
    try:
        _, wrong, _ = read_directory(io.BytesIO(bytes(data)))
    except ValueError:
        return
    # The numbers of disks say nothing.
    assert wrong or 4 <= place < 10


def test_a_record_that_is_not_as_large_as_it_says():
    data = archive(zipfile.ZIP_DEFLATED)
    records, _, _ = read_directory(io.BytesIO(data))
    lies = [
        type(r)(r.name, r.start, r.packed, r.size + 1, r.crc, r.method) for r in records
    ]
    for record in lies:
        with pytest.raises(ValueError, match=r"does not hold its \d+ bytes"):
            list(chunks(io.BytesIO(data), record))
    odd = type(lies[0])("x", 0, 1, 1, 0, 99)
    with pytest.raises(ValueError, match="'x' is packed in an unknown way"):
        read_record(io.BytesIO(data), odd)
    large = type(lies[0])("x", 0, 1, 1 << 40, 0, 0)
    with pytest.raises(ValueError, match="'x' of 1099511627776 bytes is too large"):
        read_record(io.BytesIO(data), large)


def test_as_many_records_as_models_have_are_read_and_no_more():
    file = empties(20_000)
    with zipfile.ZipFile(file) as known:
        assert len(known.namelist()) == 20_000
    tracemalloc.start()
    records, wrong, _ = read_directory(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(records), wrong) == (20_000, []) and peak < 20_000 * 400
    assert MOST_ENTRIES + 100 < _MOST_RECORDS < 260_000
    with pytest.raises(TooMuchError, match=r"its 260,000 records are too much to follow"):
        read_directory(empties(260_000))
    with pytest.raises(TooMuchError, match=r"its 9 records are too much to follow"):
        read_directory(empties(9), most=8)
    # One that says that it has fewer.
    data = empties(9).getvalue().replace(struct.pack("<Q", 9), struct.pack("<Q", 8))
    with pytest.raises(ValueError, match="has not as many records as it says"):
        read_directory(io.BytesIO(data))
    directory = (b"PK\1\2" + bytes(42)) * 10
    assert len(list(islice(_entries(directory, 3, 0), 4))) == 4
    with pytest.raises(ValueError, match="not as many"):
        assert len(list(islice(_entries(directory, 3, 0), 5))) < 5


def test_no_archive():
    with pytest.raises(ValueError, match="it was cut short"):
        read_directory(io.BytesIO(b"PK\x03\x04" + bytes(100)))


def test_bytes_between_records_and_a_flag_of_encryption():
    with zipfile.ZipFile(file := io.BytesIO(), "w") as new:
        new.writestr("a", b"1")
        new.fp.write(b"junk" * 50)
        new.start_dir = new.fp.tell()
        new.writestr("b", b"2")
    assert read_directory(file)[1] == ["200 bytes before 'b' stand in no record"]
    data = bytearray(archive())
    data[6] |= 1
    words = "record 'röot/0' has another header: readers disagree on what is in it"
    assert read_directory(io.BytesIO(bytes(data)))[1] == [words]


def test_an_entry_that_reaches_beyond_the_directory():
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("a.txt", "hello")
    data = bytearray(file.getvalue())
    at = data.index(b"PK\1\2")
    data[at + 20 : at + 24] = b"\xff" * 4  # its size stands in another field, of 64 kB
    data[at + 30 : at + 32] = b"\xff\xff"
    with pytest.raises(ValueError, match="an entry of its directory is damaged"):
        read_directory(io.BytesIO(data))

"""Peak memory of a call in a fresh process: what counts, what travels, what fails."""

import mmap
import os
import platform
import queue
import signal
import sys
import time
from pathlib import Path

import pytest

from helpers import measurement
from helpers.measurement import memory
from helpers.measurement.memory import peak_memory

MIB = 1 << 20
# The kernel counts pages per processor and adds them up late: up to 128 kB for each.
SLACK = 3 * MIB
linux_only = pytest.mark.skipif(
    platform.system() != "Linux",
    reason="Only Linux tells mapped pages from allocated memory.",
)


def touch(path):
    """Map a file, read one byte of every page, and keep the mapping alive."""
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    checksum = sum(mapped[i] for i in range(0, len(mapped), mmap.PAGESIZE))
    KEPT_ALIVE.append(mapped)
    return checksum


KEPT_ALIVE = []


def write_file(folder, size=64 * MIB):
    path = Path(folder) / "exhibit.bin"
    path.write_bytes(b"\1" * size)
    return path


def test_notebooks_may_import_it_from_measurement():
    assert measurement.peak_memory is peak_memory
    assert measurement.PeakMemory is memory.PeakMemory


def test_the_process_starts_with_little_so_that_little_is_in_the_baseline():
    loaded = peak_memory(lambda: set(sys.modules)).result
    assert "helpers.measurement.memory" in loaded
    assert not loaded & {"torch", "numpy", "pandas", "psutil"}


def test_allocated_memory_that_is_kept_is_seen():
    measured = peak_memory(lambda: b"x" * (64 * MIB))
    assert measured.allocated == pytest.approx(64 * MIB, abs=SLACK)
    assert len(measured.result) == 64 * MIB


@linux_only
def test_memory_that_was_freed_before_the_return_is_seen():
    def held_for_a_moment(size):
        import time

        block = b"x" * size
        time.sleep(0.3)  # the reader gets its turn on a busy machine, too
        return len(block)

    measured = peak_memory(held_for_a_moment, 64 * MIB)
    assert measured.result == 64 * MIB
    assert measured.allocated == pytest.approx(64 * MIB, abs=SLACK)


@linux_only
def test_a_peak_between_two_readings_is_in_the_total_and_in_no_kind(monkeypatch):
    # A reader that never gets its turn: it sees the start and the end, nothing between.
    monkeypatch.setattr(memory.queue, "SimpleQueue", NeverEmpty)
    # Receiving the argument takes more, but that peak lies before the baseline.
    received = os.urandom(128 * MIB)
    measured = peak_memory(lambda _, size: len(b"x" * size), received, 64 * MIB)
    assert measured.total == pytest.approx(64 * MIB, abs=SLACK)
    assert measured.allocated < SLACK and measured.mapped < SLACK


class NeverEmpty(queue.Queue):
    """An inbox that says at once that an answer is there."""

    def empty(self):
        return False


@linux_only
@pytest.mark.parametrize(
    ("readings", "mark", "expected"),
    [
        ([(0, 0), (50, 10)], 60, (60, 50, 10)),  # nothing missed
        ([(0, 0), (50, 10)], 80, (80, 50, 10)),  # 20 between two readings, of any kind
        ([(0, 0), (0, 50), (60, 0)], 60, (60, 60, 50)),  # each kind at its own peak
        # A file is read into a model that is there, and closed.
        ([(0, 0), (200, 0), (200, 170), (200, 5)], 400, (400, 200, 170)),
        # The kernel adds up its pages late, or the mark could not be set back.
        ([(0, 0), (50, 10)], 58, (60, 50, 10)),
        ([(0, 0), (50, 10)], 0, (60, 50, 10)),
    ],
)
def test_the_total_is_the_kernels_mark_and_the_kinds_are_what_was_read(
    readings, mark, expected, monkeypatch
):
    bases = (300, 700)
    script = [
        memory._Reading((bases[0] + allocated) * MIB, (bases[1] + mapped) * MIB, 1000 * MIB)
        for allocated, mapped in readings
    ]
    script[-1] = script[-1]._replace(mark=(1000 + mark) * MIB)
    last = script[-1]
    monkeypatch.setattr(memory, "_read", lambda pid: script.pop(0) if script else last)
    measured = peak_memory(lambda: time.sleep(0.2))
    found = (measured.total, measured.allocated, measured.mapped)
    assert found == tuple(MIB * size for size in expected)


def test_two_allocations_of_which_one_was_freed_count_at_their_highest_sum():
    def twice(size):
        import time

        first = b"x" * size
        second = b"y" * size
        time.sleep(0.3)  # for the reader
        total = len(first) + len(second)
        del second
        return total, first[:1]

    measured = peak_memory(twice, 32 * MIB)
    assert measured.allocated == pytest.approx(64 * MIB, abs=SLACK)


@linux_only
def test_pages_of_a_mapped_file_are_mapped_and_not_allocated(tmp_path):
    path = write_file(tmp_path)
    measured = peak_memory(touch, path)
    assert measured.result == 64 * MIB // mmap.PAGESIZE
    assert measured.mapped == pytest.approx(64 * MIB, abs=SLACK)
    assert measured.allocated < SLACK


@linux_only
def test_a_file_in_a_memory_file_system_counts_as_mapped_too():
    # On many systems /tmp is such a file system, where pages count as shared memory.
    path = Path("/dev/shm") / f"test_memory_{os.getpid()}.bin"
    try:
        path.write_bytes(b"\1" * (32 * MIB))
        measured = peak_memory(touch, path)
    finally:
        path.unlink(missing_ok=True)
    assert measured.mapped == pytest.approx(32 * MIB, abs=SLACK)
    assert measured.allocated < SLACK


@linux_only
def test_a_file_that_is_unmapped_before_the_return_is_mapped(monkeypatch, tmp_path):
    seen = tmp_path / "seen"
    monkeypatch.setattr(memory, "_read", noting(seen, 64 * MIB))

    def touch_and_close(path):
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            checksum = sum(mapped[i] for i in range(0, len(mapped), mmap.PAGESIZE))
            while not seen.exists():  # stay until the pages have been read once
                time.sleep(0.001)
            return checksum

    measured = peak_memory(touch_and_close, write_file(tmp_path))
    assert measured.mapped == pytest.approx(64 * MIB, abs=SLACK)
    assert measured.total == pytest.approx(64 * MIB, abs=SLACK)
    assert measured.allocated < SLACK


def noting(seen, least, pause=0):
    """Return a reader that makes the file `seen` at so many mapped bytes above the first.

    One MiB less will do: the kernel adds its pages up late.
    """
    read, first = memory._read, []

    def read_and_note(pid):
        reading = read(pid)
        first.append(reading.mapped)
        if reading.mapped - first[0] > least - MIB and not seen.exists():
            seen.touch()
            time.sleep(pause)
        return reading

    return read_and_note


@linux_only
def test_a_file_that_is_copied_and_closed_between_two_readings_is_in_the_total(
    monkeypatch, tmp_path
):
    seen = tmp_path / "seen"
    # The second half of the file comes and goes while the reader pauses.
    monkeypatch.setattr(memory, "_read", noting(seen, 32 * MIB, pause=0.5))

    def copy(path, size):
        # As large as the file, and there before it.
        model = memoryview(bytearray(size))
        model[:: mmap.PAGESIZE] = b"x" * len(range(0, size, mmap.PAGESIZE))
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            for half in (slice(size // 2), slice(size // 2, size)):
                model[half] = view[half]
                while not seen.exists():
                    time.sleep(0.001)
        return len(model)

    measured = peak_memory(copy, write_file(tmp_path), 64 * MIB)
    assert measured.result == 64 * MIB
    assert measured.total == pytest.approx(128 * MIB, abs=SLACK)
    assert measured.allocated == pytest.approx(64 * MIB, abs=SLACK)
    assert measured.mapped < 48 * MIB


def test_arguments_and_what_the_function_refers_to_are_not_counted():
    ballast = os.urandom(32 * MIB)

    def sizes(argument):
        return len(ballast), len(argument)

    measured = peak_memory(sizes, bytes(ballast))
    assert measured.result == (32 * MIB, 32 * MIB)
    assert measured.allocated < SLACK


def test_importing_torch_is_part_of_the_baseline():
    import torch

    measured = peak_memory(lambda: str(torch.ones(2, 3).shape))
    assert measured.result == "torch.Size([2, 3])"
    assert measured.allocated < 32 * MIB


def test_a_function_from_a_notebook_cell_travels_by_value():
    cell = {"__name__": "__main__"}  # what a notebook's functions belong to
    exec("import math\nSCALE = 3\ndef f(x): return SCALE * math.sqrt(x)", cell)
    assert peak_memory(cell["f"], 16).result == 12.0


def test_a_class_from_a_notebook_cell_comes_back_as_itself():
    cell = {"__name__": "__main__"}
    exec("class Shape:\n    sides = 4\ndef f(): return Shape()", cell)
    assert type(peak_memory(cell["f"]).result) is cell["Shape"]


def test_the_function_runs_in_another_process_in_the_same_folder():
    pid, folder = peak_memory(lambda: (os.getpid(), os.getcwd())).result
    assert (pid != os.getpid(), folder) == (True, os.getcwd())


def test_what_the_function_prints_is_thrown_away(capfd):
    def loud():
        print("to stdout")
        print("to stderr", file=sys.stderr)
        os.system("echo from a shell")
        return "done"

    assert peak_memory(loud).result == "done"
    assert tuple(capfd.readouterr()) == ("", "")


def test_without_linux_the_resident_set_is_counted_and_mapped_is_none(monkeypatch):
    monkeypatch.setattr(memory, "_LINUX", False)
    measured = peak_memory(lambda: b"x" * (64 * MIB))
    assert measured.mapped is None and measured.total == measured.allocated
    assert measured.allocated == pytest.approx(64 * MIB, abs=SLACK)
    assert "cannot be told" in measured.counted and "psutil" in measured.counted


@linux_only
def test_the_measurement_says_what_was_counted():
    assert peak_memory(int).counted == (
        "Counted are allocated memory (RssAnon) and, apart from it, resident pages of "
        "mapped files (RssFile, RssShmem), which the system can share or drop."
    )


def test_an_exception_arrives_with_its_last_line():
    with pytest.raises(RuntimeError) as caught:
        peak_memory(int, "four")
    assert str(caught.value) == (
        "The measured function failed: ValueError: invalid literal for int() with "
        "base 10: 'four'"
    )


def test_sys_exit_is_an_error_like_any_other():
    with pytest.raises(RuntimeError, match=r"failed: SystemExit: 2$"):
        peak_memory(lambda: sys.exit(2))


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL.")
def test_a_killed_process_is_named_with_its_signal():
    with pytest.raises(RuntimeError) as caught:
        peak_memory(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert str(caught.value) == (
        "The measured process ended early: SIGKILL. The memory may have run out."
    )


def test_a_process_that_ends_itself_is_named_with_its_exit_status():
    with pytest.raises(RuntimeError, match=r"ended early: exit status 3\.$"):
        peak_memory(lambda: os._exit(3))


def test_a_result_that_cannot_be_pickled_says_so():
    with pytest.raises(RuntimeError) as caught:
        peak_memory(lambda: (i for i in range(3)))
    assert str(caught.value) == (
        "The function's result, a generator, cannot be sent back: cannot pickle "
        "'generator' object. Return something plain, such as a number."
    )


def test_a_function_that_cannot_be_pickled_says_so():
    generator = (i for i in range(3))
    with pytest.raises(TypeError, match=r"cannot be sent to a process: .* Pass paths"):
        peak_memory(lambda: next(generator))


def test_a_call_instead_of_a_function_says_so():
    with pytest.raises(TypeError, match=r"^function is of type int: pass a function"):
        peak_memory(len("load"))


def test_an_interrupted_measurement_leaves_no_process_behind(monkeypatch):
    started = []
    start = memory._start_process
    monkeypatch.setattr(
        memory, "_start_process", lambda: started.append(start()) or started[0]
    )

    def interrupt(pid):
        raise KeyboardInterrupt

    monkeypatch.setattr(memory, "_read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        peak_memory(lambda: None)
    assert started[0].poll() is not None

"""The doctor's checks: each finding with its status and cure."""

import sys
import types

import pytest

from helpers.classroom.setup import doctor
from helpers.classroom.setup.doctor import Finding, checks, environments
from helpers.classroom.setup.doctor.environments import how_to_install

# ---- Python and packages


def test_an_old_python_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # not an environment of conda
    assert checks.check_python((3, 11, 0)) == Finding("Python", "3.11.0")
    old = checks.check_python((3, 10, 14))
    assert (old.found, old.status) == ("3.10.14, needs >=3.11", "problem")
    assert "make lab PYTHON=python3.12" in old.cure


# ---- What the course needs around it


def test_where_saved_panels_would_be_lost_is_a_warning_with_its_cure():
    assert checks.check_reopening(True).status == "OK"
    finding = checks.check_reopening(False)
    assert (finding.status, finding.cure) == ("warning", how_to_install())
    assert "saved panels will be lost" in finding.found


def test_a_missing_widget_extension_is_named():
    assert checks.check_extensions([]).status == "OK"
    finding = checks.check_extensions(["anywidget"])
    assert (finding.found, finding.status) == ("missing: anywidget", "problem")
    assert finding.cure.endswith("--force-reinstall anywidget")


def test_weights_that_are_missing_or_cut_off_are_a_problem(tmp_path):
    path = tmp_path / "digits_net.safetensors"
    assert checks.check_weights(path).found == "digits_net.safetensors is missing"
    path.write_bytes(b"x" * 4000)
    finding = checks.check_weights(path)
    assert finding.found == "digits_net.safetensors is only 4.00 kB"
    assert finding.status == "problem"
    path.write_bytes(b"x" * 95_000)
    assert checks.check_weights(path) == Finding("Reference weights", "95.0 kB")


def test_without_notebooks_no_cure_is_one_of_the_whole_folder(monkeypatch, tmp_path):
    for module in (checks, environments):
        monkeypatch.setattr(module, "is_whole", lambda: False)
    get_it = "Get the course's whole folder, and run there: make lab"
    assert how_to_install() == checks.check_python((3, 10, 1)).cure == get_it
    assert checks.check_folder(tmp_path).cure == get_it
    lost = checks.check_weights(tmp_path / "gone.safetensors")
    assert lost.cure == "Install again the wheel that this copy came from"


def test_a_folder_where_no_file_can_be_made_is_a_problem(tmp_path):
    assert checks.check_writing("Folder", tmp_path).status == "OK"
    assert list(tmp_path.iterdir()) == []
    # Also for root, who may write anywhere, there is no folder inside a file.
    (tmp_path / "file").touch()
    finding = checks.check_writing("Folder", tmp_path / "file")
    assert finding.status == "problem"
    assert finding.found.startswith("no file can be made: ")
    assert finding.cure == "Move the course to a folder of your own"


def test_a_temporary_folder_that_is_gone_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor.tempfile, "tempdir", str(doctor.FOLDER / "gone"))
    finding = checks.check_writing("Temporary folder", None)
    assert finding.status == "problem" and "TMPDIR" in finding.cure


@pytest.mark.parametrize(
    ("free", "status"),
    [(2e9, "OK"), (1.99e9, "warning"), (1e9, "warning"), (0.99e9, "problem")],
)
def test_little_memory_is_a_warning_and_very_little_a_problem(free, status):
    finding = checks.check_room("Free memory", free, 2e9, 1e9)
    assert finding.status == status
    assert bool(finding.cure) == (status != "OK")
    assert ("at least 2.00 GB" in finding.found) == (status != "OK")


@pytest.mark.parametrize(
    ("features", "found", "status"),
    [
        ({"AVX2": True, "AVX-512": True, "NEON": False}, "AVX2, AVX-512", "OK"),
        ({"AVX2": False, "NEON": True}, "NEON", "OK"),
        ({"AVX2": False, "NEON": False}, "neither AVX2 nor NEON", "warning"),
        (
            {"AVX2": None, "NEON": None},
            "this system does not say what it offers",
            "OK",
        ),
    ],
)
def test_a_processor_without_avx2_or_neon_is_a_warning(features, found, status):
    finding = checks.check_cpu(features)
    assert (finding.found, finding.status) == (found, status)


def test_a_gpu_is_named_and_none_is_fine():
    def torch_with(kind):
        return types.SimpleNamespace(
            accelerator=types.SimpleNamespace(
                is_available=lambda: kind is not None,
                current_accelerator=lambda: types.SimpleNamespace(type=kind),
            ),
            cuda=types.SimpleNamespace(get_device_name=lambda: "Some Card"),
        )

    assert checks.check_gpu(torch_with(None)) == Finding("GPU", "none; not needed")
    assert checks.check_gpu(torch_with("mps")) == Finding("GPU", "mps")
    assert checks.check_gpu(torch_with("cuda")) == Finding("GPU", "cuda (Some Card)")

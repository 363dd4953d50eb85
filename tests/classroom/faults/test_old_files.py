"""The files of older releases: what is in them, what today's torch makes of them."""

import pickle
import zipfile

import numpy as np
import pytest
import torch

from helpers.classroom.data.digits import load_digits
from helpers.classroom.faults.old_files import FOLDER, WHAT_THEY_ARE, old_file, recipe
from helpers.state_dicts import compare, strip_prefix
from helpers.training import accuracy

NAMES = list(WHAT_THEY_ARE)


def test_the_folder_holds_the_files_that_are_described_each_a_few_kilobytes():
    assert sorted(path.name for path in FOLDER.glob("*.pt")) == sorted(NAMES)
    assert all(old_file(name).stat().st_size < 8_000 for name in NAMES)


def test_another_name_is_refused():
    with pytest.raises(ValueError) as caught:
        old_file("new.pt")
    assert str(caught.value) == f"no old file 'new.pt'; there are {', '.join(NAMES)}"


def test_the_legacy_file_is_no_zip_and_opens():
    assert not zipfile.is_zipfile(old_file("legacy.pt"))
    assert list(torch.load(old_file("legacy.pt"), weights_only=True)) == [
        *("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
    ]


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_zip_files_have_what_1_6_wrote_and_nothing_newer(name):
    with zipfile.ZipFile(old_file(name)) as file:
        assert file.testzip() is None
        inside = [member.partition("/")[2] for member in file.namelist()]
        assert inside == ["data.pkl", *(f"data/{k}" for k in range(4)), "version"]
        assert file.read("archive/version") == b"3\n"


def test_both_state_dicts_hold_the_same_weights_of_a_trained_network():
    state_dicts = [torch.load(old_file(name), weights_only=True) for name in NAMES[:2]]
    assert compare(*state_dicts).identical
    net, digits = recipe.Net(), load_digits()
    net.load_state_dict(state_dicts[0])
    assert accuracy(net, digits.test_images, digits.test_labels) > 0.96


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("whole_model.pt", "old_project.nets.Net"),
        ("numpy_scalar.pt", "numpy.core.multiarray.scalar"),
    ],
)
def test_what_is_more_than_weights_is_refused_by_its_name(name, refused):
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed") as caught:
        torch.load(old_file(name), weights_only=True)
    assert f"Unsupported global: GLOBAL {refused} was not" in str(caught.value)


def test_the_whole_model_needs_a_class_that_is_gone():
    with pytest.raises(ModuleNotFoundError, match="No module named 'old_project'"):
        torch.load(old_file("whole_model.pt"), weights_only=False)


def test_the_recipe_makes_the_same_files_again(tmp_path):
    net = recipe.Net()
    net.load_state_dict(torch.load(old_file("legacy.pt"), weights_only=True))
    recipe.write(net, 0.9694, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    for name in NAMES[1:]:
        made, shipped = (zipfile.ZipFile(path / name) for path in (tmp_path, FOLDER))
        with made, shipped:
            assert made.namelist() == shipped.namelist()
            for member in made.namelist():
                # Into the other two pickles, releases of torch and NumPy have a say.
                if name == "zip_1x.pt" or not member.endswith("data.pkl"):
                    assert made.read(member) == shipped.read(member), (name, member)
    legacy = torch.load(tmp_path / "legacy.pt", weights_only=True)
    assert compare(legacy, net).identical
    assert recipe.Net.__module__ == "helpers.classroom.faults.old_files.recipe"


def test_the_checkpoint_with_a_numpy_scalar_holds_the_weights_too():
    scalar = (np._core.multiarray.scalar, "numpy.core.multiarray.scalar")
    allowed = [scalar, np.dtype, np.dtypes.Float64DType]
    with torch.serialization.safe_globals(allowed):
        checkpoint = torch.load(old_file("numpy_scalar.pt"), weights_only=True)
    weights = strip_prefix(checkpoint["state_dict"], "module.")
    legacy = torch.load(old_file("legacy.pt"), weights_only=True)
    assert compare(weights, legacy).identical

"""A folder of checkpoints: what is kept, what is best, and the way past a damaged file."""

import math
import os
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.checkpoints import (
    CheckpointFolder,
    CorruptCheckpointError,
    IncompatibleCheckpointError,
    folders,
    read_metadata,
)
from helpers.classroom.faults import bookkeeping_offsets, flip, payload_offsets, truncate


def model(value=0.0):
    layer = nn.Linear(20, 3)
    nn.init.constant_(layer.weight, value)
    return layer


def save(folder, epoch, loss, **others):
    return folder.save(
        model=model(epoch), epoch=epoch, step=10 * epoch, metrics={"loss": loss}, **others
    )


def epochs(folder):
    return [read_metadata(path)["metrics"]["loss"] for path in folder.paths()]


def names(folder):
    return [path.name for path in folder.paths()]


def test_the_name_holds_epoch_and_step_and_sorts(tmp_path):
    folder = CheckpointFolder(tmp_path / "runs" / "first")
    path = save(folder, 3, 0.5)
    assert path == tmp_path / "runs" / "first" / "epoch_0003_step_00000030.pt"
    assert folder.paths() == [path] and folder.latest() == folder.best() == path


def test_an_empty_folder_has_nothing_and_says_so_by_none(tmp_path):
    folder = CheckpointFolder(tmp_path)
    assert folder.paths() == []
    assert folder.latest() is folder.best() is folder.load_latest(model=model()) is None


def test_the_last_three_and_the_best_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path)
    losses = [0.9, 0.2, 0.5, 0.4, 0.6, 0.7]
    for epoch, loss in enumerate(losses):
        save(folder, epoch, loss)
    assert epochs(folder) == [0.2, 0.4, 0.6, 0.7]
    assert read_metadata(folder.best())["metrics"]["loss"] == 0.2
    assert read_metadata(folder.latest())["metrics"]["loss"] == 0.7


@pytest.mark.parametrize(
    ("keep_last", "keep_best", "mode", "kept"),
    [
        (1, 0, "min", [3]),
        (1, 1, "max", [8, 3]),
        (1, 2, "max", [6, 8, 3]),
        (2, 1, "max", [8, 5, 3]),
        (2, 1, "min", [1, 5, 3]),
        (9, 9, "min", [6, 1, 8, 5, 3]),
    ],
)
def test_how_many_are_kept_and_what_is_best_can_be_chosen(
    tmp_path, keep_last, keep_best, mode, kept
):
    folder = CheckpointFolder(tmp_path, keep_last=keep_last, keep_best=keep_best, mode=mode)
    for epoch, loss in enumerate([6, 1, 8, 5, 3]):
        save(folder, epoch, loss)
    assert epochs(folder) == kept


def test_not_a_number_is_never_best(tmp_path):
    folder = CheckpointFolder(tmp_path, keep_last=1)
    for epoch, loss in enumerate([0.5, math.nan, math.nan]):
        save(folder, epoch, loss)
    assert read_metadata(folder.best())["metrics"]["loss"] == 0.5


def test_another_metric_can_tell(tmp_path):
    folder = CheckpointFolder(tmp_path, metric="accuracy", mode="max", keep_last=1)
    for epoch, accuracy in enumerate([0.5, 0.9, 0.8]):
        folder.save(model=model(), epoch=epoch, metrics={"accuracy": accuracy})
    assert read_metadata(folder.best())["metrics"] == {"accuracy": 0.9}


def test_without_its_metric_nothing_is_saved(tmp_path):
    folder = CheckpointFolder(tmp_path, metric="accuracy")
    with pytest.raises(ValueError) as caught:
        folder.save(model=model(), metrics={"loss": 1.0})
    assert str(caught.value) == (
        "metrics has no 'accuracy', by which this folder tells the best; give it, or make "
        "the folder with keep_best=0"
    )
    assert folder.paths() == []
    CheckpointFolder(tmp_path, keep_best=0).save(model=model())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"keep_last": 0},
            "keep_last is 0; expected a whole number of 1 or more",
        ),
        (
            {"keep_best": -1},
            "keep_best is -1; expected a whole number of 0 or more",
        ),
        ({"keep_last": 1.5}, "keep_last is 1.5; expected a whole number of 1 or more"),
        ({"mode": "low"}, "mode is 'low'; expected one of 'min', 'max'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError) as caught:
        CheckpointFolder(tmp_path, **arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["epoch", "step"])
def test_the_numbers_in_the_name_are_whole(tmp_path, name):
    folder = CheckpointFolder(tmp_path, keep_best=0)
    with pytest.raises(ValueError) as caught:
        folder.save(model=model(), **{name: 1.5})
    assert str(caught.value) == f"{name} is 1.5; expected a whole number of 0 or more"
    assert folder.paths() == []


def test_files_with_other_names_are_left_alone(tmp_path):
    others = [
        "notes.txt",
        "best.pt",
        "epoch_1_step_2.pt",
        "epoch_0001_step_00000010.pt.bak",
    ]
    for name in others:
        (tmp_path / name).write_text("mine")
    folder = CheckpointFolder(tmp_path, keep_last=1, keep_best=0)
    for epoch in range(3):
        save(folder, epoch, 1.0)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "epoch_0002_step_00000020.pt"])


# Falling back


def test_the_newest_is_loaded(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for epoch in range(3):
        save(folder, epoch, 1.0, extra={"note": epoch})
    loaded = model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint = folder.load_latest(model=loaded)
    assert checkpoint.epoch == 2 and checkpoint.extra == {"note": 2}
    assert checkpoint.skipped == () and loaded.weight.unique().tolist() == [2.0]


def test_damaged_files_are_passed_over_and_named(tmp_path):
    folder = CheckpointFolder(tmp_path, keep_last=4)
    for epoch in range(4):
        save(folder, epoch, 1.0)
    _, whole, cut, flipped = folder.paths()
    flip(flipped, payload_offsets(flipped, 1)[0])
    truncate(cut, 100)
    loaded = model()
    with pytest.warns(UserWarning) as caught:
        checkpoint = folder.load_latest(model=loaded)
    assert checkpoint.path == whole and loaded.weight.unique().tolist() == [1.0]
    assert [path for path, _ in checkpoint.skipped] == [flipped, cut]
    assert "CRC-32" in checkpoint.skipped[0][1] and "cut short" in checkpoint.skipped[1][1]
    assert [str(each.message) for each in caught] == [
        f"skipped a checkpoint: {reason}" for _, reason in checkpoint.skipped
    ]
    assert caught[0].filename == __file__, "the warning points at the caller's line"


def test_where_none_is_whole_the_error_lists_them_all(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for epoch in range(2):
        save(folder, epoch, 1.0)
    for path in folder.paths():
        truncate(path, 100)
    with pytest.warns(UserWarning), pytest.raises(CorruptCheckpointError) as caught:
        folder.load_latest(model=model())
    first, *reasons = str(caught.value).splitlines()
    assert first == f"none of the 2 checkpoints in {tmp_path} is whole:"
    for path, line in zip(reversed(folder.paths()), reasons, strict=True):
        assert line.startswith(f"{path} is damaged: ")


def test_a_file_that_does_not_fit_is_no_reason_to_fall_back(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for epoch in range(2):
        save(folder, epoch, 1.0)
    with pytest.raises(IncompatibleCheckpointError, match="step_00000010"):
        folder.load_latest(model=nn.Linear(2, 2))


def test_a_damaged_file_takes_no_place_among_those_that_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path, keep_last=2, keep_best=0)
    for epoch in range(2):
        save(folder, epoch, 1.0)
    damaged = folder.latest()
    flip(damaged, bookkeeping_offsets(damaged, 1)[0])
    new = save(folder, 2, 1.0)
    assert names(folder) == ["epoch_0000_step_00000000.pt", damaged.name, new.name]
    save(folder, 3, 1.0)
    assert names(folder) == [damaged.name, new.name, "epoch_0003_step_00000030.pt"]


# Deleting


def test_old_files_go_only_after_the_new_one_is_safe(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path, keep_last=1, keep_best=0)
    save(folder, 0, 1.0)

    def fail(*_, **__):
        raise OSError(28, "no space")

    monkeypatch.setattr(folders, "save_checkpoint", fail)
    with pytest.raises(OSError):
        save(folder, 1, 1.0)
    assert names(folder) == ["epoch_0000_step_00000000.pt"]


def test_a_crash_between_save_and_clean_up_is_made_good_by_the_next_save(
    tmp_path, monkeypatch
):
    folder = CheckpointFolder(tmp_path, keep_last=2, keep_best=0)
    for epoch in range(2):
        save(folder, epoch, 1.0)

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFolder, "_delete_others", crash)
        with pytest.raises(KeyboardInterrupt):
            save(folder, 2, 1.0)
    assert len(names(folder)) == 3 and folder.load_latest(model=model()).epoch == 2
    save(folder, 3, 1.0)
    assert names(folder) == ["epoch_0002_step_00000020.pt", "epoch_0003_step_00000030.pt"]


def test_a_file_that_another_process_deleted_is_not_an_error(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path, keep_last=1, keep_best=0)
    first = save(folder, 0, 1.0)
    real = folders.read_metadata

    def read_and_lose(path):
        first.unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(folders, "read_metadata", read_and_lose)
    save(folder, 1, 1.0)
    assert names(folder) == ["epoch_0001_step_00000010.pt"]


def test_optimizer_and_scheduler_travel_as_well(tmp_path):
    folder = CheckpointFolder(tmp_path, keep_best=0)
    layer = model(1.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    layer(torch.ones(1, 20)).sum().backward()
    optimizer.step()
    scheduler.step()
    folder.save(model=layer, optimizer=optimizer, scheduler=scheduler)
    other = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    folder.load_latest(model=layer, optimizer=other)
    assert other.param_groups[0]["lr"] == 0.05
    assert torch.equal(
        other.state[layer.bias]["momentum_buffer"],
        optimizer.state[layer.bias]["momentum_buffer"],
    )


def test_a_file_that_may_not_be_read_or_removed_stops_no_save(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path, keep_last=1, keep_best=0)
    save(folder, 1, 0.5)

    def refuse(*arguments, **options):
        raise PermissionError(13, "somebody has it open")

    monkeypatch.setattr(Path, "unlink", refuse)
    save(folder, 2, 0.4)
    assert len(names(folder)) == 2
    monkeypatch.undo()
    read = folders.read_metadata
    first = folder.paths()[0]
    monkeypatch.setattr(
        folders, "read_metadata", lambda path: refuse() if path == first else read(path)
    )
    save(folder, 3, 0.3)
    assert [name[:10] for name in names(folder)] == ["epoch_0001", "epoch_0003"]
    assert folder.best() == folder.latest()

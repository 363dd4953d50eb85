"""Bare pickles, the format before torch 1.6, and the tar before that."""

import collections
import pickle
import tarfile
import tracemalloc
from pathlib import Path

import pytest
import torch

from helpers.model_files.inspecting import inspect_file
from helpers.model_files.torch_pickles import conclude, follow_all
from helpers.model_files.verdicts import Findings
from tests.model_files import torch_samples as samples


def inspected(tmp_path, data: bytes):
    (tmp_path / "a.bin").write_bytes(data)
    return inspect_file(tmp_path / "a.bin", verify=True)


def opened(report) -> dict:
    found = {"__name__": "copied"}
    exec("\n".join(report.opens), found)
    return found


def equal(state) -> bool:
    sound = samples.net().state_dict()
    return state.keys() == sound.keys() and all(
        torch.equal(value, sound[name]) for name, value in state.items()
    )


def test_the_format_before_torch_1_6(tmp_path):
    _, optimizer = samples.trained()
    content = {"model": samples.net().state_dict(), "optimizer": optimizer.state_dict()}
    report = inspected(tmp_path, samples.legacy(content))
    assert report.is_ == "a checkpoint (in the format of torch before 1.6)"
    assert (report.kind, report.safety, report.structure) == (
        "legacy torch",
        "safe",
        "whole",
    )
    assert report.bytes_checked == "no checksums: a changed byte goes unseen"
    assert len(report.entries) == 27 and report.optimizer == 296
    assert equal(opened(report)["state"])


def test_an_optimizer_that_has_taken_no_step_is_told_from_none(tmp_path):
    model = samples.net()
    state = torch.optim.Adam(model.parameters()).state_dict()
    content = {"model": model.state_dict(), "optimizer": state}
    report = inspected(tmp_path, samples.legacy(content))
    assert report.optimizer == 0 and "optimizer: 0 B" in str(report)
    report = inspected(tmp_path, samples.legacy({"model": model.state_dict()}))
    assert report.optimizer is None and "\noptimizer: " not in str(report)


@pytest.mark.parametrize("missing", [1, 40, 300])
def test_the_old_format_cut_short(missing, tmp_path):
    data = samples.legacy(samples.net().state_dict())
    report = inspected(tmp_path, data[:-missing])
    assert report.structure == "damaged" and report.opens == []
    report = inspected(tmp_path, data + b"more")
    assert f"it ends at byte {len(data)} instead of {len(data) + 4}" in str(report)


def test_a_whole_model_in_the_old_format_is_opened_by_nothing(tmp_path):
    report = inspected(tmp_path, samples.legacy(samples.net()))
    assert "a whole pickled model" in report.is_ and report.opens == []
    assert len(report.entries) == 9


def test_code_in_the_old_format(tmp_path):
    report = inspected(tmp_path, samples.legacy({"a": samples.Runs()}))
    assert report.safety == "unsafe" and report.opens == []


def test_code_in_a_file_that_is_cut_short_is_still_named(tmp_path):
    data = samples.legacy({"a": samples.Runs()})
    report = inspected(tmp_path, data[: data.rindex(b"\x80\x02")])
    assert (report.structure, report.safety) == ("damaged", "unsafe")
    assert "the list of its storages is missing" in report.structure_why


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_state_dict_of_pickle_dump_opens_safely(protocol, tmp_path):
    report = inspected(tmp_path, pickle.dumps(samples.net().state_dict(), protocol))
    assert report.is_ == "a bare state dict (a bare pickle)"
    # What pickle.load would call here is torch.load with weights_only=False.
    assert report.names["torch.storage._load_from_bytes"] == "dangerous"
    assert report.safety == "unsafe"
    assert [entry.shape for entry in report.entries[:2]] == [(4, 3), (4,)]
    assert equal(opened(report)["state"])


def test_what_pickle_dump_makes_of_models_and_checkpoints(tmp_path):
    for value in (
        samples.net(),
        {"net": samples.net()},
        {"net": samples.net().state_dict()},
    ):
        assert equal(opened(inspected(tmp_path, pickle.dumps(value)))["state"])
    assert inspected(tmp_path, pickle.dumps(samples.Own())).opens == []


def test_code_inside_the_bytes_of_a_pickled_tensor(tmp_path, monkeypatch):
    """The lines that open a pickled state dict hold against code in its tensors' bytes."""
    monkeypatch.chdir(tmp_path)

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (samples.legacy(samples.Runs()),)

    report = inspected(tmp_path, pickle.dumps({"a": Storage()}))
    assert "posix.system is named by a pickle inside a pickle." in report.notes
    assert report.opens == [] and not (tmp_path / "EXECUTED").exists()


def test_plain_values_and_their_lines(tmp_path):
    report = inspected(tmp_path, pickle.dumps({"a": [1, 2], "b": {3}}))
    assert (report.is_, report.safety) == (
        "a dictionary without weights (a bare pickle)",
        "safe",
    )
    assert opened(report)["content"] == {"a": [1, 2], "b": {3}}
    (tmp_path / "a.bin").write_bytes(pickle.dumps(samples.Runs()))
    with pytest.raises(pickle.UnpicklingError, match=r"refused: posix\.system"):
        opened(report)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L"])
def test_a_header_of_a_tar_archive_fills_no_memory(tmp_path, kind):
    header = tarfile.TarInfo("x")
    header.size, header.type = 100 << 20, kind
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(200 << 20)
    tracemalloc.start()
    report = inspect_file(tmp_path / "a.tar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20
    assert "breaks off: a header in it is too large" in report.structure_why


def test_tar_archives(tmp_path):
    report = inspected(tmp_path, samples.tar())
    assert report.is_ == "a tar archive, of torch before 0.2"
    assert (report.safety, report.opens) == ("unknown", [])
    assert report.names == {"collections.OrderedDict": "allowed"}
    assert "its members: sys_info, pickle" in str(report)
    report = inspected(tmp_path, samples.tar()[:1000])
    assert report.structure == "damaged"


def test_pickles_behind_each_other():
    found = Findings(Path("a"))
    data = pickle.dumps(1) + pickle.dumps(samples.Runs()) + b"\xff"
    assert [part.problem != "" for part in follow_all(data, found)] == [False, False, True]
    assert list(found.names.values()) == ["dangerous"]


def test_verdicts():
    names = dict.fromkeys(("a.B", "c.D", "e.F", "g.H", "i.J"), "unknown")
    conclude(found := Findings(Path("a"), names=names), [])
    assert (found.safety, found.structure) == ("unknown", "whole")
    assert found.safety_why == "it asks for a.B, c.D, e.F, g.H and 1 more"
    conclude(found := Findings(Path("a"), opens=["import torch"]), ["a lie", "another"])
    assert (found.structure, found.structure_why) == ("damaged", "a lie; another")
    assert (found.safety, found.opens) == ("unknown", [])


def test_several_pickles_one_after_the_other_are_whole(tmp_path):
    report = inspected(tmp_path, pickle.dumps({"a": 1}) * 30)
    assert (report.structure, report.safety) == ("whole", "safe")
    assert "30 pickles stand one after the other in it" in str(report)
    assert opened(report)["content"] == {"a": 1}
    report = inspected(tmp_path, pickle.dumps({"a": 1}) * 30 + pickle.dumps(samples.Runs()))
    assert report.safety == "unsafe"
    report = inspected(tmp_path, pickle.dumps({"a": 1}) * 2 + b"junk")
    assert report.structure == "damaged"


def test_several_saves_in_the_old_format_are_whole(tmp_path):
    data = samples.legacy(samples.net().state_dict())
    report = inspected(tmp_path, data * 3)
    assert (report.structure, report.safety) == ("whole", "safe")
    assert "3 saves stand one after the other" in str(report)
    assert equal(opened(report)["state"])
    report = inspected(tmp_path, data + samples.legacy({"a": samples.Runs()}))
    assert report.safety == "unsafe"
    assert inspected(tmp_path, data * 2 + data[:-9]).structure == "damaged"


def test_numbers_in_the_old_format_are_no_pickles(tmp_path):
    """They stand where a pickle could follow the others."""
    data = samples.legacy({"a": torch.tensor([*b"]K\1\x93.", 0, 0, 0], dtype=torch.uint8)})
    report = inspected(tmp_path, data)
    assert (report.safety, report.structure) == ("safe", "whole")


def test_what_is_too_long_or_too_deep_is_not_damaged(tmp_path):
    long = pickle.dumps({"history": [{} for _ in range(800_000)]})
    report = inspected(tmp_path, long)
    assert (report.structure, report.safety) == ("unknown", "unknown")
    assert "restore" not in str(report) and report.opens == []
    deep = None
    for number in range(150):
        deep = {"next": deep, "v": number}
    report = inspected(tmp_path, pickle.dumps(deep))
    assert (report.structure, report.safety) == ("whole", "safe")


def test_a_class_that_a_bare_pickle_changes_is_unsafe(tmp_path):
    data = b"\x80\2ccollections\nCounter\nN}X\5\0\0\0totalc__builtin__\nset\ns\x86b0}."
    report = inspected(tmp_path, data)
    assert (report.safety, report.opens) == ("unsafe", [])


@pytest.mark.parametrize("dtype", [torch.float8_e5m2, torch.uint16])
def test_a_bare_pickle_of_what_torch_cannot_read_gets_no_lines(tmp_path, dtype):
    report = inspected(tmp_path, pickle.dumps({"w": torch.zeros(2).to(dtype)}))
    assert report.entries[0].dtype == str(dtype).removeprefix("torch.")
    assert report.opens == [] and "No line opens it safely." in str(report)
    assert inspected(tmp_path, pickle.dumps({"w": torch.zeros(2)})).opens


def test_what_torch_cannot_read_in_the_old_format_gets_no_lines(tmp_path):
    report = inspected(tmp_path, samples.legacy({"w": torch.ones(2).untyped_storage()}))
    assert (
        report.opens == []
        and "does not read its instructions: an untyped storage" in str(report)
    )
    content = collections.defaultdict(dict, a={"w": torch.ones(2)})
    report = inspected(tmp_path, samples.legacy(content))
    assert report.opens == [] and "items of collections.defaultdict" in str(report)


@pytest.mark.parametrize("make", [pickle.dumps, samples.legacy, samples.saved])
def test_keys_that_are_no_text_stay(make, tmp_path):
    report = inspected(tmp_path, make({0: 1, "module.w": torch.ones(2)}))
    assert opened(report)["state"].keys() == {0, "module.w"}
    report = inspected(tmp_path, make({"model": samples.wrapped("module.")}))
    assert equal(opened(report)["state"])

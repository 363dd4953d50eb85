"""Archives of torch.save: whose they are, what they hold, and the ways around a scanner."""

import collections
import io
import pickle
import time
import zipfile

import numpy as np
import pytest
import torch
import torch.package

from helpers.model_files.inspecting import inspect_file
from tests.model_files import torch_samples as samples
from tests.model_files.samples import empties
from tests.model_files.torch_samples import Runs, repacked, saved, with_pickle

EVIL = saved({"a": Runs()})
CLEAN = saved(samples.net().state_dict())
STATES = samples.states()


@pytest.fixture
def inspect(tmp_path, monkeypatch):
    """Write bytes, inspect them with every byte checked, and see that nothing ran."""
    monkeypatch.chdir(tmp_path)

    def written(data: bytes, name: str = "a.pt", verify: bool = True):
        (tmp_path / name).write_bytes(data)
        report = inspect_file(tmp_path / name, verify=verify)
        assert str(report) and report._repr_html_() and report.to_json()
        assert not (tmp_path / "EXECUTED").exists()
        return report

    return written


def opened(report) -> dict:
    """Run the lines of a report; return what they leave."""
    found = {"__name__": "copied"}
    exec("\n".join(report.opens), found)
    return found


def same(state, model=None) -> bool:
    sound = (model or samples.net()).state_dict()
    return state.keys() == sound.keys() and all(
        torch.equal(value, sound[name]) for name, value in state.items()
    )


@pytest.mark.parametrize("name", STATES)
def test_a_checkpoint_is_called_by_its_writer_and_its_lines_open_it(name, inspect):
    value, words = STATES[name]
    report = inspect(saved(value))
    assert words in str(report)
    assert (report.kind, report.safety) == ("torch zip", "safe")
    assert (report.structure, report.bytes_checked) == ("whole", "whole")
    assert opened(report)["state"].keys() == samples.net().state_dict().keys()


def test_without_verify_the_report_says_so(inspect):
    report = inspect(CLEAN, verify=False)
    assert report.bytes_checked == "bytes not checked"
    assert "structure: whole; bytes not checked" in str(report)


def test_our_own_checkpoint_with_its_seal(tmp_path, inspect):
    data = samples.ours(tmp_path)
    report = inspect(data)
    assert report.is_ == "a checkpoint of these helpers' save_checkpoint (torch zip)"
    assert report.values["epoch"] == "3"
    assert report.optimizer == 296  # two moments and a step for six parameters
    assert (report.structure, report.safety) == ("whole", "safe")
    assert opened(report)["state"].keys() == samples.net().state_dict().keys()
    at = data.find(b"FB")  # padding, which only the seal guards
    broken = data[: at + 6] + bytes([data[at + 6] ^ 1]) + data[at + 7 :]
    report = inspect(broken, verify=False)
    assert report.structure == "damaged"
    assert "are not those that were written" in report.structure_why


@pytest.mark.parametrize(
    ("prefix", "words", "is_taken_out"),
    [
        ("module.", "nn.DataParallel", True),
        ("_orig_mod.", "torch.compile", True),
        ("module._orig_mod.", "torch.compile", True),
        ("_fsdp_wrapped_module.", "FullyShardedDataParallel", True),
        ("model.", "Lightning", False),
        ("base_model.model.", "peft", False),
    ],
)
def test_what_wrappers_left_in_names(prefix, words, is_taken_out, inspect):
    report = inspect(saved({"state_dict": samples.wrapped(prefix)}))
    assert any(words in note for note in report.notes)
    state = opened(report)["state"]
    assert same(state) if is_taken_out else state.keys() == samples.wrapped(prefix).keys()


def test_a_whole_model_of_torch_layers_opens_by_naming_them(inspect):
    report = inspect(saved(samples.net()))
    assert "a whole pickled model, torch.nn.modules.container.Sequential" in report.is_
    assert report.safety == "unknown"
    assert [entry.name for entry in report.entries] == list(samples.net().state_dict())
    assert same(opened(report)["state"])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_function_without_effects_does_no_harm(activation, inspect):
    model = torch.nn.TransformerEncoderLayer(4, 2, activation=activation)
    report = inspect(saved(model))
    assert report.safety == "unknown"
    assert same(opened(report)["state"], model)


def test_a_tensor_of_several_lengths(inspect):
    parts = [torch.ones(2), torch.ones(3)]
    report = inspect(saved({"w": torch.nested.nested_tensor(parts, layout=torch.jagged)}))
    assert report.safety == "unknown"
    assert opened(report)["state"]["w"].is_nested


def test_a_whole_model_of_somebodys_class_is_opened_by_nothing(inspect):
    report = inspect(saved(samples.Own()))
    assert report.names["tests.model_files.torch_samples.Own"] == "unknown"
    assert report.opens == [] and "Ask its author for model.state_dict()" in str(report)
    report = inspect(saved({"model": samples.net(), "epoch": 2}))
    assert "a dictionary with a whole pickled model" in report.is_
    assert same(opened(report)["state"])


def test_harmless_values_of_numpy_and_argparse_are_named_to_torch(inspect):
    from argparse import Namespace

    value = {
        "model": samples.net().state_dict(),
        "best": np.float64(3),
        "args": Namespace(a=1),
    }
    report = inspect(saved(value))
    assert report.safety == "unknown"
    found = opened(report)
    assert same(found["state"]) and found["content"]["best"] == 3


VALUE = torch.arange(6.0)
MANY = {
    "model": {
        "base": VALUE,
        "tied": VALUE,
        "view": VALUE[2:5],
        "transposed": torch.arange(6).reshape(2, 3).T,
        "parameter": torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
        "float8": torch.ones(3).to(torch.float8_e4m3fn),
        "uint16": torch.ones(3, dtype=torch.uint16),
        "flags": torch.tensor([True, False]),
        "complex": torch.ones(2, dtype=torch.complex64),
        "quantized": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "sparse": torch.eye(3).to_sparse(),
        "none": torch.zeros(0, 3),
    },
    "plain": [
        1,
        -5,
        2**70,
        2**5000,
        1.5,
        "ä",
        b"x" * 300,
        (1, 2),
        None,
        {3},
        torch.Size([2]),
    ],
    "number": np.float64(3),
}


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, torch.Tensor):
        assert (one.dtype, one.layout, one.shape) == (
            other.dtype,
            other.layout,
            other.shape,
        )
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    else:
        assert one == other


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_torch_does_not_read_opens_by_its_lines(protocol, inspect):
    data = saved(MANY, pickle_protocol=protocol)
    with pytest.raises(pickle.UnpicklingError, match="Unsupported operand"):
        torch.load(io.BytesIO(data), weights_only=True)
    report = inspect(data)
    assert report.safety == "unknown" and "numpy" in report.safety_why
    assert any("does not read its instructions: " in note for note in report.notes)
    found = opened(report)
    assert_same(found["content"], MANY)
    state = found["state"]
    assert (
        state["base"].data_ptr() == state["tied"].data_ptr() == state["view"].data_ptr() - 8
    )


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_models_and_state_dicts_of_another_protocol(protocol, inspect):
    for value in (samples.net(), {"net": samples.net()}, samples.net().state_dict()):
        report = inspect(saved(value, pickle_protocol=protocol))
        assert same(opened(report)["state"])
    report = inspect(saved(samples.Own(), pickle_protocol=protocol))
    assert report.opens == [] and "No line opens it safely" in str(report)


def test_the_lines_for_another_protocol_refuse_code(inspect, tmp_path):
    report = inspect(saved({"a": 1}, pickle_protocol=4))
    (tmp_path / "a.pt").write_bytes(saved({"a": Runs()}, pickle_protocol=4))
    with pytest.raises(pickle.UnpicklingError, match=r"refused: posix\.system"):
        opened(report)


def test_bytes_in_another_order_are_left_to_torch(inspect):
    def swapped(name, data):
        return b"big" if name.endswith("byteorder") else data

    report = inspect(repacked(saved(torch.ones(2)), swapped))
    assert "big-endian" in str(report) and "torch.load" in str(report.opens)
    assert inspect(repacked(saved(torch.ones(2), pickle_protocol=4), swapped)).opens == []


def test_an_optimizer_alone_and_a_tensor_alone(inspect):
    _, optimizer = samples.trained()
    report = inspect(saved(optimizer.state_dict()))
    assert report.is_ == "an optimizer's state alone (torch zip)"
    assert report.optimizer == 296
    assert opened(report)["content"]["param_groups"]
    assert inspect(saved(torch.ones(3))).is_ == "one tensor (torch zip)"


def test_ties_views_devices_and_kinds_of_tensors(inspect):
    base = torch.arange(6.0)
    value = {
        "base": base,
        "tied": base,
        "view": base[2:5],
        "wide": torch.ones(1).expand(1000),
        "coo": torch.eye(3).to_sparse(),
        "csr": torch.eye(3).to_sparse_csr(),
        "meta": torch.empty(5, 5, device="meta"),
        "float8": torch.zeros(4).to(torch.float8_e4m3fn),
        "quantized": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "complex": torch.zeros(2, dtype=torch.complex64),
        "bfloat16": torch.nn.Parameter(torch.zeros(2, dtype=torch.bfloat16)),
        "none": torch.zeros(0, 3),
    }
    report = inspect(saved(value))
    found = {entry.name: entry for entry in report.entries}
    assert found.keys() == value.keys() and report.structure == "whole"
    for name, tensor in value.items():
        assert found[name].shape == tuple(tensor.shape), name
        assert found[name].dtype == str(tensor.dtype).removeprefix("torch."), name
    assert found["base"].storage == found["tied"].storage == found["view"].storage
    assert (found["view"].offset, found["wide"].bytes) == (2, 4)
    assert (found["meta"].device, found["meta"].bytes) == ("meta", 0)
    assert found["coo"].bytes == 3 * 4 + 2 * 3 * 8
    text = str(report)
    assert "base = tied" in text and "views of one storage: base, view" in text
    assert found["base"].strides == (1,) and found["wide"].strides == (0,)


def test_what_shares_memory_is_a_tie_only_where_it_is_the_same(inspect):
    wide, row, flat = torch.ones(2, 3), torch.ones(1, 4), torch.zeros(9)
    square = torch.ones(2, 2)
    value = {
        **{"wide": wide, "turned": wide.t()},
        **{"square": square, "transposed": square.t()},
        **{"row": row, "same row": row.as_strided((1, 4), (7, 1))},
        **{
            "left": flat[:3],
            "also left": flat[:3],
            "right": flat[3:],
        },
    }
    text = str(inspect(saved(value)))
    assert "views of one storage: wide, turned" in text
    assert "views of one storage: square, transposed" in text
    assert "row = same row" in text and "left = also left" in text
    assert "views of one storage: left, right" in text


def test_a_cuda_files_device_is_named(inspect):
    def moved(name, data):  # a longer text needs another length before it
        return data.replace(b"\x03\0\0\0cpu", b"\x06\0\0\0cuda:1")

    report = inspect(repacked(CLEAN, moved))
    assert {entry.device for entry in report.entries} == {"cuda:1"}
    assert "devices: 9 cuda:1" in str(report)


P2 = b"\x80\x02"
WAYS_AROUND = {
    "plain": EVIL,
    "protocol 4": saved(Runs(), pickle_protocol=4),
    "compressed": repacked(EVIL, compression=zipfile.ZIP_DEFLATED),
    "broken CRC": EVIL.replace(b"touch", b"tovch", 1),
    "a second pickle behind": with_pickle(P2 + b"}." + pickle.dumps(Runs(), 2)),
    "result thrown away": with_pickle(P2 + b"cos\nsystem\nX\1\0\0\0x\x85R0}."),
    "broken afterwards": with_pickle(P2 + b"cos\nsystem\nX\1\0\0\0x\x85R\xff"),
    "INST": with_pickle(P2 + b"(S'x'\nios\nsystem\n."),
    "OBJ": with_pickle(P2 + b"(cos\nsystem\nS'x'\no."),
    "extension": with_pickle(P2 + b"\x82\x01."),
    "escaped": with_pickle(P2 + b"V\\u006fs\nVsyst\\u0065m\n\x93."),
    "computed": with_pickle(
        P2
        + b"cbuiltins\nstr.join\nX\0\0\0\0](X\1\0\0\0oX\1\0\0\0se\x86RX\6\0\0\0system\x93."
    ),
    "through an attribute": with_pickle(P2 + b"ctorch.serialization\nos.system\n(tR."),
    "a submodule": with_pickle(P2 + b"casyncio.unix_events\n_UnixSelectorEventLoop\n(tR."),
    "a class that is changed": with_pickle(
        P2 + b"ctorch.nn.modules.linear\nLinear\n(N}X\7\0\0\0forwardNstb."
    ),
    "Python 2's name": with_pickle(P2 + b"c__builtin__\neval\n(tR."),
    "inside bytes": saved({"a": pickle.dumps(Runs(), 4)}),
    "inside text": saved({"a": pickle.dumps(Runs(), 0).decode()}),
    "inside inside": saved({"a": pickle.dumps(pickle.dumps(Runs()))}),
    "an archive inside": repacked(CLEAN, lambda n, d: EVIL if n.endswith("version") else d),
    "an archive behind": CLEAN + EVIL,
    "an archive before": EVIL + CLEAN,
    "another pickle": repacked(
        CLEAN, lambda n, d: pickle.dumps(Runs()) if n.endswith("byteorder") else d
    ),
    "capital letters": EVIL.replace(b"data.pkl", b"DATA.PKL"),
    "encrypted, it says": (lambda d, at: d[: at + 8] + b"\x09" + d[at + 9 :])(
        EVIL, EVIL.find(b"PK\x01\x02")
    ),
    "another name in its header": EVIL.replace(b"data.pkl", b"data.pk_", 1),
    "another method in its header": EVIL[:8] + b"\x63" + EVIL[9:],
}


@pytest.mark.parametrize("way", WAYS_AROUND)
def test_a_way_around_scanners_is_called_unsafe(way, inspect):
    report = inspect(WAYS_AROUND[way], "a.safetensors")  # a suffix proves nothing
    assert report.safety == "unsafe", str(report)
    assert "dangerous" in report.names.values()
    assert report.opens == []
    assert "weights_only=False" not in str(report)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (CLEAN + pickle.dumps(1), "something follows it"),
        (CLEAN[:-200], "archive without its end"),
        (with_pickle(b""), "its pickle is empty"),
        (with_pickle(P2 + b"}"), "its pickle cannot be followed: it breaks off at byte 3"),
        (repacked(CLEAN, lambda n, d: None if n.endswith("data/3") else d), "is missing"),
        (
            repacked(CLEAN, lambda n, d: d[:-1] if n.endswith("data/3") else d),
            "claims 16 bytes",
        ),
        (CLEAN.replace(b"archive/data/0", b"another/data/0"), "in several folders"),
        (CLEAN.replace(b"archive/data/1", b"archive/data/0"), "is there twice"),
        (CLEAN.replace(b"archive/data/0", b"archive/evil/0", 1), "has another header"),
    ],
)
def test_what_is_not_whole_is_called_damaged(data, words, inspect):
    report = inspect(data)
    assert report.structure == "damaged" and report.safety != "safe"
    assert words in str(report)
    assert report.opens == []


def test_a_flipped_bit_in_a_tensor_is_seen_by_verify_alone(inspect):
    with zipfile.ZipFile(io.BytesIO(CLEAN)) as archive:
        info = archive.getinfo("archive/data/0")
    at = CLEAN.find(samples.net()[0].weight.detach().numpy().tobytes())
    broken = CLEAN[:at] + bytes([CLEAN[at] ^ 1]) + CLEAN[at + 1 :]
    assert inspect(broken, verify=False).structure == "whole"
    report = inspect(broken)
    assert (report.structure, report.bytes_checked) == ("damaged", "damaged")
    assert f"record 'archive/data/0' of {info.file_size} bytes" in report.structure_why


def test_a_tensor_that_reaches_beyond_its_storage(inspect):
    pickled = zipfile.ZipFile(io.BytesIO(saved(torch.ones(7)))).read("archive/data.pkl")
    assert pickled.count(b"K\x07") == 2  # the storage's elements, and the shape
    at = pickled.rfind(b"K\x07")
    long = pickled[:at] + b"K\x09" + pickled[at + 2 :]
    report = inspect(with_pickle(long))
    assert (
        "'' describes no tensor: element 8 of a storage of 28 bytes" in report.structure_why
    )


def test_checksums_that_the_writer_left_out(inspect):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        data = saved(samples.net().state_dict())
    finally:
        torch.serialization.set_crc32_options(before)
    report = inspect(data)
    assert report.structure == "whole"
    assert report.bytes_checked == "no checksums: the writer left them out"


# Thousands of names of one dictionary.
ITSELF = b"".join(b"X\5\0\0\0%05dh\0" % n for n in range(20_000))


def deflated(name: str, chunk: bytes, count: int) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", P2 + b"}.")
        with archive.open(name, "w", force_zip64=True) as record:
            for _ in range(count):
                record.write(chunk)
    return file.getvalue()


def many(count: int) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("a/data.pkl", P2 + b"}.")
        for number in range(count):
            archive.writestr(f"a/data/{number}", b"")
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: deflated("a/data/0", bytes(1 << 20), 100), "to fill the memory"),
        (lambda: deflated("a/more.pkl", b"]" * (1 << 20), 80), "to fill the memory"),
        (lambda: with_pickle(P2 + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."), "300 deep"),
        (lambda: with_pickle(P2 + b")" + b"\x85" * 10**5 + b"."), "300 deep"),
        (lambda: with_pickle(P2 + b"]" + b"2\x86" * 10**4 + b"."), "300 deep"),
        (lambda: with_pickle(P2 + b"(" * 10**5 + b"."), "breaks off"),
        (lambda: with_pickle(P2 + b"\x8e" + b"\xff" * 8 + b"."), "breaks off"),
        (lambda: with_pickle(P2 + b"X\xff\xff\xff\xffabc."), "breaks off"),
        (lambda: with_pickle(P2 + b"j\xff\xff\xff\xff."), "breaks off"),
        (lambda: with_pickle(P2 + b"}r\xff\xff\xff\xff0j\xff\xff\xff\xff."), "whole"),
        (lambda: with_pickle(P2 + b"]q\0h\0a."), "whole"),
        (lambda: with_pickle(P2 + b"}q\0X\1\0\0\0ah\0s."), "the same object as another"),
        (lambda: with_pickle(P2 + b"L" + b"9" * 10**5 + b"L\n."), "a pickled int"),
        (lambda: with_pickle(P2 + b"\x8b\0\0\1\0" + bytes(1 << 16) + b"."), "pickled int"),
        (lambda: many(3_000), "whole"),
        (lambda: with_pickle(P2 + b"}q\0(" + ITSELF + b"u."), "the same object as another"),
        (lambda: with_pickle(P2 + b"}q\0(" + ITSELF + b"u}(" + ITSELF + b"u."), "whole"),
    ],
    ids=range(17),
)  # fmt: skip
def test_a_hostile_archive_ends_in_a_sentence_quickly(make, words, inspect):
    data = make()
    started = time.process_time()
    report = inspect(data)
    assert time.process_time() - started < 5
    assert words in str(report)


def test_a_pickle_of_millions_of_instructions_is_given_up(inspect):
    report = inspect(with_pickle(P2 + b"N0" * 5_100_000 + b"N."))
    assert report.structure == "unknown" and "too much to follow" in report.structure_why
    assert report.safety == "unknown" and report.opens == []
    assert "restore it" not in str(report)
    data = with_pickle(P2 + b"cos\nsystem\n" + b"}" * 700_000 + b"N.")
    assert inspect(data).safety == "unsafe"


def test_archives_in_an_archive_have_one_budget(inspect):
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("a/x.pkl", P2 + b"N0" * 600_000 + b"N.")
    with zipfile.ZipFile(outer := io.BytesIO(), "w") as archive:
        for number in range(100):
            archive.writestr(f"a/{number}.zip", file.getvalue())
    started = time.process_time()
    report = inspect(outer.getvalue())
    assert time.process_time() - started < 8
    assert (report.structure, report.safety) == ("unknown", "unknown")
    assert "what is nested in it is too much to follow" in report.structure_why


def test_an_archive_of_many_records_in_another_is_too_much(inspect):
    with zipfile.ZipFile(outer := io.BytesIO(), "w") as archive:
        archive.writestr("a/1.zip", empties((1 << 14) + 1).getvalue())
    report = inspect(outer.getvalue())
    assert (report.structure, report.safety) == ("unknown", "unknown")
    assert report.structure_why == "its 16,385 records are too much to follow"
    report = inspect(empties(260_000).getvalue())
    assert (report.structure, report.safety) == ("unknown", "unknown")
    assert report.safety_why == "its 260,000 records are too much to follow"
    assert "restore" not in str(report)


@pytest.mark.parametrize("depth", [55, 140])
def test_a_model_of_many_levels_is_whole(depth, inspect):
    model = torch.nn.Linear(1, 1)
    for _ in range(depth):
        model = torch.nn.Sequential(model)
    report = inspect(saved(model))
    assert (report.structure, len(report.entries)) == ("whole", 2)
    assert same(opened(report)["state"], model)


def test_a_name_cannot_steer_the_terminal_or_the_notebook(inspect):
    report = inspect(saved({"\x1b[31mred\n<script>": torch.ones(1), "\ud800": "\x07"}))
    assert "\x1b" not in str(report) and "\\x1b[31mred" in str(report)
    assert "<script>" not in report._repr_html_()
    str(report).encode("utf-8")


def test_an_archive_of_something_else(inspect):
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("readme.txt", "hello")
    report = inspect(file.getvalue())
    assert (report.kind, report.safety) == ("zip", "unknown")
    assert report.is_ == "a zip archive, but not of torch"


def test_items_that_torch_does_not_add_are_added_by_the_lines(inspect):
    content = collections.defaultdict(dict, model=samples.net().state_dict())
    report = inspect(saved(content))
    assert same(opened(report)["state"])


def test_an_archive_of_torch_package(inspect):
    with torch.package.PackageExporter(file := io.BytesIO()) as exporter:
        exporter.save_pickle("model", "model.pkl", {"w": torch.ones(2)})
    report = inspect(file.getvalue())
    assert (report.kind, report.is_) == ("torch.package", "an archive of torch.package")
    assert (report.safety, report.structure) == ("unknown", "whole")
    assert "it is a program" in report.safety_why

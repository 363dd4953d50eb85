"""Tensors and values in what a pickle makes."""

import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.model_files.following import follow
from helpers.model_files.judging import HostileError, bytes_of
from helpers.model_files.pickle_instructions import Made
from helpers.model_files.pickled_containers import pairs
from helpers.model_files.pickled_tensors import dtype_of, read_content
from helpers.model_files.torch_archives import read_directory, read_record
from helpers.model_files.verdicts import Findings
from tests.model_files import torch_samples as samples


def content(value):
    import io

    file = io.BytesIO(samples.saved(value))
    main = next(r for r in read_directory(file)[0] if r.name.endswith("data.pkl"))
    return read(follow(read_record(file, main)).value)


def read(value):
    """Return the findings, with what is wrong beside them."""
    found = Findings(Path("a.pt"))
    found.wrong = read_content(value, found)[1]
    return found


DTYPES = {
    value for name, value in vars(torch).items() if isinstance(value, torch.dtype)
} - {torch.quint4x2, torch.quint2x4, torch.qint8, torch.quint8, torch.qint32}


@pytest.mark.parametrize("dtype", sorted(DTYPES, key=str), ids=str)
def test_each_dtype_has_its_bytes(dtype):
    try:
        tensor = torch.empty(3, dtype=dtype)
        found = content(tensor)
    except (RuntimeError, NotImplementedError, KeyError, TypeError):
        assert str(dtype).startswith(
            ("torch.bits", "torch.int", "torch.uint", "torch.float4")
        )
        return  # torch cannot save it
    (entry,) = found.entries
    assert entry.dtype == str(dtype).removeprefix("torch.")
    assert entry.bytes == 3 * dtype.itemsize and found.wrong == []
    assert bytes_of(entry.dtype, 1) == dtype.itemsize


STORAGES = {kind for kind in torch._storage_classes if kind is not torch.TypedStorage}


@pytest.mark.parametrize("kind", sorted(STORAGES, key=str), ids=lambda kind: kind.__name__)
def test_each_storage_of_torch_has_the_dtype_of_its_elements(kind):
    dtype = getattr(kind, "_dtype", torch.uint8)
    found = dtype_of(f"{kind.__module__}.{kind.__name__}")
    assert f"torch.{found}" == str(dtype) and bytes_of(found, 1) == dtype.itemsize


def test_a_parameter_with_attributes_and_nested_containers():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.note = "mine"
    found = content({"a": [parameter, {"b": (torch.zeros(3),)}]})
    assert [(e.name, e.shape) for e in found.entries] == [("a.0", (2,)), ("a.1.b.0", (3,))]


def test_an_ordered_dict_of_python_2():
    old = Made("collections.OrderedDict", ([["a", 1], ("b", 2), "no pair"],))
    assert pairs(old) == [("a", 1), ("b", 2)]


def test_what_lies_is_named_and_the_rest_is_read():
    state = samples.net().state_dict()
    found = follow(pickle.dumps({"a": 1})).value
    assert read(found).values == {"a": "1"}
    storage = Made("(a storage)", ("storage", Made("torch.FloatStorage"), "0", "cpu", 4))
    rebuild = "torch._utils._rebuild_tensor_v2"
    lies = {
        "offset": (storage, -1, (2,), (1,)),
        "shape": (storage, 0, (5,), (1,)),
        "negative": (storage, 0, (-2,), (1,)),
        "stride": (storage, 0, (2,), (9,)),
        "text": (storage, 0, "ab", (1,)),
        "short": (storage, 0),
        "unequal": (storage, 0, (2,), (1, 1)),
        "storage": (7, 0, (2,), (1,)),
        "huge": (storage, 0, (10**30,), (1,)),
    }
    items = [x for name, args in lies.items() for x in (name, Made(rebuild, args))]
    items += ["sound", Made(rebuild, (storage, 0, (4,), (1,)))]
    found = read(Made("dict", (), items=items))
    assert [entry.name for entry in found.entries] == ["sound"]
    assert len(found.wrong) == len(lies) and len(state)


def test_what_has_thousands_of_names_is_looked_into_once():
    started = time.process_time()
    numbers, made = list(range(100_000)), Made("my.Own", (tuple(range(100_000)),))
    for value in (numbers, made, Made("dict", (), items=numbers)):
        found = read([value] * 100_000)
        assert len(found.values) == 60 and not found.wrong
    lie = Made("torch._utils._rebuild_tensor_v2", (made, 0, tuple(numbers), ()))
    assert len(read([lie] * 10_000).wrong) == 10
    assert time.process_time() - started < 3


def test_more_tensors_than_any_model_has_are_refused(monkeypatch):
    monkeypatch.setattr("helpers.model_files.judging.MOST_ENTRIES", 3)
    with pytest.raises(HostileError, match="it lists more than 3 tensors"):
        content([torch.ones(1)] * 4)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 1000, "'" + "x" * 239 + "..."),
        (b"abc", "bytes of 3"),
        ([1, 2], "list of 2"),
        (1.5, "1.5"),
        (pickle.PickleError, "<_pickle.PickleError>"),
    ],
)
def test_values_in_a_few_characters(value, text):
    assert read(follow(pickle.dumps({"a": value})).value).values == {"a": text}


def test_arrays_of_numpy_are_tensors():
    arrays = {"a": np.ones((3, 2), "f4"), "b": np.zeros(5, "?"), "c": np.ones((), ">i8")}
    arrays |= {"d": np.array(["ab"]), "e": np.ones((2, 2), "c8"), "f": np.array([{}])}
    for protocol in range(5):
        found = read(follow(pickle.dumps(arrays, protocol)).value)
        assert [(e.name, e.shape, e.dtype, e.bytes) for e in found.entries] == [
            ("a", (3, 2), "float32", 24),
            ("b", (5,), "bool", 5),
            ("c", (), "int64", 8),
            ("d", (1,), "U2", 8),
            ("e", (2, 2), "complex64", 32),
        ]
        assert (found.held, found.wrong) == (77, [])


def test_a_view_that_keeps_a_large_storage_is_named():
    base = torch.zeros(1000)
    found = content({"a": base[:3], "b": torch.ones(10)[:2], "c": torch.ones(500)})
    words = "'a' shows 12 bytes of a storage of 4000: saved as a clone, it would be small."
    assert found.notes == [words]
    assert content({"a": base, "b": base[:3]}).notes == []
    # What is told twice is not held twice, and others' bytes do not hide it.
    tied = {name: base[:300] for name in "abcd"} | {"e": torch.ones(5000)[:4999]}
    (note,) = content(tied | {f"f{i}": torch.ones(9) for i in range(9)}).notes
    assert note.startswith("'a' shows 1200 bytes of a storage of 4000")
    words = "'a' and 1 more show 24 bytes of a storage of 4000: saved as clones, they would"
    assert content({"a": base[:3], "b": base[3:6]}).notes == [f"{words} be small."]
    arrays = {"n": np.ones(10_000), "a": base[:3]}
    assert len(content(arrays).notes) == 1
    assert (
        content({"a": torch.ones(1).expand(5000), "s": torch.eye(900).to_sparse()}).notes
        == []
    )

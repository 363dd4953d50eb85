"""Read an ONNX file field by field: what it takes and gives, its weights, where they are.

The numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

Save, Load, Ship 0.2.0: helpers/model_files/onnx_models.py · repairs: CHANGELOG.md
"""

import math
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.judging import (
    FETCH,
    MOST_FILES,
    HostileError,
    add_entry,
    bytes_of,
    inside,
)
from helpers.model_files.protobuf import SPAN, Field, Messages
from helpers.model_files.verdicts import Findings, TensorEntry

_DEEPEST, _MOST_DIMS, _MOST_VALUES = 40, 64, 10_000
_WORDS = """? float32 uint8 int8 uint16 int16 int32 int64 string bool float16 float64
    uint32 uint64 complex64 complex128 bfloat16 float8_e4m3fn float8_e4m3fnuz float8_e5m2
    float8_e5m2fnuz uint4 int4 float4_e2m1fn float8_e8m0fnu uint2 int2 float6_e2m3fn
    float6_e3m2fn"""
_DTYPES = dict(enumerate(_WORDS.split()))
# Where a tensor's elements stand if not in raw_data -> bytes of each, 0 for varints.
_FLOATS, _STRINGS, _DOUBLES = 4, 6, 10
_DATA = {_FLOATS: 4, 5: 0, _STRINGS: 0, 7: 0, _DOUBLES: 8, 11: 0}
_TYPES = {4: "a sequence", 5: "a map", 8: "a sparse tensor", 9: "optional"}
# What stands in the fields of a model, a graph, a function and a node's attribute.
_MODEL = {1: "ir_version", 2: "producer", 3: "producer_version", 4: "domain"}
_MODEL |= {6: "description"}
_GRAPH = {1: "node", 5: "tensor", 11: "input", 12: "output", 15: "sparse"}
_ATTRIBUTE = dict.fromkeys((5, 10), "tensor") | dict.fromkeys((22, 23), "sparse")
_ATTRIBUTE |= {6: "graph", 11: "graph"}


def read_onnx(path: Path, file: BinaryIO, findings: Findings, verify: bool) -> None:
    """Fill in what an ONNX file holds; payloads are skipped, not read.

    Raises:
        HostileError: it names a file outside its folder, or holds more than any model.
        ValueError: it is cut off, or no protobuf.

    >>> import io
    >>> read_onnx(Path("a"), io.BytesIO(b"\\x08\\x0a"), found := Findings(Path("a")), False)
    >>> found.values
    {'ir_version': '10', 'opsets': '', 'operators': ''}
    """
    reader = _Reader(file, findings)
    reader.model()
    if len(reader.needed) > MOST_FILES:
        raise HostileError(f"it names more than {MOST_FILES:,} files of weights")
    for name, least in reader.needed.items():
        beside = inside(path.parent, name)
        if beside is None:
            findings.notes.append(FETCH)
            raise ValueError(f"its weights are in {name!r}, which is not beside it")
        size = beside.stat().st_size
        if size < least:
            raise ValueError(f"{name!r} has {size:,} bytes, and its weights need {least:,}")
        findings.size += size
        findings.notes.append(f"Weights are in {name}, {size:,} bytes: keep it beside.")


class _Reader(Messages):
    def __init__(self, file: BinaryIO, findings: Findings):
        super().__init__(file)
        self.findings = findings
        self.operators, self.counts = Counter[str](), Counter[str]()
        self.needed: dict[str, int] = {}  # file of weights -> bytes that it must have
        self.inputs: dict[str, str] = {}

    def pair(self, at: Field) -> tuple[str, str]:
        found = self.pick(at, 1, 2)
        return self.text(found[1]), self.text(found[2])

    def model(self) -> None:
        values = self.findings.values
        found = self.pick(self.whole, *_MODEL, 7, 8, 14, 25)
        for number, name in _MODEL.items():
            if found[number]:
                values[name] = self.text(found[number])[:200]
        for key, value in map(self.pair, found[14]):
            values[f"metadata {key[:200]}"] = value[:200]
        for graph in found[7]:
            self.graph(graph, "", 0, _GRAPH)
        for i, function in enumerate(found[25], 1):
            self.counts["Functions in it"] = i
            self.graph(function, f"function {i}/", 0, {7: "node"})
        held = {entry.name for entry in self.findings.entries}  # old files list them, too
        for name, what in self.inputs.items():
            if name not in held:
                values[f"input {name}"] = what
        opsets = dict(map(self.pair, found[8])).items()
        values["opsets"] = ", ".join(f"{name or 'ai.onnx'} {n}" for name, n in opsets)
        common = self.operators.most_common(40)
        values["operators"] = ", ".join(f"{name} {n}" for name, n in common)
        counts = self.counts.most_common(20)
        self.findings.notes += [f"{what}: {count}." for what, count in counts]
        foreign = {name.rpartition(".")[0] for name in self.operators if "." in name}
        if foreign:
            self.findings.notes.append(
                f"It needs operators of {', '.join(sorted(foreign)[:9])}, unless functions "
                "in it define them: a library of operators is code that you install."
            )

    def graph(self, at: Field, prefix: str, depth: int, roles: dict[int, str]) -> None:
        if depth > _DEEPEST:
            raise HostileError("its graphs are nested too deeply")
        for field in self.fields(at):
            role = roles.get(field.number)
            if role == "node":
                self.node(field, prefix, depth)
            elif role in ("tensor", "sparse"):
                if prefix:
                    self.counts["Weights in subgraphs"] += 1
                self.weight(role, field, prefix)
            elif role and not prefix:
                self.place(role, field)

    def node(self, at: Field, prefix: str, depth: int) -> None:
        found = self.pick(at, 2, 3, 4, 5, 7)
        output, name = self.text(found[2][:1]), self.text(found[3])
        operator, domain = self.text(found[4])[:200], self.text(found[7])[:200]
        is_own = domain in ("", "ai.onnx")
        self.operators[operator if is_own else f"{domain}.{operator}"] += 1
        if len(self.operators) > _MOST_VALUES:
            raise HostileError("it has more operators than any model")
        for attribute in found[5]:
            for field in self.fields(attribute):
                role = _ATTRIBUTE.get(field.number)
                if role == "graph":
                    self.graph(field, f"{prefix}{name or output}/", depth + 1, _GRAPH)
                elif role:  # a node's tensor is known by the node's output
                    self.counts[f"Weights in {operator} nodes"] += 1
                    self.weight(role, field, prefix, output)

    def weight(self, role: str, at: Field, prefix: str, name: str = "") -> None:
        if role == "sparse":  # its values, and their places
            for parts in self.pick(at, 1, 2).values():
                for part in parts:
                    self.weight("tensor", part, prefix, name)
            return
        found = self.pick(at, 1, 2, 8, 9, 13, 14)
        # Those of 64 bits with the highest set are negative.
        numbers = (n - (n >> 63 << 64) for n in self.numbers(found[1]))
        shape = tuple(islice(numbers, _MOST_DIMS + 1))
        if len(shape) > _MOST_DIMS:
            raise HostileError(f"a tensor has more than {_MOST_DIMS} axes")
        kind = found[2][-1].value if found[2] else 0
        name = name or self.text(found[8])
        if min(shape, default=0) < 0:
            raise ValueError(f"tensor {name[:99]!r} has an axis of {min(shape)}")
        dtype = _DTYPES.get(kind, f"type {kind}")
        takes = bytes_of(dtype, math.prod(shape)) if kind in _DTYPES and kind != 8 else 0
        held = sum(field.stop - field.value for field in found[9][-1:])
        if self.text(found[14]) == "1":  # beside the file
            place = {"location": "", "offset": "0", "length": str(takes)}
            place |= dict(map(self.pair, found[13]))
            start, length = int(place["offset"]), int(place["length"])
            if start < 0 or length < takes:
                raise ValueError(f"tensor {name!r} takes {takes} bytes, {length} are named")
            least = max(self.needed.get(place["location"], 0), start + length)
            self.needed[place["location"]] = least
        elif found[9] and held != takes:
            raise ValueError(f"tensor {name!r} takes {takes} bytes, and {held} are there")
        elif not found[9] and kind in _DTYPES.keys() - {0}:
            there, elements = self.elements(at), math.prod(shape)
            there = there // 2 if dtype.startswith("complex") else there
            # Those of fewer than 8 bits are packed.
            if there not in (elements, *[takes] * (takes < elements and kind != 8)):
                what = f"tensor {name[:99]!r} has {elements} elements"
                raise ValueError(f"{what}, and {there} are there")
        add_entry(self.findings, TensorEntry(f"{prefix}{name}", shape, dtype, takes))

    def elements(self, at: Field) -> int:
        """Return how many elements stand in a tensor's fields of typed data."""
        count = 0
        for field in self.fields(at):
            if field.number in _DATA:
                is_one = field.wire != SPAN or field.number == _STRINGS
                width = _DATA[field.number]
                size = field.stop - field.value
                count += 1 if is_one else size // width if width else self.ends(field)
        return count

    def place(self, role: str, at: Field) -> None:
        """Note an input or output, and its type in words."""
        found, what = self.pick(at, 1, 2), "of any type"
        for kind in found[2]:
            for part in self.fields(kind):
                what = _TYPES.get(part.number, what)
                if part.number == 1:
                    what = self.tensor_type(part)
        name, values = self.text(found[1])[:200], self.findings.values
        if role == "input":
            self.inputs[name] = what
        else:
            values[f"output {name}"] = what
        if len(self.inputs) + len(values) > _MOST_VALUES:
            raise HostileError("it lists more inputs and outputs than any model")

    def tensor_type(self, at: Field) -> str:
        found = self.pick(at, 1, 2)
        dtype = _DTYPES.get(found[1][-1].value, "?") if found[1] else "?"
        if not found[2]:
            return dtype
        axes = self.pick(found[2][-1], 1)[1]
        if len(axes) > _MOST_DIMS:
            raise HostileError(f"an input has more than {_MOST_DIMS} axes")
        sizes = [self.pick(axis, 1, 2) for axis in axes]  # a number, or the name of one
        shown = [self.text(size[1] + size[2]) or "?" for size in sizes]
        return f"{dtype} [{', '.join(shown)}]"

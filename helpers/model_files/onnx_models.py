"""Read an ONNX file field by field: what it takes and gives, its weights, where they are.

The numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

Save, Load, Ship 0.2.0: helpers/model_files/onnx_models.py · repairs: CHANGELOG.md
"""

import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.file_findings import SAFE, Findings, TensorEntry
from helpers.model_files.judging import HostileError, bytes_of, inside, keep
from helpers.model_files.protobuf import SPAN, VARINT, Field, fields, text, varint
from helpers.model_files.safetensors_files import NO_CHECKSUMS

_OWN = ("", "ai.onnx")
_DEEPEST, _MOST_DIMS, _MOST_VALUES, _MOST_FIELDS = 40, 64, 10_000, 5_000_000
_WORDS = """? float32 uint8 int8 uint16 int16 int32 int64 string bool float16 float64
    uint32 uint64 complex64 complex128 bfloat16 float8_e4m3fn float8_e4m3fnuz float8_e5m2
    float8_e5m2fnuz uint4 int4 float4_e2m1fn float8_e8m0fnu uint2 int2 float6_e2m3fn
    float6_e3m2fn"""
_DTYPES = dict(enumerate(_WORDS.split()))


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
    findings.safety = SAFE
    findings.safety_why = "a graph of operators: it names them, and holds no code"
    findings.opens = [
        "import onnxruntime",
        f"session = onnxruntime.InferenceSession({str(path)!r})",
    ]
    _Reader(path, file, findings).model()
    if verify:
        findings.bytes_checked = NO_CHECKSUMS


class _Reader:
    def __init__(self, path: Path, file: BinaryIO, findings: Findings):
        self.file, self.folder, self.findings = file, path.parent, findings
        self.operators: Counter[str] = Counter()
        self.needed: dict[str, int] = {}  # file of weights -> bytes that it must have
        self.inputs: dict[str, str] = {}
        self.read, self.counts = 0, Counter[str]()

    def parts(self, at: Field) -> Iterator[Field]:
        if at.wire != SPAN:
            raise ValueError(f"field {at.number} at byte {at.value} is not a message")
        for field in fields(self.file, at.value, at.stop):
            self.read += 1
            if self.read > _MOST_FIELDS:
                raise HostileError(f"it has more than {_MOST_FIELDS:,} fields")
            yield field

    def texts(self, at: Field) -> dict[int, str | int]:
        """Return the fields of a small message, texts as such."""
        found = {field.number: field for field in self.parts(at) if field.number < 9}
        return {
            number: field.value if field.wire == VARINT else text(self.file, field)
            for number, field in found.items()
        }

    def model(self) -> None:
        values, notes, opsets = self.findings.values, self.findings.notes, {}
        names = {2: "producer", 3: "producer_version", 4: "domain", 6: "description"}
        for field in self.parts(Field(0, SPAN, 0, self.file.seek(0, os.SEEK_END))):
            if field.number == 1:
                values["ir_version"] = str(field.value)
            elif field.number in names:
                values[names[field.number]] = text(self.file, field)[:200]
            elif field.number == 7:
                self.graph(field, "", 0)
            elif field.number == 8:
                opset = self.texts(field)
                opsets[opset.get(1) or "ai.onnx"] = opset.get(2, 0)
            elif field.number == 14 and len(values) < _MOST_VALUES:
                entry = self.texts(field)
                values[f"metadata {str(entry.get(1))[:200]}"] = str(entry.get(2, ""))[:200]
            elif field.number == 25:
                self.counts["Functions in it"] += 1
                self.graph(field, f"function {self.counts['Functions in it']}/", 0, nodes=7)
        held = {entry.name for entry in self.findings.entries}  # old files list them, too
        inputs = {
            f"input {name}": what for name, what in self.inputs.items() if name not in held
        }
        values |= inputs
        values["opsets"] = ", ".join(
            f"{name} {version}" for name, version in opsets.items()
        )
        values["operators"] = ", ".join(
            f"{n} {k}" for n, k in self.operators.most_common(40)
        )
        notes += [f"{what}: {count}." for what, count in self.counts.most_common(20)]
        foreign = {name.rpartition(".")[0] for name in self.operators if "." in name}
        if foreign:
            notes.append(
                f"It needs operators of {', '.join(sorted(foreign)[:9])}, unless functions "
                "in it define them: a library of operators is code that you install."
            )
        for name, least in self.needed.items():
            self.beside(name, least)

    def beside(self, name: str, least: int) -> None:
        path = inside(self.folder, name)
        if path is None:
            raise ValueError(f"its weights are in {name!r}, which is not beside it")
        size = path.stat().st_size
        if size < least:
            raise ValueError(f"{name!r} has {size:,} bytes, and its weights need {least:,}")
        self.findings.size += size
        self.findings.notes.append(
            f"Weights are in {name}, {size:,} bytes: keep it beside."
        )

    def graph(self, at: Field, prefix: str, depth: int, nodes: int = 1) -> None:
        if depth > _DEEPEST:
            raise HostileError("its graphs are nested too deeply")
        for field in self.parts(at):
            if field.number == nodes:
                self.node(field, prefix, depth)
            elif nodes == 1 and field.number in (5, 15):
                if prefix:
                    self.counts["Weights in subgraphs"] += 1
                for part in (field,) if field.number == 5 else self.parts(field):
                    if part.wire == SPAN and part.number in (1, 2, 5):
                        self.tensor(part, prefix)
            elif nodes == 1 and field.number in (11, 12) and not prefix:
                name, what = self.place(field)
                if field.number == 11:
                    self.inputs[name[:200]] = what
                else:
                    self.findings.values[f"output {name[:200]}"] = what
                if len(self.inputs) + len(self.findings.values) > _MOST_VALUES:
                    raise HostileError("it lists more inputs and outputs than any model")

    def node(self, at: Field, prefix: str, depth: int) -> None:
        operator = domain = name = output = ""
        attributes = []
        for field in self.parts(at):
            if field.number == 2:
                output = output or text(self.file, field)
            elif field.number == 3:
                name = text(self.file, field)
            elif field.number == 4:
                operator = text(self.file, field)[:200]
            elif field.number == 7:
                domain = text(self.file, field)[:200]
            elif field.number == 5:
                attributes.append(field)
        if len(self.operators) + len(attributes) > _MOST_VALUES:
            raise HostileError("it has more operators or attributes than any model")
        self.operators[operator if domain in _OWN else f"{domain}.{operator}"] += 1
        for attribute in attributes:
            for field in self.parts(attribute):
                if field.number in (5, 10, 22, 23):  # 10, 23: lists; 22, 23: sparse
                    self.counts[f"Weights in {operator} nodes"] += 1
                if field.number in (5, 10):
                    self.tensor(field, prefix, output)
                elif field.number in (6, 11):
                    self.graph(field, f"{prefix}{name or output}/", depth + 1)
                elif field.number in (22, 23):
                    for part in self.parts(field):
                        if part.number in (1, 2):
                            self.tensor(part, prefix, output)

    def tensor(self, at: Field, prefix: str, name: str = "") -> None:
        shape: list[int] = []
        kind, held, where, place = 0, None, "", {}
        for field in self.parts(at):
            if field.number == 1 and field.wire == VARINT:
                shape.append(field.value)
            elif field.number == 1:
                self.file.seek(field.value)
                data, i = self.file.read(min(field.stop - field.value, 1024)), 0
                while i < len(data):
                    number, i = varint(data, i)
                    shape.append(number)
            elif field.number == 2:
                kind = field.value
            elif field.number == 8:
                # A node's tensor is known by the node's output.
                name = name or text(self.file, field)
            elif field.number == 9:
                held = field.stop - field.value
            elif field.number == 13:
                entry = self.texts(field)
                if entry.get(1) in ("location", "offset", "length"):
                    place[entry[1]] = str(entry.get(2, ""))
            elif field.number == 14:
                where = "beside" if field.value == 1 else ""
            if len(shape) > _MOST_DIMS:
                raise HostileError(f"tensor {name!r} has more than {_MOST_DIMS} axes")
        dtype = _DTYPES.get(kind, f"type {kind}")
        takes = bytes_of(dtype, math.prod(shape)) if kind in _DTYPES and kind != 8 else 0
        if where:
            start, length = int(place.get("offset", 0)), int(place.get("length", takes))
            location = place.get("location", "")
            if start < 0 or length < takes:
                raise ValueError(f"tensor {name!r} takes {takes} bytes, {length} are named")
            self.needed[location] = max(self.needed.get(location, 0), start + length)
        elif held is not None and held != takes:
            raise ValueError(f"tensor {name!r} takes {takes} bytes, and {held} are there")
        keep(self.findings, TensorEntry(f"{prefix}{name}", tuple(shape), dtype, takes))

    def place(self, at: Field) -> tuple[str, str]:
        """Return the name of an input or output, and its type in words."""
        name, what = "", "of any type"
        kinds = {4: "a sequence", 5: "a map", 8: "a sparse tensor", 9: "optional"}
        for field in self.parts(at):
            if field.number == 1:
                name = text(self.file, field)
            for part in self.parts(field) if field.number == 2 else ():
                what = kinds.get(part.number, what)
                if part.number == 1:
                    what = self.tensor_type(part)
        return name, what

    def tensor_type(self, at: Field) -> str:
        dtype, axes = "?", None
        for field in self.parts(at):
            if field.number == 1:
                dtype = _DTYPES.get(field.value, "?")
            elif field.number == 2:
                axes = []
                for axis in self.parts(field):
                    found = self.texts(axis) if axis.number == 1 else {}
                    axes.append(str(found.get(1, found.get(2, "?"))))
                    if len(axes) > _MOST_DIMS:
                        raise HostileError(f"an input has more than {_MOST_DIMS} axes")
        return dtype if axes is None else f"{dtype} [{', '.join(axes)}]"

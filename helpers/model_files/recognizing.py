"""What is at a path, by its first and last bytes, whatever its suffix says.

Save, Load, Ship 0.2.0: helpers/model_files/recognizing.py · repairs: CHANGELOG.md
"""

import os
import re
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from helpers.model_files.following import follow
from helpers.model_files.protobuf import SPAN, VARINT, Messages
from helpers.model_files.wording import MAGIC, MEMBERS, RECORDS, WORDS

_HEAD, _TAIL, _DIRECTORY = 4096, 22 + 65535, 32 << 20
_MARKS = {name for _, name in RECORDS}
_LEGACY = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # the number that torch.save began with
# ONNX: the wire type of each field of a ModelProto that may stand before the graph.
_ONNX = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), SPAN)
_GRAPH = 7
# Instructions of a pickle that end with their line; or the end.
_LINES = {b"", *(bytes([byte]) for byte in b"FILSVcigpP")}
_REFUSAL = (
    r"access denied|not found|unauthori[sz]ed|forbidden|invalid (user|cred)|rate.?limit"
    r'|quota|too many requests|(bad|internal|service) \w+|"(error|message|detail)"\s*:'
)


@dataclass(frozen=True)
class Recognized:
    """What a path holds, and what to do with it.

    Attributes:
        kind: a key of `wording.WORDS`, stable.
        is_: the same as a reader says it: "a safetensors file".
        next_step: what a person does next.
        evidence: why it is taken for that.

    >>> print(Recognized("onnx", "an ONNX model", "run it", "its fields"))
    an ONNX model: run it
    """

    kind: str
    is_: str
    next_step: str
    evidence: str

    def __str__(self) -> str:
        """Return what it is and the next step, as the end of a sentence."""
        return f"{self.is_}: {self.next_step}"


def recognize(path: str | os.PathLike, file: BinaryIO | None = None) -> Recognized:
    """Say what is at a path; little of it is read, and nothing is waited for.

    Args:
        path: a file or folder.
        file: the same file where it is open already; its position moves.

    Raises:
        FileNotFoundError, PermissionError: it cannot be opened.

    >>> from io import BytesIO
    >>> print(recognize("model.pt", BytesIO(b"version https://git-lfs.github.com/spec/v1")))
    a Git LFS pointer: fetch the file with `git lfs pull`
    """
    path = Path(path)
    if file is not None:
        return _by_bytes(path, file)
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        found = (line for line in MEMBERS if next(path.glob(line[1]), None) is not None)
        kind, name = next(found, ("folder", ""))
        return _say(kind, f"{name} is in it" if name else "the file system says so")
    if not stat.S_ISREG(mode):
        return _say("no file", "the file system says so")
    with open_now(path) as opened:
        return _by_bytes(path, opened)


def open_now(path: Path) -> BinaryIO:
    """Open a file to be read; a pipe that has just taken its place is not waited for.

    >>> open_now(Path(__file__)).close()
    """
    waits = getattr(os, "O_NONBLOCK", 0)
    return open(path, "rb", opener=lambda p, flags: os.open(p, flags | waits))


def _say(kind: str, evidence: str, detail: str = "") -> Recognized:
    is_, next_step = WORDS[kind]
    return Recognized(kind, is_.replace("{}", detail), next_step, evidence)


def _by_bytes(path: Path, file: BinaryIO) -> Recognized:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    begins = f"it begins with {head[:16]!r}"
    if not head:
        return _say("empty", "it has 0 bytes")
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return _say(*_zip(file, tail, size))
    for start, magic, kind, detail in MAGIC:
        if head.startswith(magic, start):
            return _say(kind, begins, detail)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        with suppress(UnicodeDecodeError):
            words = head[: len(head) & ~1].decode("utf-16")
            if "\0" not in words:
                return _say(
                    "utf-16", begins, f"beginning {words[:60].partition(chr(10))[0]!r}"
                )
    plausible = path.suffix == ".safetensors" or head[6:8] == b"\0\0"
    if head[8:9] == b"{" and head[9:10] in b'"} \t\r\n' and plausible:
        return _say("safetensors", "a length and a JSON header at its beginning")
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return _say("legacy torch" if _LEGACY in head[:64] else "pickle", begins)
    is_text = not re.search(rb"[^\t\n\f\r\x1b -~\x80-\xff]", head + tail)
    if not is_text and (kind := _protobuf(Messages(file))):
        return _say(kind, "its fields are those of the format's protobuf")
    if _is_pickle(head, is_text):
        return _say("pickle", "its first instructions are a pickle's, of an old protocol")
    if not any(head) and not any(tail):
        return _say("zeros", begins)
    return (is_text and _text(head, tail)) or _say("unknown", begins, repr(head[:16]))


def _zip(file: BinaryIO, tail: bytes, size: int) -> tuple[str, str]:
    # Only the names: their reader looks at the rest, and takes its time.
    end, found, are_arrays, at = tail.rfind(b"PK\5\6"), set(), True, 0
    length, comment = int.from_bytes(tail[end + 12 : end + 16], "little"), tail[end + 20 :]
    if end < 0 or int.from_bytes(comment[:2], "little") > len(comment) - 2:
        return "cut zip", "it begins as a zip archive, and has no directory at its end"
    if is_large := tail.startswith(b"PK\6\7", end - 20):
        length = int.from_bytes(tail[end - 36 : end - 28], "little")
    stop = size - len(tail) + end - 76 * is_large
    file.seek(max(0, stop - length))
    directory = file.read(min(length, _DIRECTORY))
    while directory.startswith(b"PK\1\2", at) and at + 46 <= len(directory):
        lengths = struct.unpack_from("<3H", directory, at + 28)
        name = directory[at + 46 : at + 46 + lengths[0]].decode("utf-8", "replace")
        found |= {name, name.partition("/")[2]} & _MARKS  # torch's archives have a folder
        are_arrays = are_arrays and name.endswith(".npy")
        at += 46 + sum(lengths)
    for kind, name in RECORDS:
        if name in found:
            return kind, f"its archive holds {name!r}"
    if length and not at:
        return "cut zip", "its directory is damaged"
    if length and are_arrays:
        return "npz", "its archive holds .npy files alone"
    return "zip", "its archive holds no record of a known kind"


def _protobuf(messages: Messages) -> str:
    """Return "onnx" or "core ml" where the outermost fields are those, else ""."""
    seen: set[int] = set()
    try:
        for field in islice(messages.fields(messages.whole), 1000):
            if field.number >= 200 and field.wire == SPAN and {1, 2} <= seen:
                return "core ml"
            if _ONNX.get(field.number) != field.wire:
                return ""
            seen.add(field.number)
    except ValueError as error:  # cut off, perhaps inside the graph
        if seen and f"field {_GRAPH} ends" in str(error):
            seen.add(_GRAPH)
    return "onnx" if _GRAPH in seen else ""


def _text(head: bytes, tail: bytes) -> Recognized | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return _say("web page", f"it begins with {start[:16]!r}")
    try:
        words = head.decode("utf-8", "strict" if len(head) < _HEAD else "ignore").strip()
    except UnicodeDecodeError:
        return None
    first = f"beginning {words[:60].partition(chr(10))[0]!r}"
    evidence = "it is plain text"
    if start.startswith(b"{") and b'"weight_map"' in head + tail:
        return _say("shard index", 'a JSON file with a "weight_map"')
    if len(head) < _HEAD and re.search(_REFUSAL, words[:400], re.IGNORECASE):
        return _say("server error", evidence, first)
    is_json = re.match(rb'[{[]\s*["{[\]}\d-]', start)
    return _say("json" if is_json else "text", evidence, first)


def _is_pickle(head: bytes, is_text: bool) -> bool:
    followed = follow(head)
    if followed.problem:  # cut off with the head, or no pickle
        rest = head[followed.end :]
        # No instruction that is not a line or a text is longer than 9 bytes.
        is_cut = len(rest) <= 9 or (rest[:1] in _LINES and b"\n" not in rest)
        if len(head) < _HEAD or not is_cut:
            return False
    # Letters are instructions, too: of text, names or a container are asked for.
    are_names = all(map(str.isidentifier, ".".join(followed.names).split(".")))
    is_likely = not is_text or are_names or head[:1] in (b"(", b"]", b"}")
    return is_likely and followed.steps > 2 + bool(followed.problem)

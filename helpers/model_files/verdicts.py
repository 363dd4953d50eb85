"""What `inspect_file` finds, in plain values.

Save, Load, Ship 0.2.0: helpers/model_files/verdicts.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass, field
from pathlib import Path

SAFE, UNSAFE, UNKNOWN = "safe", "unsafe", "unknown"
WHOLE, DAMAGED, NOT_CHECKED = "whole", "damaged", "bytes not checked"


# Not frozen: files have thousands, and that would take thrice as long.
@dataclass(slots=True)
class TensorEntry:
    """One tensor in a file.

    Attributes:
        name: its key; nested keys are joined by dots.
        shape: as in torch.
        dtype: "float32", "bfloat16", "int4", ...; the file's own word where torch has none.
        bytes: that this entry's elements take.
        storage: equal for entries that share memory; None where the format cannot share.
        offset: where the entry begins in its storage, in elements.
        device: that the file names, such as "cuda:0"; "" where the format names none.
        strides: as in torch; () where the format has none.

    >>> TensorEntry("fc.weight", (2, 3), "float32", 24).bytes
    24
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    storage: str | None = None
    offset: int = 0
    device: str = ""
    strides: tuple[int, ...] = ()

    @property
    def place(self) -> tuple:
        """Equal for entries of a storage that are the same elements in the same order."""
        # Along an axis of one, no step is ever made.
        steps = (s for n, s in zip(self.shape, self.strides, strict=False) if n != 1)
        return self.offset, self.shape, self.dtype, tuple(steps)


@dataclass
class Findings:
    """What is known of a file; each reader fills in what its format tells.

    Attributes:
        path: the file or folder.
        size: its bytes; of a folder, those of the files that belong to it.
        kind: what it is in a short stable word, such as "torch zip", "safetensors".
        is_: the same as a sentence: "a checkpoint of Lightning (torch zip)".
        evidence: why it is taken for that.
        safety: SAFE, UNSAFE or UNKNOWN, with `safety_why`.
        structure: WHOLE or DAMAGED, with `structure_why`; what the format lets one check
            without reading every byte.
        bytes_checked: NOT_CHECKED, WHOLE or DAMAGED; a reason where there is no checksum.
        names: global that a pickle would import -> "allowed", "unknown" or "dangerous".
        entries: the tensors.
        values: other entries worth showing: key -> short text ("epoch" -> "3").
        held: bytes of all tensors, what is shared counted once; 0 where no format tells.
        optimizer: bytes of an optimizer's state, None without one.
        notes: sentences, such as shards that are missing.
        opens: lines of Python that open it safely, ready to copy; empty where nothing does.

    >>> Findings(Path("a.pt")).bytes_checked
    'bytes not checked'
    """

    path: Path
    size: int = 0
    kind: str = "unknown"
    is_: str = ""
    evidence: list[str] = field(default_factory=list)
    safety: str = UNKNOWN
    safety_why: str = ""
    structure: str = NOT_CHECKED
    structure_why: str = ""
    bytes_checked: str = NOT_CHECKED
    names: dict[str, str] = field(default_factory=dict)
    entries: list[TensorEntry] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    held: int = 0
    optimizer: int | None = None
    notes: list[str] = field(default_factory=list)
    opens: list[str] = field(default_factory=list)

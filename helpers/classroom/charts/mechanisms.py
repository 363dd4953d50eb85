"""Three mechanisms, as a teacher draws them on the board: boxes and arrows.

A full box is numbers that are there, in memory or on the disk; a dashed one is a name or
a window, or room for them; a dotted one is what is there no more.
"""

import zipfile
from pathlib import Path

import torch

from helpers.classroom.charts.drawing import (
    COLOURS,
    Chart,
    label,
    number,
    picture,
    require_few,
)

FULL = f'fill="{COLOURS[0]}"'
DASHED = f'fill="none" stroke="{COLOURS[0]}" stroke-width="1.6" stroke-dasharray="5 3"'
GONE = 'class="line" fill="none" stroke="#888" stroke-dasharray="1.5 3"'
FRAME = 'class="line" fill="none" stroke="#888"'
HIGH = 28  # a box
ARCHIVE_ROW = 40
WAYS_ROW = 56
STEP = 143  # a column of the steps


def _box(x: float, y: float, width: float, style: str, text: str = "") -> str:
    size = f'width="{number(width)}" height="{HIGH}" rx="4"'
    shape = f'<rect x="{number(x)}" y="{number(y)}" {size} {style}/>'
    inside = label(x + width / 2, y + HIGH / 2 + 4.5, text, "middle", 12)
    if style == FULL:  # white, in both themes
        inside = inside.replace('class="ink" ', "").replace("#222", "#fff")
    return shape + inside if text else shape


def _arrow(x: float, y: float, end_x: float, end_y: float) -> str:
    """Draw an arrow to the right, level or not, in the colour of the text."""
    line = f"M{number(x)} {number(y)}l{number(end_x - x - 5)} {number(end_y - y)}"
    head = f"M{number(end_x)} {number(end_y)}l-7 -3.5v7z"
    return (
        f'<path class="line" fill="none" stroke="#888" stroke-width="1.4" d="{line}"/>'
        f'<path class="ink" fill="#222" d="{head}"/>'
    )


def _contents(path: Path) -> tuple[dict, dict, dict]:
    """Return the bytes of each entry, the tensors, and the names on each storage."""
    with zipfile.ZipFile(path) as file:
        sizes = {i.filename.partition("/")[2]: i.file_size for i in file.infolist()}
    saved = torch.load(path, weights_only=True)
    if not isinstance(saved, dict) or not all(map(torch.is_tensor, saved.values())):
        raise ValueError(f"{path} does not hold a dictionary of tensors")
    require_few(saved, most=8)
    # torch.save numbers the storages as it comes upon them.
    owners: dict[int, list[str]] = {}
    for name, tensor in saved.items():
        owners.setdefault(tensor.untyped_storage().data_ptr(), []).append(name)
    records = {f"data/{k}": names for k, names in enumerate(owners.values())}
    return sizes, saved, records


def archive(path: Path) -> Chart:
    """Draw what is in a small .pt file: names, and the storages that they point to.

    Args:
        path: of a saved dictionary of tensors, at most 8 of them.

    Raises:
        ValueError: there are more, or what was saved is not such a dictionary.
    """
    sizes, saved, records = _contents(path)
    shown = {"data.pkl", *records}
    rest = [f"{name} {size}" for name, size in sizes.items() if name not in shown]

    top, bottom = 78, 78 + ARCHIVE_ROW * len(saved)
    parts = [
        f'<rect x="14" y="36" width="572" height="{bottom + 34}" rx="8" {FRAME}/>',
        label(30, 62, f"data.pkl, {sizes['data.pkl']} bytes: the names"),
        label(350, 62, "data/: the numbers, once each"),
    ]
    rows = dict(zip(saved, range(len(saved)), strict=True))
    for name, row in rows.items():
        shape = " × ".join(map(str, saved[name].shape))
        parts.append(_box(30, top + ARCHIVE_ROW * row, 230, DASHED, f"{name}  {shape}"))
    y = top + ARCHIVE_ROW * (len(saved) - len(records)) / 2
    for record, names in records.items():
        parts.append(_box(350, y, 220, FULL, f"{record}  {sizes[record]:,} bytes"))
        parts += [
            _arrow(260, top + ARCHIVE_ROW * rows[name] + HIGH / 2, 348, y + HIGH / 2)
            for name in names
        ]
        y += ARCHIVE_ROW
    half = -(-len(rest) // 2)
    lines = [f"Besides, in bytes: {', '.join(rest[:half])},", ", ".join(rest[half:])]
    for k, line in enumerate(lines):
        parts.append(label(30, bottom + 18 + 18 * k, line, size=12))
    parts.append(label(30, bottom + 58, "Each entry carries a checksum, CRC-32.", size=12))
    title = f"{path.name}: a zip archive of {path.stat().st_size:,} bytes"
    points = [
        f"{' and '.join(names)} → {record}, {sizes[record]:,} bytes"
        for record, names in records.items()
    ]
    return picture(title, bottom + 84, parts, f"{title}. {'; '.join(points)}.")


# What each way does with the file's numbers: the dictionary, the step, the model.
WAYS = {
    "load, then copy": ("read", FULL, "copy", FULL, "2 copies"),
    "mmap": ("map", DASHED, "copy", FULL, "1 copy"),
    "mmap + assign": ("map", DASHED, "assign", GONE, "1, then none"),
    "mmap + assign + meta": ("map", DASHED, "assign", DASHED, "none"),
    "safetensors + assign + meta": ("map", DASHED, "assign", DASHED, "none"),
}


def ways_of_loading() -> Chart:
    """Draw the five ways as boxes: from one to the next, one copy less."""
    insides = {FULL: "a copy", DASHED: "a window", GONE: "built in vain"}
    columns = {"the file": 20, "the dictionary": 190, "the model": 360}
    parts = [label(x + 50, 52, name, "middle") for name, x in columns.items()]
    parts.append(label(480, 52, "in memory"))
    words, y = [], 86
    for name, (first, dictionary, second, model, copies) in WAYS.items():
        parts.append(label(20, y - 6, name, size=12))
        parts.append(_box(20, y, 100, FRAME, "on the disk"))
        for x, verb, style in ((190, first, dictionary), (360, second, model)):
            parts.append(_arrow(x - 68, y + HIGH / 2, x - 2, y + HIGH / 2))
            parts.append(label(x - 37, y + HIGH / 2 + 15, verb, "middle", 12))
            parts.append(_box(x, y, 100, style, insides[style]))
        parts.append(label(480, y + HIGH / 2 + 4.5, copies))
        words.append(f"{name}: {copies}")
        y += WAYS_ROW
    text = f"Copies of the numbers in memory. {'; '.join(words)}."
    return picture("From the file to the model, in five ways", y + 4, parts, text)


def careful_save(path: Path) -> Chart:
    """Draw what stands in the folder while a file is replaced by a new one.

    Args:
        path: of the file; only its name is used.
    """
    steps = (  # the last one: how much of the temporary file is there
        ("before", "one good file", "old", None),
        ("1  write", "beside it", "old", 0.5),
        ("2  fsync", "onto the disk", "old", 1),
        ("3  replace", "in one step", "new", 0),
    )
    parts = [
        label(14, 96, path.name, size=12),
        label(14, 166, f".{path.name}….tmp", size=12),
        label(14, 226, f"A crash now leaves, under {path.name}:"),
    ]
    words = []
    for k, (step, how, kept, share) in enumerate(steps):
        x = 14 + STEP * k
        parts += [label(x, 50, step, size=14), label(x, 67, how, size=12)]
        parts.append(_box(x, 102, 112, FULL, kept))
        if share is not None:
            parts.append(_box(x, 172, 112, DASHED if share else GONE))
        if share:
            parts.append(_box(x, 172, 112 * share, FULL, "new" if share == 1 else "half"))
        parts.append(_box(x, 236, 112, FRAME, f"the {kept} file"))
        words.append(f"{step.lstrip('123 ')}: the {kept} file")
    corner = 14 + 3 * STEP - 17  # the new file takes the name
    path_up = f"M{corner - 14} 186H{corner}V116"
    parts.append(f'<path {FRAME} stroke-width="1.4" d="{path_up}"/>')
    parts.append(_arrow(corner, 116, corner + 15, 116))
    text = f"What a crash leaves at each moment. {'; '.join(words)}. Never half a file."
    return picture("One name, and at every moment one whole file", 280, parts, text)

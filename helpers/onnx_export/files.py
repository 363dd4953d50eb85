"""Read an ONNX file with clear errors, and write one so that a crash harms no old file.

Save, Load, Ship 0.2.0: helpers/onnx_export/files.py · repairs: CHANGELOG.md
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from helpers.atomic import flush_folder, flush_to_disk
from helpers.model_files.recognizing import recognize


def read_onnx(path: str | os.PathLike) -> onnx.ModelProto:
    """Return the model in a file, weights in files beside it included.

    Raises:
        FileNotFoundError: there is no such file, or the file of its weights is missing.
        ValueError: it is not an ONNX file, or names weights outside its folder.

    >>> graph = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 20]>
    ...     net (float[batch, 4] x) => (float[batch, 4] y) {y = Relu(x)}''')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.save(graph, path := f"{folder}/relu.onnx")
    ...     read_onnx(path).graph.node[0].op_type
    'Relu'
    """
    path = require_onnx(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ValueError(f"{path} is not an ONNX file, or it is cut off.") from error
    if not model.graph.node or not model.opset_import:
        raise ValueError(f"{path} is not an ONNX file: there is no graph in it.")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, FileNotFoundError) as error:
        names = sorted(external_files(model))
        missing = [name for name in names if not (path.parent / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{path} keeps its weights in {', '.join(missing)}, which is not beside "
                "it; copy both files together."
            ) from error
        raise ValueError(
            f"{path} names the weights {', '.join(names)}, which are not a plain file in "
            f"its own folder; that is refused, since any file could be read so. {error}"
        ) from error
    return model


def require_onnx(path: str | os.PathLike) -> Path:
    """Return the path, unless something else than an ONNX file is there.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another kind of file, or a folder.

    >>> require_onnx(".")
    Traceback (most recent call last):
    ValueError: . is not an ONNX file but a folder: give the path of a file in it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; export the model first.")
    if (found := recognize(path)).kind not in ("onnx", "unknown"):
        raise ValueError(f"{path} is not an ONNX file but {found}.")
    return path


def external_files(model: onnx.ModelProto) -> set[str]:
    """Return the names of the files that hold weights of a model read without them.

    >>> weight = onnx.TensorProto(name="weight", data_location=onnx.TensorProto.EXTERNAL)
    >>> _ = weight.external_data.add(key="location", value="weights.data")
    >>> external_files(onnx.ModelProto(graph=onnx.GraphProto(initializer=[weight])))
    {'weights.data'}
    """
    return {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a place to write to; where the block ends well, it becomes `path`.

    Until then nothing changes at `path`, and if the block fails nothing is left behind.
    Other files that the block puts beside the new one are moved first, so that the model
    never stands there without its weights.

    Yields:
        A path with the same name, in a temporary folder within the same folder: a move
        is one step only inside a file system.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: there is a folder at the path.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "m.onnx") as new:
    ...         _ = new.write_bytes(b"weights")
    ...         print(os.listdir(folder) == ["m.onnx"])
    ...     print(os.listdir(folder))
    False
    ['m.onnx']
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected the path of a file.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        new = Path(folder) / path.name
        yield new
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == new):
            with file.open("rb+") as written:
                # Otherwise a power cut could leave the new name on an empty file.
                flush_to_disk(written.fileno())
            file.replace(path.parent / file.name)
            # At each move: without it they could reach the disk in another order.
            flush_folder(path.parent)

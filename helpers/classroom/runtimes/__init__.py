"""One ONNX file, many runtimes: a small adapter for each, all used in the same way.

An adapter opens the file when it is made, and `run` maps images to logits. `opened`
makes all that run on this machine and says in one line why the others do not.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import weakref
from importlib.metadata import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx.reference
import torch

from helpers import onnx_export

NODE_SCRIPT = Path(__file__).parent / "web" / "answer.mjs"
# What a page has to fetch of onnxruntime-web 1.30.0.
WASM_BYTES = 14_239_897
WEB_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
GET = "`make runtimes` installs it"


class Runtime:
    """What all adapters share.

    Attributes:
        label: as it stands in tables.
        package: the installed distribution that it needs.
    """

    label: str
    package: str

    @classmethod
    def missing(cls) -> str:
        """Say in one line why it does not run here; an empty text if it does."""
        found = find_spec(cls.package)
        return "" if found else f"{cls.package} is not installed: {GET}"

    def run(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, 1, 8, 8) in float32 to logits (N, 10)."""
        raise NotImplementedError

    def bytes(self) -> int:
        """Return what the package takes on the disk, without what it needs itself."""
        paths = [Path(file.locate()) for file in files(self.package) or ()]
        return sum(path.stat().st_size for path in paths if path.is_file())

    def close(self) -> None:
        """End what runs outside this process."""


class Reference(Runtime):
    """ONNX's own definition of every operator, in NumPy: slow, and right."""

    label, package = "ONNX reference evaluator", "onnx"

    def __init__(self, path: Path):
        """Open a file."""
        self._model = onnx.reference.ReferenceEvaluator(str(path))

    def run(self, images: torch.Tensor) -> torch.Tensor:
        """See Runtime."""
        return torch.from_numpy(self._model.run(None, {"input": images.numpy()})[0])


class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU."""

    package = "onnxruntime"

    def __init__(self, path: Path, *, optimization: str = "all", threads: int = 1):
        """Open a file; see `helpers.onnx_export.session` for the settings."""
        self.label = f"ONNX Runtime, {optimization}, {threads} thread{'s' * (threads > 1)}"
        self._session = onnx_export.session(
            path, threads=threads, optimization=optimization
        )

    def run(self, images: torch.Tensor) -> torch.Tensor:
        """See Runtime."""
        return onnx_export.run(self._session, images)


class OpenVino(Runtime):
    """Intel's OpenVINO on the CPU.

    Attributes:
        precision: the type it computes in, in its own words, such as "bf16".
    """

    package = "openvino"

    def __init__(self, path: Path, *, precision: str | None = None):
        """Open a file.

        Args:
            path: the file.
            precision: "f32" forces float32; None leaves the choice to OpenVINO.
        """
        import openvino

        # The key and its values: docs.openvino.ai, "Precision Control".
        settings = {"INFERENCE_NUM_THREADS": 1}
        if precision:
            settings["INFERENCE_PRECISION_HINT"] = precision
        self.label = f"OpenVINO, {precision or 'default'}"
        self._model = openvino.Core().compile_model(str(path), "CPU", settings)
        chosen = self._model.get_property("INFERENCE_PRECISION_HINT")
        self.precision = chosen.to_string()

    def run(self, images: torch.Tensor) -> torch.Tensor:
        """See Runtime."""
        return torch.from_numpy(self._model(images.numpy())[0].copy())


class OnnxRuntimeWeb(Runtime):
    """ONNX Runtime Web: WebAssembly, here in Node instead of a browser."""

    label, package = "ONNX Runtime Web in Node", "onnxruntime-web"

    def __init__(self, path: Path):
        """Start Node, which opens the file and waits for images.

        Raises:
            RuntimeError: Node ends instead of answering.
        """
        library = web_folder() / "ort.node.min.mjs"
        self._node = subprocess.Popen(
            [shutil.which("node"), NODE_SCRIPT, library, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # When nobody holds it any more, and at the latest with this process.
        self._end = weakref.finalize(self, _end, self._node)

    @classmethod
    def missing(cls) -> str:
        """See Runtime."""
        if not shutil.which("node"):
            return "Node is not installed: nodejs.org has it; then `make runtimes`"
        return web_missing()

    def run(self, images: torch.Tensor) -> torch.Tensor:
        """See Runtime; the way to the other process and back is part of it.

        Raises:
            ValueError: the images are of another shape or type.
            RuntimeError: Node has ended.
        """
        # Node gets bare bytes: it would answer others with nonsense.
        if images.dtype != torch.float32 or images.shape[1:] != (1, 8, 8):
            raise ValueError(
                f"images are {images.dtype} {tuple(images.shape)}; expected torch.float32 "
                "(N, 1, 8, 8)"
            )
        pipe, count = self._node, len(images)
        try:
            pipe.stdin.write(np.uint32(count).tobytes() + images.numpy().tobytes())
            pipe.stdin.flush()
            answer = pipe.stdout.read(count * 10 * 4)
        except OSError:  # there is nobody at the other end
            answer = b""
        if len(answer) < count * 10 * 4:
            raise RuntimeError(f"Node has ended. It wrote: {pipe.stderr.read().decode()}")
        numbers = np.frombuffer(answer, np.float32).reshape(count, 10)
        return torch.from_numpy(numbers.copy())

    def bytes(self) -> int:
        """Return what a page that runs it has to fetch."""
        return sum((web_folder() / name).stat().st_size for name in WEB_FILES)

    def close(self) -> None:
        """End Node."""
        self._end()


def _end(node: subprocess.Popen) -> None:
    with contextlib.suppress(OSError):  # it has ended already
        node.stdin.close()
    node.wait()
    node.stdout.close()
    node.stderr.close()


def web_folder() -> Path:
    """Return where `make runtimes` puts the files of ONNX Runtime Web."""
    return Path(sys.prefix, "web", "node_modules", "onnxruntime-web", "dist")


def web_missing() -> str:
    """Say why there is no ONNX Runtime Web; an empty text if there is."""
    found = all((web_folder() / name).is_file() for name in WEB_FILES)
    return "" if found else f"onnxruntime-web is not installed: {GET}, given Node and npm"


def opened(path: str | os.PathLike) -> tuple[dict[str, Runtime], dict[str, str]]:
    """Open a file in every runtime that runs here.

    Args:
        path: a model from (N, 1, 8, 8), "input", to (N, 10), "output".

    Returns:
        label -> runtime, and package -> why it does not run here. Node ends with
        its runtime.
    """
    ways = [
        (Reference, {}),
        *((OnnxRuntime, {"optimization": how}) for how in ("off", "basic", "all")),
        (OnnxRuntime, {"threads": 2}),
        (OpenVino, {}),
        (OpenVino, {"precision": "f32"}),
        (OnnxRuntimeWeb, {}),
    ]
    missing = {kind.package: kind.missing() for kind, _ in ways}
    made = [kind(Path(path), **how) for kind, how in ways if not missing[kind.package]]
    return {one.label: one for one in made}, {k: v for k, v in missing.items() if v}

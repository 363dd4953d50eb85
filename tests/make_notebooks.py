"""Execute the notebooks in place and leave them in the one form that is committed.

    python tests/make_notebooks.py [--fresh] [NAME ...]

Running it twice changes nothing. Outputs tagged `nbval-ignore-output` depend on the
machine, so those in the file are kept until one of their cells changes: then all are
taken anew, since figures of one notebook belong to one run. So does `--fresh`.
"""

import argparse
import copy
import hashlib
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
VIEW = "application/vnd.jupyter.widget-view+json"
# In a notebook's metadata: whose outputs those of its ignored cells are.
MEASURED = "measured"
# In a heading's metadata: JupyterLab shows it with the cells below it folded away.
FOLDED = "jp-MarkdownHeadingCollapsed"


def client(notebook: nbformat.NotebookNode) -> NotebookClient:
    """Return an executor for a notebook, with this Python's kernel."""
    return NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        store_widget_state=False,
        # A kernel on loopback warns in the terminal that it is not encrypted.
        extra_arguments=["--IPKernelApp.log_level=40"],
    )


def execute(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return an executed copy."""
    notebook = copy.deepcopy(notebook)
    client(notebook).execute()
    return notebook


def normalise(
    executed: nbformat.NotebookNode, before: nbformat.NotebookNode | None = None
) -> nbformat.NotebookNode:
    """Return a copy without what changes from run to run or from machine to machine.

    Args:
        executed: a notebook with outputs.
        before: the same as it was; its ignored outputs are kept if they all still fit.
    """
    notebook = copy.deepcopy(executed)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    kept, ignored = {}, _ignored(notebook)
    if ignored:
        notebook.metadata[MEASURED] = _digest(ignored)
        if before and before.metadata.get(MEASURED) == notebook.metadata[MEASURED]:
            kept = _ignored(before)
    if any(ignored[id].outputs and not old.outputs for id, old in kept.items()):
        kept = {}  # somebody has cleared them
    count = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {
                key: value
                for key, value in cell.metadata.items()
                if key in ("tags", "jupyter", "slideshow", FOLDED)
            }
        )
        cell.source = cell.source.rstrip()
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = [_plain(output, count) for output in _merged(cell.outputs)]
        if old := kept.get(cell.id):
            cell.outputs = [_plain(output, count) for output in old.outputs]
    return notebook


def _ignored(notebook: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    return {
        cell.id: cell
        for cell in notebook.cells
        if "nbval-ignore-output" in cell.metadata.get("tags", [])
    }


def _digest(cells: dict[str, nbformat.NotebookNode]) -> str:
    sources = [f"{id}\n{cell.source.rstrip()}" for id, cell in cells.items()]
    return hashlib.sha256("\n".join(sources).encode()).hexdigest()[:16]


def _merged(outputs: list) -> list:
    # A stream may arrive in one piece or in several, depending on timing.
    merged = []
    for output in outputs:
        if output.get("data") == {}:
            continue  # what is left of a progress bar
        last = merged[-1] if merged else None
        if (
            last is not None
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            merged.append(copy.deepcopy(output))
    return merged


def _plain(output: nbformat.NotebookNode, count: int) -> nbformat.NotebookNode:
    output = copy.deepcopy(output)
    if output.output_type == "error":
        # A traceback names this machine's folders; name and message are the contract.
        output.traceback = [f"{output.ename}: {output.evalue}"]
    if output.output_type == "execute_result":
        output.execution_count = count
    if "data" in output:
        # Without a kernel the view would be a broken icon; words and picture stay.
        output.data.pop(VIEW, None)
        output.metadata = nbformat.from_dict({})
    return output


def make(path: Path, fresh: bool = False) -> tuple[bool, str]:
    """Execute and normalise one file in place.

    Returns:
        Whether every cell ran, and a line that says what happened. A file whose cells do
        not run is left as it was.
    """
    before = nbformat.read(path, as_version=4)
    try:
        executed = execute(before)
    except CellExecutionError as error:
        return False, f"{path.name}: FAILED, left as it was\n{error}"
    after = normalise(executed, None if fresh else before)
    # As bytes: text would end its lines as this system does.
    data = (nbformat.writes(after, version=4) + "\n").encode()
    if data == path.read_bytes():
        return True, f"{path.name}: unchanged"
    path.write_bytes(data)
    return True, f"{path.name}: rewritten"


def main() -> int:
    """Format, execute and normalise; return 1 if a notebook failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="take new ignored outputs")
    parser.add_argument("names", nargs="*", help="file names; all where none is given")
    arguments = parser.parse_args()
    paths = [NOTEBOOKS / Path(name).name for name in arguments.names]
    paths = paths or sorted(NOTEBOOKS.glob("*.ipynb"))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", *paths], check=True)
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(make, paths, [arguments.fresh] * len(paths)))
    print(*(line for _, line in results), sep="\n")
    return 0 if all(ok for ok, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())

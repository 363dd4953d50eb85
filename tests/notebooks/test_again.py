"""What cannot be run again is found; `make again` takes all notebooks."""

import nbformat
import pytest

from tests.notebooks.again import faults


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["folder.mkdir()"], "again: cell-1 raises FileExistsError"),
        (["folder.mkdir(exist_ok=True)"], None),
        (["a = [1]", "a.append(2)\nprint(a)", "pass"], None),
        (["a = globals().get('a', 0) + 1\nprint(a)"], "again: cell-1 differs"),
        (["a = 1", "b = a + 1", "a = 'x'"] * 2, "half: cell-5 raises TypeError"),
    ],
)
def test_what_cannot_be_run_again_is_found(sources, said, tmp_path, request):
    first = f"from pathlib import Path\nfolder = Path({str(tmp_path / 'made')!r})"
    cells = [nbformat.v4.new_code_cell(source) for source in [first, *sources]]
    for k, cell in enumerate(cells):
        cell.id = f"cell-{k}"
        cell.execution_count = k + 1
        if "print" in cell.source:
            text = "[1, 2]\n" if "append" in cell.source else "1\n"
            cell.outputs = [nbformat.v4.new_output("stream", text=text)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "some.ipynb")
    found = list(faults(request.session, tmp_path / "some.ipynb", seed=2))
    assert any(said in fault for fault in found) if said else not found, found

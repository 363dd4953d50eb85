"""The lines are executed where each kind is tested; here is what they must never hold."""

from pathlib import Path

import pytest

from helpers.model_files.checkpoint_kinds import PickleKind
from helpers.model_files.opening_lines import (
    exported_lines,
    is_torch_layer,
    left_by_wrappers,
    pickle_lines,
    script_lines,
    strip_line,
    torch_lines,
)

KIND = PickleKind("a checkpoint", "", ("it's",))
ODD = Path('it\'s "odd"\n.pt')


@pytest.mark.parametrize(
    "name", ["os.system", "my.Net", "torch.nn.modules.linear.Linear\nx"]
)
def test_no_lines_where_a_name_could_do_harm(name):
    assert torch_lines(Path("a"), [name], KIND) == []
    assert pickle_lines(Path("a"), [name]) == []
    assert not is_torch_layer(name)


@pytest.mark.parametrize(
    "lines",
    [
        torch_lines(ODD, ["numpy.core.multiarray.scalar", "numpy.dtype"], KIND),
        pickle_lines(ODD, ["builtins.set"]),
        script_lines(ODD, ["__torch__.it's"]),
        exported_lines(ODD, "it's/config.json", {7: "float32"}),
    ],
)
def test_whatever_a_file_is_called_its_lines_are_python(lines):
    compile("\n".join(lines), "lines", "exec")
    assert repr(str(ODD)) in "\n".join(lines)
    assert "weights_only=False" not in "\n".join(lines)


def test_prefixes_that_only_some_names_have_belong_to_the_model():
    assert left_by_wrappers(["module.a", "head.b"]) == []
    assert left_by_wrappers(["a._orig_mod.b", "c"]) == ["_orig_mod."]
    assert left_by_wrappers(["module.model.a"]) == ["module.", "model."]
    assert left_by_wrappers([]) == []
    assert strip_line(["model."]) == ""

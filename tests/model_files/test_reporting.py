"""The report as text, HTML and JSON."""

import json
from pathlib import Path

from helpers.model_files.reporting import FileReport
from helpers.model_files.verdicts import TensorEntry


def report(**more) -> FileReport:
    entries = [
        TensorEntry(f"layer.{i}.weight", (2, 3), "float32", 24, str(i), 0, "cuda:0")
        for i in range(99)
    ]
    entries.append(TensorEntry("head", (), "int64", 8, "0", 0, "cpu"))
    return FileReport(Path("a.pt"), 5000, is_="a file", entries=entries, **more)


def test_counts_and_a_tree_that_fits():
    text = str(report(evidence=["its look"], opens=["import torch"]))
    assert "a.pt: a file, 5 kB" in text
    assert "dtypes: 99 float32, 1 int64" in text and "devices: 99 cuda:0, 1 cpu" in text
    assert "100 tensors, 2.38 kB" in text
    assert "layer.*" in text and "99 tensors" in text and "scalar int64" in text
    assert text.endswith("import torch")
    assert len(text.splitlines()) < 40


def test_shown_by_python_it_is_the_same_text():
    assert repr(report()) == str(report())


def test_ties():
    assert "layer.0.weight, head" in str(report())
    tied = [TensorEntry("a", (2,), "int8", 2, "0"), TensorEntry("b", (2,), "int8", 2, "0")]
    assert "shared memory: a = b" in str(FileReport(Path("a"), entries=tied))


def test_html_folds_and_escapes():
    html = report(values={"<b>": "&"}, opens=["x < 1", "y"], notes=["<i>"])._repr_html_()
    assert "&lt;b&gt; = &amp;" in html and "<code>x &lt; 1\ny</code></pre>" in html
    assert "<div><b>notes</b>: &lt;i&gt;</div>" in html
    assert "<details open><summary><b>open it with</b>" in html
    assert html.count("<details") == html.count("</details>") == 2
    assert html.startswith('<div class="mathjax_ignore tex2jax_ignore">')
    assert html.count("<div") == html.count("</div>")


def test_a_long_part_is_folded():
    html = report(notes=[f"note {i}" for i in range(15)])._repr_html_()
    assert "<details><summary><b>notes</b>" in html


def test_json_holds_everything():
    found = json.loads(report(held=7, names={"os.system": "dangerous"}).to_json())
    assert found["path"] == "a.pt" and len(found["entries"]) == 100
    assert found["entries"][0]["shape"] == [2, 3]
    assert found["names"] == {"os.system": "dangerous"} and found["held"] == 7


def test_names_that_are_many_are_counted():
    names = {f"a.B{i}": "unknown" for i in range(20)}
    assert "a.B7, and 12 more" in str(report(names=names))


def test_a_size_that_is_no_float_is_shown():
    assert "GB" in str(report(held=1 << 5000))

"""A skip names its reason; with CI=true it is a failure. What is slow is there."""

from pathlib import Path

import pytest

from tests import ROOT
from tests.conftest import APART, OWN_PAGES, SHARED_PAGES, SLOW, TOGETHER, worker_group

pytest_plugins = ["pytester"]

TESTS = """
    import pytest

    @pytest.mark.skip(reason="no cat here")
    def test_marked(): ...

    def test_calls():
        pytest.skip("no dog here")

    def test_passes(): ...

    @pytest.mark.xfail(reason="known", strict=True)
    def test_fails_as_it_should():
        assert False
"""


@pytest.fixture
def project(pytester):
    """A folder with this project's conftest.py, and nothing of its settings."""
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text("utf-8"))
    return pytester


def run(project, monkeypatch, ci):
    monkeypatch.setenv("CI", ci)
    return project.runpytest_inprocess("-p", "no:cacheprovider", "-rA")


def test_a_skip_with_a_reason_is_a_skip(project, monkeypatch):
    project.makepyfile(TESTS)
    result = run(project, monkeypatch, ci="")
    result.assert_outcomes(passed=1, skipped=2, xfailed=1)


def test_a_skip_is_a_failure_where_everything_is_there(project, monkeypatch):
    project.makepyfile(TESTS)
    result = run(project, monkeypatch, ci="true")
    result.assert_outcomes(passed=1, failed=1, errors=1, xfailed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*::test_marked is skipped, and CI=true allows none: no cat here",
            "*::test_calls is skipped, and CI=true allows none: no dog here",
        ]
    )


@pytest.mark.parametrize("ci", ["true", ""])
def test_a_skip_without_a_reason_is_a_failure(project, monkeypatch, ci):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.skip
        def test_marked(): ...

        def test_calls():
            pytest.skip()
        """
    )
    result = run(project, monkeypatch, ci)
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines("*::test_calls is skipped without a reason; name one")


def test_a_module_that_is_skipped_is_a_failure_as_well(project, monkeypatch):
    project.makepyfile("import pytest; pytest.importorskip('no_such_package')")
    assert run(project, monkeypatch, ci="").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result = run(project, monkeypatch, ci="true")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*CI=true allows none: could not import 'no_such_package'*")


@pytest.mark.parametrize("place", [*SLOW, *TOGETHER])
def test_what_is_slow_or_stays_together_is_there(place):
    assert list(ROOT.glob(f"{place}*" if not place.endswith("/") else place))


@pytest.mark.parametrize(
    ("wanted", "passes", "breaks"),
    [
        ("slow", "browser/test_slow", "test_fast"),
        ("not slow", "test_fast", "browser/test_slow"),
    ],
)
def test_what_is_left_out_is_not_even_imported(project, wanted, passes, breaks):
    (project.path / "tests/browser").mkdir(parents=True)
    (project.path / f"tests/{passes}.py").write_text("def test_it(): ...")
    (project.path / f"tests/{breaks}.py").write_text("raise ImportError")
    result = project.runpytest_inprocess("-p", "no:cacheprovider", "-m", wanted)
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1)
    assert project.runpytest_inprocess("-p", "no:cacheprovider").ret != pytest.ExitCode.OK


def test_browser_tests_go_to_four_chains_and_pages_that_are_shared_to_one():
    def group(name, test="test_every_notebook.py::test_it"):
        return worker_group(f"tests/browser/{test}[{name}.ipynb]")

    names = [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert set(SHARED_PAGES) < set(names)
    assert len({group(name) for name in names}) == 3
    alone = worker_group("tests/browser/test_panels.py::test_it")
    assert {group(name) for name in SHARED_PAGES} == {alone}
    assert all((ROOT / path).is_file() for path in OWN_PAGES)
    [own] = {worker_group(f"{path}::test_it") for path in OWN_PAGES}
    assert own not in {alone, group(names[-1]), "tests/test_house.py"}
    assert worker_group("tests/test_house.py::test_it") == "tests/test_house.py"
    assert all((ROOT / path).is_file() for path in APART)
    one = f"{APART[0]}::test_it[00_start_here]"
    assert worker_group(one) == one

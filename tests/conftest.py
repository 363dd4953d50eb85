"""What is slow comes first; a skip names its reason, and with CI=true it is a failure."""

import os
import re

import pytest

# They start kernels, browsers and servers, or kill processes. The longest come first, so
# that no worker is left with one at the end; `make check` leaves them out.
SLOW = (
    "tests/browser/",
    "notebooks/09",
    "notebooks/07",
    "notebooks/04",
    "notebooks/",
    "tests/classroom/runtimes/test_engines.py",
    "tests/classroom/setup/doctor/test_doctor.py",
    "tests/classroom/handouts/",
    "tests/checkpoints/test_crashes.py",
    "tests/classroom/faults/test_damage.py",
    "tests/classroom/setup/test_lab.py",
    "tests/notebooks/test_again.py",
    "tests/notebooks/test_make_notebooks.py",
    "tests/notebooks/test_collecting.py",
)
# What shares a JupyterLab or a cache has to stay in one worker; so does each other file.
TOGETHER = ("tests/browser/", "tests/classroom/clinic/")
# Each of their tests makes what it needs.
APART = ("tests/notebooks/again.py", "tests/browser/every_label.py")
# One chain of browser tests is too long for one worker. So the notebooks that no other
# browser test looks at, those with even and those with odd numbers, get a JupyterLab of
# their own; so do the tests that look at no notebook of the course.
OWN_PAGES = tuple(
    f"tests/browser/test_{name}.py"
    for name in ("charts", "drawing_pad", "error_clinic", "start", "workbench")
)
SHARED_PAGES = ("00_start_here", "01_state_dicts", "08_quantization", "09_trade_offs")


def _first(places, nodeid):
    return next((k for k, place in enumerate(places) if nodeid.startswith(place)), None)


def pytest_ignore_collect(collection_path, config):
    """Do not even import what `-m slow` or `-m "not slow"` would leave out."""
    wanted = {"slow": True, "not slow": False}.get(config.option.markexpr)
    inside = collection_path.is_relative_to(config.rootpath)
    if wanted is None or not inside or collection_path.is_dir():
        return None
    place = collection_path.relative_to(config.rootpath).as_posix()
    return None if (_first(SLOW, place) is not None) == wanted else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    last = len(SLOW)
    ranks = {item: _first(SLOW, item.nodeid) for item in items}
    for item, rank in ranks.items():
        if rank is not None:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: last if ranks[item] is None else ranks[item])


def worker_group(nodeid):
    """Return what a test shares with all tests that have to run in the same worker."""
    if nodeid.startswith(APART):
        return nodeid
    k = _first(TOGETHER, nodeid)
    if k is None:
        return nodeid.partition("::")[0]
    if nodeid.startswith(OWN_PAGES):
        return f"{TOGETHER[k]} own pages"
    notebook = re.search(r"\[.*?(\d\d_\w+)\.ipynb", nodeid)
    if notebook and notebook[1] not in SHARED_PAGES:
        return f"{TOGETHER[k]} notebooks {int(notebook[1][:2]) % 2}"
    return TOGETHER[k]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return worker_group(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    # A whole module can be skipped as well, by importorskip for instance.
    return _refuse_skip((yield))


def _refuse_skip(report):
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return report
    reason = str(report.longrepr[2]).removeprefix("Skipped").removeprefix(": ")
    if reason in ("", "unconditional skip"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} is skipped without a reason; name one"
    elif os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} is skipped, and CI=true allows none: {reason}"
    return report


# The helpers are imported where they are used: most tests do without most of them.


@pytest.fixture(scope="module")
def digits():
    """The pictures of digits and their labels."""
    from helpers.classroom.data.digits import load_digits

    return load_digits()


@pytest.fixture(scope="module")
def model():
    """The trained model that ships with the course."""
    from helpers.classroom.data.networks import load_reference_model

    return load_reference_model()


@pytest.fixture(scope="module")
def onnx_file(model, digits, tmp_path_factory):
    """That model, exported to ONNX."""
    from helpers.onnx_export import export_onnx

    file = tmp_path_factory.mktemp("onnx") / "digits.onnx"
    return export_onnx(model, digits.test_images[:2], file)

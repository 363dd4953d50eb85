"""A skipped test names its reason; with CI=true, where everything is there, it fails."""

import os

import pytest


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


@pytest.fixture(scope="module")
def chromium():
    """A browser; where there is none, the test is skipped, which CI does not allow."""
    from tests import browser

    yield from browser.chromium_or_skip()

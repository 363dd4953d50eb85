"""torchao is imported without stray lines, and nothing else is kept from the learner."""

import logging
import subprocess
import sys

import pytest

from helpers.classroom.runtimes.torchao_import import STRAY_LINES
from helpers.quiet import leave_out


def test_importing_it_writes_nothing():
    command = [sys.executable, "-c", "import helpers.classroom.runtimes.torchao_import"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_what_the_notebook_uses_is_there():
    from helpers.classroom.runtimes.torchao_import import torchao

    assert callable(torchao.quantization.quantize_)
    assert callable(torchao.quantization.pt2e.quantize_pt2e.prepare_pt2e)
    assert callable(
        torchao.quantization.pt2e.quantizer.x86_inductor_quantizer.X86InductorQuantizer
    )


@pytest.mark.parametrize("name", STRAY_LINES)
def test_only_the_known_message_is_left_out_and_only_meanwhile(name, caplog):
    logger, stray = logging.getLogger(name), f"so: {STRAY_LINES[name]} so"
    with leave_out(STRAY_LINES):
        logger.warning(stray)
        logger.warning("a real warning")
    assert [record.getMessage() for record in caplog.records] == ["a real warning"]
    logger.warning(stray)
    assert caplog.records[-1].getMessage() == stray

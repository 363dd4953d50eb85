"""For nbval: kernels that are started at the same moment must not meet on a port.

Two workers of pytest-xdist sometimes pick the same free port, and one kernel dies. Where
the system has sockets in the file system, kernels use those, each in a folder of its own.
"""

import atexit
import os
import shutil
import tempfile

import nbval.kernel

# Copies of the same notebooks, and a learner's own work.
collect_ignore = ["notebooks/guess_first"]


class SocketKernelManager(nbval.kernel.KernelManager):
    """A kernel manager that talks through files."""

    def __init__(self, **settings):
        """Take a new folder, which goes with the tests."""
        folder = tempfile.mkdtemp(prefix="nbval-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        super().__init__(transport="ipc", ip=f"{folder}/kernel", **settings)


if os.name == "posix":
    nbval.kernel.KernelManager = SocketKernelManager

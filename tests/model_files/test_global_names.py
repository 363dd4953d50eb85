"""Names that a pickle would import, judged."""

import subprocess
import sys
import time

import pytest
from torch._weights_only_unpickler import _get_allowed_globals

from helpers.model_files.global_names import HARMLESS, TORCH_ALLOWS, judge
from tests import ROOT


def test_allowed_is_exactly_what_torch_allows():
    assert set(_get_allowed_globals()) == TORCH_ALLOWS, "a new torch allows something else"
    assert {judge(name) for name in TORCH_ALLOWS} == {"allowed"}


DANGEROUS = """
    os.system posix.system nt.system subprocess.Popen builtins.eval builtins.exec
    builtins.getattr builtins.__import__ importlib.import_module runpy.run_path
    pty.spawn asyncio.unix_events._UnixSubprocessTransport._start
    multiprocessing.util.spawnv_passfds concurrent.futures.process.ProcessPoolExecutor
    ctypes.CDLL socket.create_connection shutil.rmtree pickle.loads _pickle.loads
    marshal.loads types.FunctionType webbrowser.open functools.partial
    operator.attrgetter code.InteractiveInterpreter pydoc.pipepager timeit.main
    cProfile.run pdb.run doctest.debug_script imp.load_source
    distutils.file_util.write_file lib2to3.pgen2.pgen.ParserGenerator idlelib.run.main
    torch.load torch.hub.load torch.jit.load torch.serialization.load
    torch.storage._load_from_bytes torch._inductor.codecache.compile_file
    torch.utils._config_module.load_config torch.serialization.os.system
    torch.fx.GraphModule torch.nn.modules.os.system
    numpy.testing._private.utils.runstring numpy.load numpy.f2py.x pip.main joblib.load
    dill.loads cloudpickle.loads IPython.embed a.__class__.b (a_computed_name)
    _xxsubinterpreters.run_string _interpreters.exec _testcapi.run_in_subinterp
    test.support.script_helper.assert_python_ok compression.gzip.open _pyrepl.main.x
    mailcap.findmatch nntplib.NNTP uu.encode cgitb.handler crypt.crypt aifc.open
    httplib.HTTP urllib2.urlopen __builtins__.eval pexpect.run psutil.Popen jinja2.Template
    mpmath.libmp.exec_ numpy.save numpy.savez_compressed numpy.savetxt numpy.loadtxt
    numpy.genfromtxt numpy.core.multiarray.fromfile numpy.ma.core.np.load
    numpy.core.records.fromfile torch.nn.functional.torch.load
    torch.nn.modules.linear.torch.hub.load torch.optim.optimizer.functools.partial
    torch.nn.functional.warnings.sys.exit torch.distributed.tensor.os.system
    torch.distributed.tensor.api.torch.load mine.net.torch.load mine.net.np.memmap
    mine.operator.attrgetter timm.models.np.lib.npyio.load numpy.random.warnings.x.y
"""


@pytest.mark.parametrize("name", DANGEROUS.split())
def test_dangerous(name):
    assert judge(name) == "dangerous"


@pytest.mark.parametrize(
    "name",
    [
        *("my.Net", "__main__.Net", "torch.nn.modules.linear.Linear"),
        *("test.Net", "compression.Net", "mine.types.Config", "mine.torch.Net", "user.Net"),
        *("mine.load", "torch.random.fork_rng", "numpy.random.mtrand.RandomState"),
        *(
            "torch.distributed.tensor.DTensor",
            "torch.nn.Linear",
            "numpy.ma.core.MaskedArray",
        ),
        *("numpy.random._pickle.__generator_ctor", "pandas.a.__pyx_unpickle_B"),
        *("timm.models.resnet.ResNet", "torch.optim.adam.Adam", *sorted(HARMLESS)),
    ],
)
def test_unknown(name):
    assert judge(name) == "unknown"


def test_the_verdict_does_not_depend_on_the_python_that_inspects():
    removed = "asyncore cgi crypt imp msilib nntplib pipes telnetlib distutils xdrlib"
    new = "_interpreters _pyrepl _zstd annotationlib _colorize _remote_debugging"
    code = f"""
import sys
sys.stdlib_module_names -= set({removed.split() + new.split()!r})
from helpers.model_files.global_names import judge
print({{judge(name + ".x") for name in {removed.split() + new.split()!r}}})
"""
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{'dangerous'}\n", "")


@pytest.mark.parametrize("part", ["a", "os", "torch", ""])
def test_a_name_of_many_parts_takes_no_time(part):
    started = time.process_time()
    assert judge(f"{part}." * 1_000_000 + "b") == "dangerous"
    assert judge(f"{part}." * 100 + "b") in ("unknown", "dangerous")
    assert time.process_time() - started < 1

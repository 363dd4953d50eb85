"""Names that a pickle would import, judged."""

import pytest
from torch._weights_only_unpickler import _get_allowed_globals

from helpers.model_files.global_names import HARMLESS, TORCH_ALLOWS, judge


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
"""


@pytest.mark.parametrize("name", DANGEROUS.split())
def test_dangerous(name):
    assert judge(name) == "dangerous"


@pytest.mark.parametrize(
    "name",
    [
        *("my.Net", "__main__.Net", "torch.nn.modules.linear.Linear"),
        *("timm.models.resnet.ResNet", "torch.optim.adam.Adam", *sorted(HARMLESS)),
    ],
)
def test_unknown(name):
    assert judge(name) == "unknown"

"""What a pickle would import: allowed, unknown, or dangerous.

Save, Load, Ship 0.2.0: helpers/model_files/global_names.py · repairs: CHANGELOG.md
"""

import sys
from itertools import product

ALLOWED, UNKNOWN_NAME, DANGEROUS = "allowed", "unknown", "dangerous"


def _each(pattern: str, *choices: str) -> set[str]:
    return {pattern.format(*some) for some in product(*(c.split(" ") for c in choices))}


_REAL = "BFloat16 Byte Char Double Float Half Int Long Short"
_KINDS = f"{_REAL} Bool ComplexDouble ComplexFloat"
# What torch.load(weights_only=True) imports by itself; a test compares it with torch's own.
TORCH_ALLOWS = (
    _each("torch.{}{}Storage", " cuda.", _KINDS)
    | _each("torch.{}{}Tensor", " cuda.", f"{_REAL} Bool")
    | _each("torch.{}sparse.{}Tensor", " cuda.", _REAL)
    | _each("torch.{}Storage", "QInt32 QInt8 QUInt2x4 QUInt4x2 QUInt8")
    | _each("torch.{}int{}", " u", "1 2 3 4 5 6 7 8 16 32 64")
    | _each("torch.{}", "bfloat16 float16 float32 float64 complex32 complex64 complex128")
    | _each("torch.{}", "bool bits16 bits1x8 bits2x4 bits4x2 bits8 float4_e2m1fn_x2")
    | _each("torch.float8_{}", "e4m3fn e4m3fnuz e5m2 e5m2fnuz e8m0fnu")
    | _each("torch.{}", "qint32 qint8 quint2x4 quint4x2 quint8 Size Tensor device")
    | _each("torch.per_{}", "channel_affine channel_symmetric tensor_affine")
    | _each("torch.per_{}", "channel_affine_float_qparams tensor_symmetric")
    | _each("torch._utils._rebuild_{}", "parameter parameter_with_state qtensor tensor")
    | _each("torch._utils._rebuild_{}", "tensor_v2 tensor_v3 sparse_tensor nested_tensor")
    | _each("torch._utils._rebuild_{}", "meta_tensor_no_storage wrapper_subclass")
    | _each("torch._utils._rebuild_device_tensor_from_{}", "numpy cpu_tensor")
    | _each("torch.storage.{}Storage", "Typed Untyped")
    | {"torch._tensor._rebuild_from_type_v2", "torch.nn.parameter.Parameter"}
    | {"torch.serialization._get_layout", "_codecs.encode"}
    | _each("builtins.{}", "bytearray complex set")
    | _each("collections.{}", "Counter OrderedDict")
)
# What the list in a folder of torch.distributed.checkpoint names, also an older torch's.
_LISTED = "checkpoint.metadata.{}", "_shard.sharded_tensor.metadata.{}"
LIST_ALLOWS = (
    _each(f"torch.distributed.{_LISTED[0]}StorageMetadata", "Tensor Bytes Chunk")
    | _each(f"torch.distributed.{_LISTED[0]}", "Metadata MetadataIndex StorageMeta")
    | _each(f"torch.distributed.{_LISTED[0]}", "TensorProperties _MEM_FORMAT_ENCODING")
    | _each(f"torch.distributed.{_LISTED[1]}", "TensorProperties MEM_FORMAT_ENCODING")
    | _each("pathlib.{}Path", "Posix Windows _local.Posix _local.Windows")
    | {"torch.distributed.checkpoint.filesystem._StorageInfo"}
    | {"torch.serialization._get_layout"}
)
# Of the standard library, all is dangerous but these values.
_VALUES = (
    _each("builtins.{}", "bool bytes dict float frozenset int list object range slice str")
    | _each("builtins.{}", "tuple Ellipsis NotImplemented")
    | _each("collections.{}", "defaultdict deque")
    | _each("datetime.{}", "date datetime time timedelta timezone")
    | _each(
        "pathlib.{}", "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath"
    )
    | _each("pathlib._local.{}", "Path PosixPath PurePosixPath WindowsPath")
    | {"decimal.Decimal", "fractions.Fraction", "uuid.UUID", "argparse.Namespace"}
    | _each("numpy.random._pickle.__{}_ctor", "generator bit_generator randomstate")
    | {"types.SimpleNamespace", "enum.Enum", "copyreg._reconstructor", "_random.Random"}
)
# What a call of these makes is a value; torch refuses them until they are named to it.
HARMLESS = (
    {"argparse.Namespace", "collections.defaultdict", "numpy.dtype", "numpy.ndarray"}
    | _each("builtins.{}", "dict float int list str tuple")
    | _each("numpy.{}.multiarray.{}", "core _core", "scalar _reconstruct")
    | _each("datetime.{}", "date datetime timedelta")
    | _each("pathlib.{}", "PosixPath WindowsPath PurePosixPath PureWindowsPath")
    # Layers' activations, and tensors of several lengths.
    | _each("torch.nn.functional.{}", "relu gelu silu elu leaky_relu mish softplus tanh")
    | _each("torch.nested._internal.nested_tensor.{}", "_rebuild_njt NestedTensor")
    | {"torch._C._nn.gelu", "torch._dynamo.decorators._DimRange"}
)
# Of Python's own modules, what one version or another has: the verdict must not depend on
# the Python that inspects.
_STANDARD = sys.stdlib_module_names | _each(
    "{}",
    # Removed.
    "aifc asynchat asyncore audioop binhex cgi cgitb chunk crypt distutils imghdr imp "
    "lib2to3 macpath mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau "
    "telnetlib uu xdrlib _bootlocale _crypt _msi _spwd "
    # Of Python 2; `following` has Python 3's words for most.
    "Bastion __builtin__ commands httplib imputil popen2 posixfile rexec urllib2 "
    # New, or left out of Python's own list.
    "_android_support _apple_support _ast_unparse _colorize _hmac _interpchannels "
    "_interpqueues _interpreters _ios_support _opcode_metadata _py_warnings _pylong "
    "_pyrepl _remote_debugging _suggestions _sysconfig _types _zstd annotationlib "
    "turtledemo _ctypes_test __builtins__",
)
# Python's own, too, but `test.Net` is somebody's: nothing stands in the package itself.
_PACKAGES = {"compression", "test"}
# How Python's modules for its own tests begin.
_OWN_TESTS = ("_test", "_xx", "xxlimited", "xxsubtype")
# What runs code or opens files, beside the standard library.
_DANGEROUS = _each(
    "{}",
    "Cython IPython _cffi_backend _pytest aiohttp cffi cloudpickle dill mpmath "
    "execnet fabric fsspec hydra invoke ipykernel jinja2 joblib jsonpickle keras mako "
    "numba numexpr paramiko pexpect pip pkg_resources plumbum psutil ptyprocess pyximport "
    "pytest requests setuptools sh sympy tensorflow urllib3 yaml numpy.DataSource "
    "numpy.ctypeslib numpy.distutils numpy.f2py numpy.lib numpy.memmap numpy.testing "
    "pandas.eval pandas.io pandas.read_pickle torch._C torch._dynamo torch._functorch "
    "torch._inductor torch.classes torch.compile torch.cuda torch.distributed torch.export "
    "torch.from_file torch.fx torch.hub torch.jit torch.library torch.load "
    "torch.multiprocessing torch.onnx torch.ops torch.package torch.profiler torch.save "
    "torch.serialization torch.storage torch.testing torch.utils torch.xpu",
)
_HARMLESS_PARTS = ("torch.distributed.tensor.", "torch.distributed.device_mesh.")
# Anywhere in a name: each module has what it imports itself as an attribute.
_INSIDE = _each(
    "{}",
    "os posix nt sys subprocess builtins importlib runpy pty socket shutil ctypes pickle "
    "marshal pdb code eval exec system popen getattr functools multiprocessing "
    "asyncio webbrowser codeop timeit bdb doctest pydoc shelve Popen "
    "attrgetter methodcaller import_module FunctionType CodeType",
)
# Python's modules inside these, but for modules of their own that are called so.
_NOT_OWN = {
    "torch": _STANDARD - {"random", "signal", "types"},
    "numpy": _STANDARD - {"random", "typing", "_typing"},
}
_FOREIGN = {"numpy", "np", "torch"}
# Of NumPy, under whatever module.
_FILES = _each("{}", "fromfile fromregex genfromtxt load loads loadtxt memmap open_memmap")
_FILES |= _each("{}", "DataSource dump save savetxt savez savez_compressed tofile")
_CYTHON = "__pyx_unpickle_"  # makes an object of a class that is named, too


def judge(name: str) -> str:
    """Return what importing a dotted name means: "allowed", "unknown" or "dangerous".

    Allowed is what `torch.load(weights_only=True)` imports by itself. All of the standard
    library but a few values counts as dangerous, with its submodules, and so does a name
    that the pickle computes.

    >>> judge("torch.float32"), judge("my_models.Net"), judge("os.system")
    ('allowed', 'unknown', 'dangerous')
    """
    if name in TORCH_ALLOWS:
        return ALLOWED
    if name in _VALUES or name in HARMLESS:
        return UNKNOWN_NAME
    if len(name) > 1000:  # no module's is near
        return DANGEROUS
    parts = name.split(".")
    first, *inner = parts
    if (
        first in _STANDARD
        or first.startswith(_OWN_TESTS)
        or (first in _PACKAGES and len(inner) > 1)
        or not _INSIDE.isdisjoint(parts)
        or any(part.startswith("__") for part in inner[:-1])
        or (inner and inner[-1].startswith("__") and not inner[-1].startswith(_CYTHON))
        or not all(map(str.isidentifier, parts))
    ):
        return DANGEROUS
    # The last module in a name is the one that counts: numpy.ma.core.np.load.
    last = max((i for i, part in enumerate(parts) if part in _FOREIGN), default=0)
    root = "numpy" if parts[last] == "np" else parts[last]
    inner = parts[last + 1 :]
    name, begins = ".".join([root, *inner]), {root, ".".join([root, *inner[:1]])}
    if (
        (not name.startswith(_HARMLESS_PARTS) and not _DANGEROUS.isdisjoint(begins))
        or (root == "numpy" and not _FILES.isdisjoint(inner))
        or not _NOT_OWN.get(root, set()).isdisjoint(inner[:-1])
    ):
        return DANGEROUS
    return UNKNOWN_NAME

"""The messages that the clinic knows, the most specific first."""

from dataclasses import dataclass

START = "00_start_here.ipynb"
STATE_DICTS = "01_state_dicts.ipynb"
CHECKPOINTS = "02_training_checkpoints.ipynb"
SAFE_LOADING = "03_safe_loading.ipynb"
DEVICES = "04_devices.ipynb"
VERSIONS = "05_versions.ipynb"
ONNX = "06_onnx.ipynb"
TRADE_OFFS = "09_trade_offs.ipynb"
SMALLER = "10_smaller_models.ipynb"


@dataclass(frozen=True)
class Entry:
    """A message that people meet.

    Attributes:
        id: a name for it.
        says: the message, in the words that stand in a table of all; NAME is what differs
            from case to case, and an ellipsis is a gap.
        sign: a regular expression for what does not change in the message; case and
            line breaks do not matter.
        meaning: what happened, in a sentence or two.
        fix: the line that repairs it.
        notebook: where the course shows it.
    """

    id: str
    says: str
    sign: str
    meaning: str
    fix: str
    notebook: str


ENTRIES = (
    # ---- State dicts
    Entry(
        "optimizer-for-model",
        'Unexpected key(s) in state_dict: … "param_groups"',
        # A module's key has a dot; these are whole names.
        r'Unexpected key\(s\) in state_dict:.*"(param_groups|optimizer\w*|epoch)"',
        "The dictionary is a training checkpoint, or an optimizer's state. The model's own "
        "state dict is one of its entries.",
        'model.load_state_dict(checkpoint["model"])',
        CHECKPOINTS,
    ),
    Entry(
        "prefix-compiled",
        'Unexpected key(s) in state_dict: "_orig_mod.',
        r"Unexpected key\(s\) in state_dict:.*\b_orig_mod\.",
        "The file was written by a model behind torch.compile, which puts _orig_mod. "
        "into the keys of what it compiled.",
        r'model.load_state_dict(remap_keys(state_dict, [(r"^module\.|_orig_mod\.", "")]))',
        VERSIONS,
    ),
    Entry(
        "prefix-parallel",
        'Unexpected key(s) in state_dict: "module.',
        r'Unexpected key\(s\) in state_dict: "module\.',
        "The file was written by a model inside DataParallel or DistributedDataParallel, "
        "which puts module. before every key.",
        'model.load_state_dict(strip_prefix(state_dict, "module."))',
        VERSIONS,
    ),
    Entry(
        "pruned-with-masks",
        'Unexpected key(s) in state_dict: … "NAME_orig"',
        r'Unexpected key\(s\) in state_dict:.*_orig"',
        "The file was written by a pruned model whose pruning was not made permanent: each "
        "weight is there as original and mask.",
        'prune.remove(layer, "weight")  # for each pruned layer, before the save',
        SMALLER,
    ),
    Entry(
        "size-mismatch",
        "size mismatch for NAME: copying a param with shape",
        r"size mismatch for \S+: copying a param with shape",
        "A tensor has the right name and another shape: the file belongs to a model of "
        "another size. strict=False does not help.",
        "load_matching(model, state_dict)  # what fits, with a report of the rest",
        STATE_DICTS,
    ),
    Entry(
        "missing-keys",
        "Missing key(s) in state_dict:",
        r"Missing key\(s\) in state_dict:",
        "The model has tensors that the file lacks. Loading with strict=False would leave "
        "them at their random start.",
        "print(compare(model.state_dict(), state_dict))  # then rename with remap_keys",
        STATE_DICTS,
    ),
    Entry(
        "unexpected-keys",
        "Unexpected key(s) in state_dict:",
        r"Unexpected key\(s\) in state_dict:",
        "The file has tensors for which the model has no place: another architecture, or "
        "other names.",
        "print(compare(model.state_dict(), state_dict))  # then rename with remap_keys",
        STATE_DICTS,
    ),
    Entry(
        "not-a-state-dict",
        "Expected state_dict to be dict-like, got",
        r"Expected state_dict to be dict-like, got",
        "What was loaded is a whole model, not a state dict.",
        "model.load_state_dict(loaded.state_dict())",
        SAFE_LOADING,
    ),
    Entry(
        "state-dict-as-model",
        "'OrderedDict' object has no attribute 'eval'",
        # A plain dict without .to may as well be a batch of the data.
        r"'(collections\.)?OrderedDict' object has no attribute "
        r"'(eval|train|to|parameters|forward|state_dict|cuda)'|"
        r"'dict' object has no attribute '(eval|train|parameters|forward|state_dict)'|"
        r"'(collections\.)?OrderedDict' object is not callable",
        "What was loaded is a state dict: the numbers without the model.",
        "model = DigitsNet(); model.load_state_dict(state_dict); model.eval()",
        STATE_DICTS,
    ),
    Entry(
        "no-memory-behind",
        "Cannot copy out of meta tensor; no data",
        r"Cannot copy out of meta tensor; no data",
        "The model was built on the meta device, and some of its tensors were never given "
        "numbers.",
        "model.load_state_dict(state_dict, assign=True)  # before any .to(...)",
        STATE_DICTS,
    ),
    Entry(
        "shared-in-safetensors",
        "Some tensors share memory, this will lead to duplicate memory on disk",
        r"Some tensors share memory, this will lead to duplicate memory on disk",
        "Two names stand for one tensor, as tied weights do, and safetensors refuses to "
        "guess which one to keep.",
        "safetensors.torch.save_model(model, path)",
        STATE_DICTS,
    ),
    # ---- Optimizers and training
    Entry(
        "optimizer-group-size",
        "loaded state dict contains a parameter group that doesn't match the size",
        r"loaded state dict contains a parameter group that doesn't match the size",
        "The optimizer was built over another number of parameters than the one in the "
        "file, so the model differs.",
        "optimizer = type(optimizer)(model.parameters())  # over the model of the file",
        VERSIONS,
    ),
    Entry(
        "optimizer-group-count",
        "loaded state dict has a different number of parameter groups",
        r"loaded state dict has a different number of parameter groups",
        "The optimizer in the file had more, or fewer, parameter groups.",
        "optimizer = torch.optim.AdamW(groups)  # the same groups as when it was saved",
        VERSIONS,
    ),
    Entry(
        "optimizer-stayed-behind",
        "expected dtype NAME for `end` but got dtype",
        r"expected dtype \w+ for `end` but got dtype",
        "The model was converted or moved after the optimizer had taken a step, and the "
        "optimizer's own numbers stayed as they were.",
        "optimizer.load_state_dict(optimizer.state_dict())  # converts them, too",
        DEVICES,
    ),
    Entry(
        "one-value-per-channel",
        "Expected more than 1 value per channel when training",
        r"Expected more than 1 value per channel when training",
        "A batch norm in training mode was given a single example. To predict, the model "
        "has to be in evaluation mode.",
        "model.eval()",
        STATE_DICTS,
    ),
    # ---- torch.load
    Entry(
        "weights-only-numpy",
        "Unsupported global: GLOBAL numpy.",
        r"Unsupported global: GLOBAL numpy\.",
        "The file holds a NumPy number or array, and a safe load takes tensors and plain "
        "Python only.",
        'torch.save({"loss": float(loss)}, path)  # or torch.from_numpy(array)',
        SAFE_LOADING,
    ),
    Entry(
        "weights-only-version",
        "Unsupported global: GLOBAL torch.torch_version.TorchVersion",
        r"Unsupported global: GLOBAL torch\.torch_version\.TorchVersion",
        "torch.__version__ is an object, not text.",
        'torch.save({"torch": str(torch.__version__)}, path)',
        VERSIONS,
    ),
    Entry(
        "weights-only-time",
        "Unsupported global: GLOBAL datetime.",
        r"Unsupported global: GLOBAL (datetime|pathlib)\.",
        "The file holds a datetime or a path, and a safe load takes tensors and plain "
        "Python only.",
        'torch.save({"saved": datetime.now().isoformat()}, path)',
        VERSIONS,
    ),
    Entry(
        "weights-only-operand",
        "WeightsUnpickler error: Unsupported operand",
        # Of a plain text the safe load says a bare KeyError: only a traceback tells.
        r"WeightsUnpickler error: Unsupported operand|invalid load key, '|"
        r"Invalid magic number; corrupt|_weights_only_unpickler\.py.*KeyError: \d+$",
        "torch.save did not write this file: perhaps it is a web page, a Git LFS pointer, "
        "or a plain pickle. Look at its first bytes.",
        "print(open(path, 'rb').read(80))  # then fetch the real file",
        SAFE_LOADING,
    ),
    Entry(
        "torchscript-file",
        "with TorchScript archives passed to",
        r"with TorchScript archives passed to",
        "The file is a TorchScript program, which torch.load cannot open safely. It runs "
        "without its class.",
        "program = torch.jit.load(path)  # then program.state_dict() has its weights",
        SAFE_LOADING,
    ),
    Entry(
        "weights-only",
        "Weights only load failed",
        r"Weights only load failed|WeightsUnpickler error",
        "The file names a class or function, and a safe load runs no code: most often it "
        "is a whole pickled model.",
        "torch.save(model.state_dict(), path)  # where the class is still at hand",
        SAFE_LOADING,
    ),
    Entry(
        "cuda-file",
        "Attempting to deserialize object on a CUDA device",
        r"Attempting to deserialize object on a CUDA device|"
        r"Attempting to deserialize object on (CUDA device \d+|MPS device) but",
        "The file was written on a GPU that this machine does not have.",
        'torch.load(path, map_location="cpu", weights_only=True)',
        DEVICES,
    ),
    Entry(
        "class-moved",
        "Can't get attribute 'NAME' on <module",
        r"Can't get attribute '?[\w.]+'? on <module",
        "A whole model was pickled, and the file stores only where its class was. It is no "
        "longer there.",
        "import __main__; __main__.OldName = NewClass  # then save the state dict",
        SAFE_LOADING,
    ),
    Entry(
        "not-installed",
        "No module named 'numpy'",
        r"No module named '(numpy|torch\w*|onnx\w*|safetensors|openvino|coremltools)"
        r"(\.[\w.]+)?'",
        "This Python lacks the package, or has another version of it. Often the notebook's "
        "kernel is not the Python that has it.",
        "import sys; print(sys.executable)  # with this one: python -m pip install -U NAME",
        START,
    ),
    Entry(
        "module-moved",
        "No module named 'NAME'",
        r"No module named '[\w.]+'",
        "Python finds no module of that name. When torch.load says so, a whole model was "
        "pickled, and the file in which its class stood has moved.",
        "sys.modules['old_name'] = new_module  # then load once, and save the state dict",
        SAFE_LOADING,
    ),
    Entry(
        "cannot-pickle",
        "Can't get local object",
        r"Can't (get|pickle) local object|Can't pickle <function <lambda>",
        "A lambda or a class inside a function is part of the object, and pickle can only "
        "store names that another program finds.",
        "torch.save(model.state_dict(), path)  # or define it at the top of a module",
        SAFE_LOADING,
    ),
    Entry(
        "not-a-zip",
        "failed finding central directory",
        r"failed finding central directory|failed reading zip archive",
        "The file is cut off or damaged: its table of contents, at the end, is missing.",
        "CheckpointFolder(folder).load_latest(model=model)  # the newest whole file",
        CHECKPOINTS,
    ),
    Entry(
        "empty-file",
        "Ran out of input",
        # torch.load says no more than EOFError, and so do others: its file has to be named.
        r"Ran out of input|^EOFError:?$|"
        r"\b(serialization|_weights_only_unpickler)\.py.*EOFError:?$",
        "The file is empty: a save was interrupted, or the disk was full.",
        "save_checkpoint(path, model=model)  # never leaves half a file",
        CHECKPOINTS,
    ),
    Entry(
        "no-folder",
        "Parent directory NAME does not exist",
        r"Parent directory .+ does not exist",
        "torch.save does not make folders.",
        "Path(path).parent.mkdir(parents=True, exist_ok=True)",
        STATE_DICTS,
    ),
    Entry(
        "safetensors-damaged",
        "Error while deserializing header",
        r"Error while deserializing header",
        "This is not a safetensors file, or it is cut off.",
        'path = path.rename(path.with_suffix(".pt"))  # if torch.save wrote it',
        STATE_DICTS,
    ),
    # ---- Devices and dtypes
    Entry(
        "two-devices",
        "Expected all tensors to be on the same device",
        r"Expected all tensors to be on the same device|"
        r"Tensor on device \w+(:\d+)? is not on the expected device|"
        r"Input type \(torch\.(cuda|mps)\.\w+\) and (weight|bias) type \(torch\.\w+\)|"
        r"Input type \(torch\.\w+\) and (weight|bias) type \(torch\.(cuda|mps)\.\w+\)",
        "The model and its input are on different devices.",
        "images = images.to(next(model.parameters()).device)",
        DEVICES,
    ),
    Entry(
        "no-such-device",
        "Torch not compiled with CUDA enabled",
        r"Torch not compiled with CUDA enabled|not linked with support for mps devices|"
        r"No CUDA GPUs are available",
        "The code asks for a device that this machine, or this build of PyTorch, lacks.",
        "model.to(best_device().device)",
        DEVICES,
    ),
    Entry(
        "labels-not-whole",
        "expected target dtype to be Long or Byte",
        r"expected target dtype to be Long or Byte|expected scalar type Long but found",
        "The loss takes the class of each image as a whole number, int64.",
        "labels = labels.long()",
        DEVICES,
    ),
    Entry(
        "two-dtypes",
        "must have the same dtype, but got",
        r"must have the same dtype, but got|"
        r"expected scalar type (Float|Double|Half|BFloat16) but found|"
        r"expected m1 and m2 to have the same dtype|"
        r"Input type \(\w+\) and (weight|bias) type \([\w:]+\) should be the same|"
        r"Input type \(torch\.cuda\.\w+\) and (weight|bias) type \(torch\.cuda\.\w+\)",
        "The model's weights and its input have different dtypes, such as float16 and "
        "float32.",
        "images = images.to(next(model.parameters()).dtype)",
        DEVICES,
    ),
    Entry(
        "two-shapes",
        "mat1 and mat2 shapes cannot be multiplied",
        r"mat1 and mat2 shapes cannot be multiplied",
        "The input's last dimension is not what the layer was built for: often a missing "
        "flatten(1), or another picture size.",
        "images = images.flatten(1)",
        STATE_DICTS,
    ),
    # ---- ONNX
    Entry(
        "data-dependent",
        "Could not guard on data-dependent expression",
        r"Could not guard on data-dependent expression|GuardOnDataDependentSymNode",
        "Python decides by the values of a tensor, and an exported graph has no Python.",
        "y = torch.where(x.sum() > 0, 2 * x, x)",
        ONNX,
    ),
    Entry(
        "fixed-shape",
        "Got invalid dimensions for input: … index: 0 Got",
        r"Got invalid dimensions for input: .* index: 0 Got",
        "The graph was exported for one batch size.",
        "export_onnx(model, images, path, dynamic_batch=True)",
        ONNX,
    ),
    Entry(
        "fixed-picture",
        "Got invalid dimensions for input: … index: 1 Got",
        r"Got invalid dimensions for input: .* index: (1|2|3|4) Got",
        "The input has another size than the graph was exported for: other channels, or "
        "another height or width. Index 0 is the batch.",
        "print(session.get_inputs()[0].shape)  # then bring the input to this shape",
        ONNX,
    ),
    Entry(
        "wrong-rank",
        "Invalid rank for input",
        r"Invalid rank for input",
        "The input has too many or too few dimensions: often the batch or the channel is "
        "missing.",
        "image[None]  # adds the batch of one",
        ONNX,
    ),
    Entry(
        "double-input",
        "Unexpected input data type. Actual: (tensor(double)) … expected: (tensor(float))",
        r"Unexpected input data type\. Actual: \(tensor\(double\)\)"
        r".*expected: \(tensor\(float\)\)",
        "NumPy makes float64, and the graph takes float32.",
        'session.run(None, {"input": images.astype("float32")})',
        ONNX,
    ),
    Entry(
        "input-name",
        "Required inputs (…) are missing from input feed",
        r"Required inputs \(.*\) are missing from input feed",
        "The graph's input has another name.",
        "session.run(None, {session.get_inputs()[0].name: images})",
        ONNX,
    ),
    Entry(
        "not-onnx",
        "INVALID_PROTOBUF",
        r"INVALID_PROTOBUF|Protobuf parsing failed",
        "This is not an ONNX file, or only part of one.",
        "export_onnx(model, images, path)",
        ONNX,
    ),
    Entry(
        "external-data",
        "External data path validation failed",
        r"External data path (validation failed|does not exist)",
        "The weights of this graph lie in a second file, which is not beside it.",
        "export_onnx(model, images, path, external_data=False)  # or move both files",
        ONNX,
    ),
    # ---- Quantization
    Entry(
        "old-quantization",
        "torch.ao.quantization is deprecated and will be removed",
        r"torch\.ao\.quantization is deprecated and will be removed",
        "This is PyTorch's old way to quantize; the new one is a package of its own.",
        "torchao.quantization.quantize_(model, Int8WeightOnlyConfig())",
        TRADE_OFFS,
    ),
    Entry(
        "old-torchscript",
        "torch.jit.NAME is deprecated",
        r"`?torch\.jit\.\w+`? is deprecated",
        "TorchScript is no longer developed.",
        "torch.export.save(torch.export.export(model, (images,)), path)",
        SAFE_LOADING,
    ),
    # ---- Tensors
    Entry(
        "needs-detach",
        "Can't call numpy() on Tensor that requires grad",
        r"Can't call numpy\(\) on Tensor that requires grad",
        "The tensor is still connected to its history, which NumPy cannot hold.",
        "tensor.detach().numpy()",
        ONNX,
    ),
    Entry(
        "no-history",
        "element 0 of tensors does not require grad",
        r"element 0 of tensors does not require grad",
        "Nothing that leads to this loss can be trained: the weights are frozen, or the "
        "result was computed under no_grad or detached.",
        "model.requires_grad_(True)",
        CHECKPOINTS,
    ),
    Entry(
        "copy-of-a-result",
        "Only Tensors created explicitly by the user … support the deepcopy protocol",
        r"Only Tensors created explicitly by the user .* support the deepcopy protocol",
        "A tensor with a history cannot be copied deeply.",
        "copy.deepcopy(tensor.detach())",
        STATE_DICTS,
    ),
)

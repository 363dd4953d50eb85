"""What each kind of file is in words, what to do with it, and the marks that tell it.

Save, Load, Ship 0.2.0: helpers/model_files/wording.py · repairs: CHANGELOG.md
"""

_SAFE = "torch.load(path, weights_only=True)"
_ASK = "Ask its author for model.state_dict(), saved with torch.save"
_UNPACK = "unpack it, and give the path of the model file in it"
_PARTS = "give the path of a file in it"
# How what they write begins.
_PACKERS = """1f8b gzip, 1f9d compress, fd377a585a xz, 425a68 bzip2, 28b52ffd zstd,
    377abcaf 7-Zip, 526172211a07 RAR, 04224d18 LZ4, 02214c18 LZ4, 5d0000 LZMA"""
_OTHERS = """50415231 Parquet, 4152524f5731 Arrow, 53514c697465 SQLite, 4d41544c MATLAB,
    7f454c46 ELF"""
# kind -> what it is, what to do next; a detail takes the place of {}.
WORDS = {
    "torch zip": ("a .pt file of torch.save", f"open it with {_SAFE}"),
    "torchscript": (
        "a TorchScript program",
        "it holds code, not a state dict. Ask its author for the weights; run code only if "
        "you trust it",
    ),
    "pt2": ("a program of torch.export", "if you trust it: torch.export.load(path)"),
    "torch.package": ("an archive of torch.package", f"it holds code. {_ASK}"),
    "legacy torch": (
        "a file in the format of torch before 1.6",
        "it has no checksums, and opening it can run code. If you trust its author, "
        f"convert it: torch.save({_SAFE}, new_path)",
    ),
    "legacy tar": ("a tar archive of torch before 0.2", f"nothing opens it safely. {_ASK}"),
    "pickle": (
        "a bare pickle",
        f"it has no checksums, and opening it can run code. {_ASK}",
    ),
    "safetensors": ("a safetensors file", "read it with safetensors.torch.load_file(path)"),
    "shard index": (
        "a shard index",
        "it holds no weights, only the names of the files that do. Load each of those",
    ),
    "onnx": ("an ONNX model", "run it with onnxruntime.InferenceSession(path)"),
    "gguf": ("a GGUF file", "it is for llama.cpp; ask its author for the weights"),
    "npy": ("an array of NumPy", "read it with numpy.load(path, allow_pickle=False)"),
    "npz": ("an archive of NumPy", "read it with numpy.load(path, allow_pickle=False)"),
    "hdf5": ("an HDF5 file, such as Keras writes", "read it with h5py"),
    "keras": ("a model of Keras", "open it with keras.saving.load_model(path)"),
    "tflite": ("a model of LiteRT (TensorFlow Lite)", "run it with ai_edge_litert"),
    "executorch": ("a program of ExecuTorch", "run it with executorch.runtime"),
    "core ml": ("a model of Core ML", "open it with coremltools.models.MLModel(path)"),
    "savedmodel": ("a SavedModel of TensorFlow", "open it with tf.saved_model.load(path)"),
    "zip": ("a zip archive of something else", _UNPACK),
    "cut zip": (
        "a zip archive without its end, or with a damaged one",
        "it was cut short or changed: restore it from a copy",
    ),
    "tar": ("a tar archive", _UNPACK),
    "packed": ("compressed by {}", _UNPACK),
    "git lfs pointer": ("a Git LFS pointer", "fetch the file with `git lfs pull`"),
    "web page": ("a web page or XML", "the download went wrong, fetch the file again"),
    "server error": ("a server's error message, {}", "fetch the file again"),
    "json": ("a JSON file, {}", "weights may be in a file beside it: give its path"),
    "text": ("a text file, {}", "give the path of the model file"),
    "utf-16": (
        "a text file in UTF-16, {}",
        "Windows' shell writes one for a program's output: fetch the model file again",
    ),
    "other": ("a file of {}", "no model of torch: read it with a program for that format"),
    "picture": ("a picture or a PDF", "give the path of the model file"),
    "empty": (
        "empty (0 bytes)",
        "a crash or a full disk cut the save short. Restore it from a copy",
    ),
    "zeros": ("nothing but zeros", "it was never written whole. Restore it from a copy"),
    "no file": ("a pipe, device or socket", "reading it could wait forever"),
    "dcp": (
        "a folder of torch.distributed.checkpoint",
        "that library's load reads it, if you trust its author",
    ),
    "adapter": ("a folder with an adapter, as peft writes it", _PARTS),
    "hub model": ("a folder with a model of Hugging Face's", _PARTS),
    "unpacked": (
        "a folder, an unpacked .pt file",
        "pack it without compression (zip -0 -r model.pt FOLDER)",
    ),
    "folder": ("a folder", _PARTS),
    "unknown": ("of an unknown kind, beginning {}", "restore the file from a copy"),
}
_PICTURES = b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF"
# Place, bytes, kind, and what the detail is.
MAGIC = (
    (0, b"GGUF", "gguf", ""),
    (0, b"\x93NUMPY", "npy", ""),
    (0, b"\x89HDF", "hdf5", ""),
    *(
        (0, bytes.fromhex(magic), kind, by)
        for kind, table in (("packed", _PACKERS), ("other", _OTHERS))
        for magic, by in map(str.split, table.split(","))
    ),
    (0, b"version https://git-lfs", "git lfs pointer", ""),
    (0, b"sys_info\0", "legacy tar", ""),
    (257, b"ustar", "tar", ""),
    (4, b"TFL3", "tflite", ""),
    (4, b"ET1", "executorch", ""),
    *((0, magic, "picture", "") for magic in _PICTURES),
)
# Kind, and a record of its zip archive. The first that is there decides.
RECORDS = (
    ("torchscript", "constants.pkl"),
    ("torchscript", "bytecode.pkl"),
    ("torch.package", ".data/extern_modules"),
    ("pt2", "models/model.json"),
    ("pt2", "serialized_exported_program.json"),
    ("pt2", "archive_format"),
    ("torch zip", "data.pkl"),
    ("keras", "model.weights.h5"),
)
# The weights in a folder of Hugging Face's: the first that is there is read.
WEIGHTS = (
    "adapter_model.safetensors",
    "*.safetensors.index.json",
    "model.safetensors",
    "adapter_model.bin",
    "*.bin.index.json",
    "pytorch_model.bin",
)
# Kind, and a file of its folder.
MEMBERS = (
    ("dcp", ".metadata"),
    ("adapter", "adapter_config.json"),
    ("savedmodel", "saved_model.pb"),
    ("core ml", "Data/com.apple.CoreML"),
    *(("hub model", name) for name in WEIGHTS),
    ("unpacked", "data.pkl"),
)

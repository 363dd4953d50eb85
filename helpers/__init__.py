"""Small modules that the notebooks of Save, Load, Ship import.

Each module is one subject and short enough to read in one sitting. A module imports
only modules that stand above it in this list; a test holds that order.
"""

ORDER = (
    "digits",
    "training",
    "models",
    "tensors",
    "key_names",
    "state_dicts",
    "key_mapping",
    "key_suggestions",
    "old_files",
    "archives",
    "checkpoints",
    "dtypes",
    "gpu_files",
    "devices",
    "quantization",
    "onnx_export",
    "memory",
    "fresh_process",
    "measurement",
    "drawing",
    "charts",
    "controls",
    "panel",
    "explorers",
    "exercises",
    "claims",
    "clinic",
    "environments",
    "findings",
    "doctor",
    "install",
    "lab",
)

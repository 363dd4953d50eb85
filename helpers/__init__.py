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
    "archives",
    "checkpoints",
    "devices",
    "quantization",
    "processor",
    "onnx_export",
    "precision",
    "runtimes",
    "core_ml",
    "tensorrt",
    "elsewhere",
    "memory",
    "measurement",
    "kernels",
    "drawing",
    "charts",
    "graph_pictures",
    "timing_charts",
    "trade_off_charts",
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

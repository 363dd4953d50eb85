"""What is this file, who can open it, is it safe, and what is in it? Nothing in it is run.

Begin with `inspecting.py`. Neither torch nor onnx nor numpy is imported here.

Save, Load, Ship 0.2.0: helpers/model_files/__init__.py · repairs: CHANGELOG.md
"""

from helpers.model_files.inspecting import inspect_file
from helpers.model_files.reporting import FileReport

__all__ = ["FileReport", "inspect_file"]

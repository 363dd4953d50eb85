"""Try things in a fresh Python process, which knows nothing of this one.

Imports with the standard library alone; cloudpickle is imported where it is used.

Save, Load, Ship 0.2.0: helpers/measurement/fresh_process.py · repairs: CHANGELOG.md
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What a call led to: a value, or an error's type and text.

    Attributes:
        value: What was returned, as JSON keeps it (a tuple becomes a list).
        error: Name of the exception's type, such as "ModuleNotFoundError"; "" if none.
        message: The exception's text.

    >>> print(Outcome(value=[1, 2]))
    [1, 2]
    >>> print(Outcome(error="ModuleNotFoundError", message="No module named 'torch'"))
    ModuleNotFoundError: No module named 'torch'
    """

    value: Any = None
    error: str = ""
    message: str = ""

    def __str__(self) -> str:
        """Return the value, or the error with the first line of its text."""
        if not self.error:
            return str(self.value)
        return f"{self.error}: {self.message.partition(chr(10))[0]}".rstrip(": ")


def in_fresh_process(
    functions: Mapping[str, Callable[[], Any]],
    *,
    blocked: Sequence[str] = (),
    timeout: float = 120,
) -> dict[str, Outcome]:
    """Call each function, in order, in one fresh Python process; return what came of it.

    The process starts with the installed packages and nothing else: no module or folder
    that this process has added, no class that a notebook defines. A function travels by
    value (cloudpickle), so one from a notebook cell, a lambda or a closure will do. What
    it refers to travels with it: refer to paths, not to models. One process serves for
    all, because `import torch` takes seconds; what a function changes there, the next
    one meets. Printing is thrown away, and so are warnings.

    Answers come back as JSON: a process that has opened a stranger's file is not to be
    trusted with a pickle.

    Args:
        functions: Label -> function without arguments that returns something JSON can
            hold: numbers, text, lists, None.
        blocked: Names of modules that the process must do without, such as "torch";
            importing one raises ModuleNotFoundError there.
        timeout: Seconds after which the process is stopped.

    Raises:
        TypeError: if `functions` is not a dict, a value of it is not a function or cannot
            be sent, or `blocked` is a text instead of a list.
        RuntimeError: if the process dies or takes too long.

    >>> def parse():
    ...     import csv
    ...     return next(csv.reader(["a,b"]))
    >>> print(in_fresh_process({"parse": parse})["parse"])
    ['a', 'b']
    >>> print(in_fresh_process({"parse": parse}, blocked=["csv"])["parse"])
    ModuleNotFoundError: import of csv halted; None in sys.modules
    """
    import cloudpickle

    if not isinstance(functions, Mapping):
        kind = type(functions).__name__
        raise TypeError(f"functions is of type {kind}: pass a dict, label -> function.")
    if isinstance(blocked, str):
        # Its letters would be taken for names, and nothing would be blocked.
        raise TypeError(f"blocked is {blocked!r}: pass a list of names, [{blocked!r}].")
    sent = []
    for label, function in functions.items():
        if not callable(function):
            kind = type(function).__name__
            raise TypeError(f"{label!r} is of type {kind}: pass the function itself.")
        try:
            sent.append(base64.b64encode(cloudpickle.dumps(function)).decode("ascii"))
        except Exception as error:
            raise TypeError(
                f"{label!r} cannot be sent to a process: {error}. Refer to paths and plain "
                "values; open everything else inside the function."
            ) from error
    # -P keeps the script's folder off sys.path: its modules would hide others of that name.
    command = [sys.executable, "-P", __file__]
    request = json.dumps({"blocked": list(blocked), "functions": sent})
    try:
        done = subprocess.run(
            command, input=request.encode(), capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(
            f"The fresh process was stopped after {timeout:g} s; give it a longer timeout, "
            "or look for a function that waits for something."
        ) from error
    if done.returncode != 0:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [""])[-1]
        raise RuntimeError(
            f"The fresh process ended early, with status {done.returncode}: {last}"
        )
    answers = (Outcome(**fields) for fields in json.loads(done.stdout))
    return dict(zip(functions, answers, strict=True))


def _serve() -> None:
    """Read the functions, call them, write what came of it: the other process's side."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what the functions print must not mix with the answers
    request = json.load(sys.stdin)
    sys.path.append(str(Path(__file__).parents[2]))
    # With None in its place, Python takes a module for missing.
    sys.modules.update(dict.fromkeys(request["blocked"]))
    json.dump([_call(text) for text in request["functions"]], answers)
    answers.flush()


def _call(text: str) -> dict:
    import cloudpickle

    try:
        value = cloudpickle.loads(base64.b64decode(text))()
        json.dumps(value)
        return {"value": value}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


if __name__ == "__main__":
    _serve()

"""Ctrl-C in the middle of a load, after each thing that the load has changed."""

import io
import sys
from collections import deque
from contextlib import contextmanager

import torch

from helpers.checkpoints import load_checkpoint, loading
from helpers.training import capture_rng
from tests.state_dicts.samples import content

# Whoever changes something does it through one of these, in Python or in C.
CHANGING = {
    *("copy_", "fill_", "zero_", "update", "clear", "extend", "append", "setdefault"),
    *("load_state_dict", "_load_from_state_dict", "__setstate__", "set_extra_state"),
    *("load_state", "load_model", "_restore_rng", "restore_rng", "_set_all"),
    *("set_state", "setstate", "set_rng_state", "pop", "manual_seed"),
}


class Interrupted(KeyboardInterrupt):
    """Ours: no other Ctrl-C is taken for it."""


def interrupt_everywhere(monkeypatch, path, things, every=1, **arguments):
    """Load once for each change, stop after it, and compare; return after how many."""
    whole = loading._all_unchanged_on_error
    # What is read is the same each time; what is done with it is asked here.
    saved = path.read_bytes()
    monkeypatch.setattr(
        loading, "read_content", lambda *_: torch.load(io.BytesIO(saved), weights_only=True)
    )
    before, generators = photograph(things), plain_rng()
    for count in range(1, 10_000, every):
        left = [count]

        def stop(frame, event, argument, left=left):
            name = getattr(argument, "__name__", "")
            name = frame.f_code.co_name if event == "return" else name
            if event in ("return", "c_return") and name in CHANGING:
                left[0] -= 1
                if left[0] == 0:
                    raise Interrupted

        @contextmanager
        def watched(parts, stop=stop):
            with whole(parts):
                sys.setprofile(stop)
                try:
                    yield
                finally:
                    sys.setprofile(None)

        with monkeypatch.context() as patch:
            patch.setattr(loading, "_all_unchanged_on_error", watched)
            try:
                load_checkpoint(path, **arguments)
            except Interrupted as error:
                notes = getattr(error, "__notes__", [])
                assert not any("could not be put back" in note for note in notes), notes
            else:
                return count - every
        after = photograph(things)
        assert after.keys() == before.keys(), f"after change {count}"
        differing = [where for where in before if before[where] != after[where]]
        assert not differing, f"after change {count}"
        assert plain_rng() == generators, f"after change {count}"
    raise AssertionError("it never ended")


def plain_rng():
    torch_state = capture_rng()
    return [content(torch_state[name]) for name in ("python", "numpy", "torch")]


def photograph(things):
    """Return all that can be reached: place -> (which object, of what type, its value)."""
    shot, seen, waiting = {}, set(), [("", things)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, torch.Tensor):
            shot[where] = id(value), content(value.detach())
            continue
        if isinstance(value, int | float | str | bytes | type(None) | tuple):
            shot[where] = repr(value)
        else:
            shot[where] = id(value), type(value)
        if isinstance(value, type) or (callable(value) and not hasattr(value, "__dict__")):
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Generator):
            shot[f"{where} state"] = content(value.get_state())
        elif isinstance(value, set | deque | bytearray):
            shot[f"{where} in it"] = repr(value)
        elif isinstance(value, dict):
            shot[f"{where} keys"] = [id(key) for key in value]
            waiting += [(f"{where}[{k}]", v) for k, v in enumerate(value.values())]
        elif isinstance(value, list | tuple):
            waiting += [(f"{where}[{k}]", v) for k, v in enumerate(value)]
        elif not callable(value) or isinstance(value, torch.nn.Module):
            waiting += [
                (f"{where}.{k}", v) for k, v in getattr(value, "__dict__", {}).items()
            ]
    return shot

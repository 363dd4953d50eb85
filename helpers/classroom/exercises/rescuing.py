"""The check for exercise 03.3: the file of a whole model becomes a state dict."""

import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from helpers.classroom.data.networks import DigitsNet
from helpers.classroom.exercises.checking import kind, no_answer
from helpers.state_dicts import compare


def check_rescue(function: Callable) -> str | None:
    """Turn the file of a whole model into a state dict, and verify what was written."""
    model = DigitsNet(width=2)
    spec = model.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "old.pt", Path(folder) / "new.pt"
        torch.save(model, old)
        answer = function(old, new)
        if not new.exists():
            hint = "nothing was saved at `new`: call torch.save(..., new)."
            return no_answer(function, hint)
        if fault := _not_the_state_dict(new, spec):
            return fault
        if answer is None:
            return "the file is right; now read it back and return whether it is equal."
        if answer is not True:
            return (
                f"the file is right, but your function returns {answer!r}; expected True."
            )
        new.unlink()
        with mock.patch.object(torch, "save", _save_damaged):
            try:
                answer = function(old, new)
            except RuntimeError:
                return "raise nothing when the file differs: return False."
        if answer is not False:
            return (
                "the check has changed one number on its way into the file, and your "
                f"function says {answer!r}. Compare every tensor of `new` with the model's."
            )
    return None


def _not_the_state_dict(path: Path, spec: dict) -> str | None:
    try:
        content = torch.load(path, weights_only=True)
    except pickle.UnpicklingError:
        content = torch.load(path, weights_only=False)  # the learner's own file
        if isinstance(content, nn.Module):
            return "`new` holds a whole model again: save its state_dict()."
        return f"`new` holds a {kind(content)}: state_dict is a method, it needs brackets."
    if isinstance(content, dict) and not set(content) & set(spec):
        return f"`new` holds {sorted(map(str, content))[:2]}; save the state dict itself."
    if not isinstance(content, dict):
        return f"`new` holds a {kind(content)}; expected a state dict."
    if missing := [name for name in spec if name not in content]:
        return f"{missing[0]!r} is missing: buffers belong to it, use state_dict()."
    if not compare(spec, content).identical:
        return "the tensors in `new` have other values or another dtype than the model's."
    return None


_torch_save = torch.save


def _save_damaged(thing: object, path: Path, *args, **kwargs) -> None:
    if isinstance(thing, dict):
        thing = {name: tensor.clone() for name, tensor in thing.items()}
        list(thing.values())[-1].view(-1)[-1] += 1
    _torch_save(thing, path, *args, **kwargs)

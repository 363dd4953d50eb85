"""All or nothing: whatever fails inside a with block, all is as it was before.

No object is copied, since much cannot be (locks, generators, weight_norm, compiled
modules). What is remembered is what each object refers to, the bytes of the tensors, which
tensors they are and where.

Save, Load, Ship 0.2.0: helpers/state_dicts/restoring.py · repairs: CHANGELOG.md
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from helpers.arguments import require_module
from helpers.state_dicts.differences import NotComparableError, is_same
from helpers.state_dicts.kinds import copied
from helpers.state_dicts.reaching import reach, ways_back
from helpers.state_dicts.tensors_back import memory_back, tensor_back

_NOT_ALL = "could not be put back"
_Steps = list[tuple[str, Callable[[], None]]]


@contextmanager
def unchanged_on_error(things: list[Any], known: Collection[int] = ()) -> Iterator[None]:
    """Put things back as they were when the block raises anything, even Ctrl-C.

    Followed, to any depth: attributes, containers, modules, tensors, arrays, generators of
    random numbers; `reaching.reach` says what is not. Each stays the same object and gets
    its own contents back. What cannot be put back is named in a note of the error.

    Args:
        things: what may change. A module gets back all that `all_or_nothing` names.
        known: the id of each object that is not to be followed.

    Raises:
        ValueError: a module's extra state is nested too deeply to be copied.

    >>> history = {"losses": [0.5], "best": torch.ones(2)}
    >>> try:
    ...     with unchanged_on_error([history]):
    ...         history["losses"].append(0.4)
    ...         history["best"] += 1
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt:
    ...     history
    {'losses': [0.5], 'best': tensor([1., 1.])}
    """
    steps, with_grad = _ways_back(things, known), torch.is_grad_enabled()
    try:
        yield
    except BaseException as error:
        torch.set_grad_enabled(False)
        try:
            failed = _take(steps)
        except BaseException:  # Ctrl-C again: every step can be repeated
            failed = _take(steps)
        torch.set_grad_enabled(with_grad)  # which Ctrl-C can leave off as well
        if failed:
            error.add_note(f"{_NOT_ALL}: {'; '.join(failed)}")
        raise


def all_or_nothing(model: nn.Module) -> AbstractContextManager[None]:
    """Put the model back as it was when the block raises anything, even Ctrl-C.

    Put back are parameters, buffers and gradients: the same objects, on their devices,
    with their values, `requires_grad` and ties; whatever its attributes hold, as
    `unchanged_on_error` does; and what `set_extra_state` can. Until the block ends, a copy
    of all that is held. What cannot be put back is named in a note of the error.

    Raises:
        TypeError: the model is not a module.
        ValueError: its extra state is nested too deeply to be copied.

    >>> model = nn.Linear(1, 1)
    >>> before = model.weight.item()
    >>> try:
    ...     with all_or_nothing(model):
    ...         model.weight.data.fill_(7)
    ...         raise KeyboardInterrupt
    ... except KeyboardInterrupt:
    ...     print(model.weight.item() == before)
    tensor([[7.]])
    True
    """
    require_module(model)
    return unchanged_on_error([model])


def _take(steps: _Steps) -> list[str]:
    failed = []
    for name, step in steps:
        try:
            try:
                step()
            except KeyboardInterrupt:
                step()
        except BaseException as error:  # the others can still be put back
            failed.append(f"{name} ({type(error).__name__}: {error})")
    return failed


def what_is_left(error: BaseException) -> str:
    """Return what an error that left `all_or_nothing` left behind, as a note says it.

    >>> what_is_left(KeyboardInterrupt())
    'the model is unchanged'
    """
    notes = getattr(error, "__notes__", ())
    is_whole = not any(note.startswith(_NOT_ALL) for note in notes)
    return f"the model is {'unchanged' if is_whole else 'partly changed'}"


def _ways_back(things: list[Any], known: Collection[int]) -> _Steps:
    """Return what to do, in this order, to have the things as they are now."""
    names: dict[int, str] = {}
    for thing in things:
        if issubclass(type(thing), nn.Module):  # isinstance would ask a proxy
            for held in (thing.named_modules, thing.named_parameters, thing.named_buffers):
                names |= {id(one): name for name, one in held()}
    steps: _Steps = []
    tensors: list[tuple[str, Any]] = []
    extra: list[tuple[str, nn.Module, Any]] = []
    for value in reach(things, known):
        kind = type(value)
        name = names.get(id(value), kind.__name__) or "the model"
        if issubclass(kind, Tensor):
            tensors.append((name, value))
            continue
        steps += [(name, step) for step in ways_back(value)]
        if issubclass(kind, torch.jit.ScriptModule):
            steps.append((name, _scripted_back(value)))
        if _has_extra_state(value):
            at = f"{names.get(id(value), '')}._extra_state".removeprefix(".")
            extra.append((at, value, value.get_extra_state()))
    steps += [(name, tensor_back(tensor)) for name, tensor in tensors]
    steps += memory_back([*tensors, *((at, state) for at, _, state in extra)])
    for at, module, state in extra:
        try:
            steps.append((at, partial(_extra_back, module, copied(state))))
        except ValueError as error:
            raise ValueError(f"{at}: {error}") from None
    return steps


def _has_extra_state(value: Any) -> bool:
    kind = type(value)
    is_module = issubclass(kind, nn.Module)
    return is_module and kind.get_extra_state is not nn.Module.get_extra_state


def _scripted_back(module: Any) -> Callable[[], None]:
    """TorchScript's own dicts of tensors are no dicts."""
    scripted = [
        (named, dict(named.items())) for named in (module._parameters, module._buffers)
    ]

    def back() -> None:
        for named, before in scripted:
            for name in before:
                if named[name] is not before[name]:
                    named[name] = before[name]

    return back


def extra_state_holders(model: nn.Module) -> dict[str, nn.Module]:
    """Return name of an entry -> the module that gives and takes it as its extra state.

    >>> extra_state_holders(nn.Linear(1, 1))
    {}
    """
    return {
        f"{path}._extra_state".removeprefix("."): module
        for path, module in model.named_modules(remove_duplicate=False)
        if _has_extra_state(module)
    }


def _extra_back(module: nn.Module, state: Any) -> None:
    with suppress(NotComparableError):
        if is_same(module.get_extra_state(), state):
            return
    module.set_extra_state(state)

"""All or nothing: whatever fails inside a with block, the model is as it was before.

The module itself is never copied, since much cannot be (locks, generators, weight_norm,
compiled modules). What is remembered is its state: the bytes of its tensors, which tensors
they are and where, and what its attributes refer to.

Save, Load, Ship 0.2.0: helpers/state_dicts/restoring.py · repairs: CHANGELOG.md
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from helpers.arguments import require_module
from helpers.state_dicts.differences import NotComparableError, is_same, same_bytes
from helpers.state_dicts.held_memory import memory_of, places_of, swap_memory
from helpers.state_dicts.kinds import copied, is_empty_shell, raw_bytes

_NOT_ALL = "could not be put back"
_CONTAINERS = (dict, list, set, deque, bytearray)
_Steps = Sequence[tuple[str, Callable[[], None]]]


@contextmanager
def all_or_nothing(model: nn.Module, also: _Steps = ()) -> Iterator[None]:
    """Put the model back as it was when the block raises anything, even Ctrl-C.

    Put back are parameters, buffers and gradients: the same objects, on their devices,
    with their values, `requires_grad` and ties; what the modules' attributes refer to; and
    what `set_extra_state` can. Until the block ends, a copy of all that is held. What
    cannot be put back is named in a note of the error.

    Args:
        model: what is to stay as it is.
        also: what else to do then, pairs (name, function); each may be called twice.

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
    steps, with_grad = [*also, *_ways_back(model)], torch.is_grad_enabled()
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


def _ways_back(model: nn.Module) -> list[tuple[str, Callable[[], None]]]:
    """Return what to do, in this order, to have the model as it is now."""
    steps = []
    for name, module in model.named_modules():
        steps.append((name or "the model", _attributes_back(module)))
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, tensor in list(tensors.items()):
        if tensor.is_leaf and tensor.grad is not None:
            tensors[f"{name}.grad"] = tensor.grad
    for name, tensor in tensors.items():
        steps.append((name, _tensor_back(tensor)))
    holders = extra_state_holders(model)
    extra = {name: module.get_extra_state() for name, module in holders.items()}
    seen = set()
    for name, value in (*tensors.items(), *extra.items()):
        for tensor in memory_of(value):
            raw = raw_bytes(tensor)
            place = raw.untyped_storage(), raw.storage_offset(), len(raw)
            if not is_empty_shell(tensor) and place not in seen:
                seen.add(place)
                size = raw.untyped_storage().nbytes()
                steps.append((name, partial(_write_back, raw, raw.clone(), size)))
    for name, state in extra.items():
        try:
            before = copied(state)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        steps.append((name, partial(_extra_back, holders[name], before)))
    return steps


def extra_state_holders(model: nn.Module) -> dict[str, nn.Module]:
    """Return name of an entry -> the module that gives and takes it as its extra state.

    >>> extra_state_holders(nn.Linear(1, 1))
    {}
    """
    return {
        f"{path}._extra_state".removeprefix("."): module
        for path, module in model.named_modules(remove_duplicate=False)
        if type(module).get_extra_state is not nn.Module.get_extra_state
    }


def _extra_back(module: nn.Module, state: Any) -> None:
    with suppress(NotComparableError):
        if is_same(module.get_extra_state(), state):
            return
    module.set_extra_state(state)


def _write_back(raw: Tensor, before: Tensor, size: int) -> None:
    if raw.untyped_storage().nbytes() != size:
        raw.untyped_storage().resize_(size)
    if not same_bytes(raw, before):  # what was not written may be read-only memory
        raw.copy_(before)


def _base(container: dict) -> type[dict]:
    # An OrderedDict has an order of its own; what a Counter is updated with, it adds.
    return OrderedDict if isinstance(container, OrderedDict) else dict


def _entries(container: Any) -> list[Any]:
    """Return what is in a container; of a dict, keys and values in turn."""
    if isinstance(container, dict):
        return [*chain.from_iterable(_base(container).items(container))]
    return list(container)


def _refill(container: Any, before: list[Any]) -> None:
    if [*map(id, _entries(container))] == [*map(id, before)]:
        return
    if isinstance(container, dict):
        base = _base(container)
        base.clear(container)
        for key, value in zip(before[::2], before[1::2], strict=True):
            base.__setitem__(container, key, value)
    else:
        container.clear()
        (container.update if isinstance(container, set) else container.extend)(before)


def _attributes_back(module: nn.Module) -> Callable[[], None]:
    attributes, kind = vars(module), type(module)
    inside = [c for c in attributes.values() if isinstance(c, _CONTAINERS)]
    held = [(container, _entries(container)) for container in (attributes, *inside)]
    scripted: Any = [
        (named, dict(named.items()))
        for named in (module._parameters, module._buffers)
        if not isinstance(named, dict)  # TorchScript's own
    ]

    def back() -> None:
        for named, before in scripted:
            for name in before:
                if named[name] is not before[name]:
                    named[name] = before[name]
        if vars(module) is not attributes:
            object.__setattr__(module, "__dict__", attributes)
        if type(module) is not kind:
            module.__class__ = kind
        for container, entries in held:
            _refill(container, entries)

    return back


def _tensor_back(tensor: Tensor) -> Callable[[], None]:
    kind, alias, attributes = type(tensor), tensor.data, dict(vars(tensor))
    requires_grad = tensor.requires_grad
    gradient = tensor.grad if tensor.is_leaf else None

    def back() -> None:
        if is_traceable_wrapper_subclass(alias):
            # Assigning to .data does nothing here. The alias must outlive the swap.
            if not _same_memory(tensor, alias):
                torch.utils.swap_tensors(tensor, alias.detach())
        else:
            if type(tensor) is not kind:  # a lazy parameter that got a shape
                tensor.__class__ = kind
            if tensor.is_meta != alias.is_meta:  # .data refuses the other kind of memory
                swap_memory(tensor, alias.detach())
            tensor.data = alias
        vars(tensor).clear()
        vars(tensor).update(attributes)
        if tensor.requires_grad != requires_grad:
            tensor.requires_grad_(requires_grad)
        if tensor.is_leaf and tensor.grad is not gradient:
            tensor.grad = gradient

    return back


def _same_memory(a: Tensor, b: Tensor) -> bool:
    outer = [(type(t), t.shape, t.dtype, t.device) for t in (a, b)]
    return outer[0] == outer[1] and places_of(a) == places_of(b)

"""Whose checkpoint is it, where are the weights in it, and which lines open it safely?

Save, Load, Ship 0.2.0: helpers/model_files/checkpoint_kinds.py · repairs: CHANGELOG.md
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from helpers.model_files.pickle_instructions import Made
from helpers.model_files.pickled_containers import inside, is_array, pairs

# Whose it is, and keys that nobody else's has together. The first that fits counts.
_WRITERS = (
    ("these helpers' save_checkpoint", "model optimizer scheduler rng metrics metadata"),
    ("Lightning", "pytorch-lightning_version"),
    ("Ultralytics", "model ema train_args"),
    ("Ultralytics", "model ema updates"),
    ("timm", "arch state_dict version"),
    ("the ImageNet example of torch", "arch state_dict best_acc1"),
    ("mmengine", "meta state_dict"),
    ("DeepSpeed", "module ds_version"),
    ("DeepSpeed", "module ds_config"),
    ("fairseq", "model extra_state optimizer_history"),
    ("Transformers' trainer (random number generators)", "python numpy cpu"),
)
_ALONE = {
    "an optimizer": "state param_groups",
    "a scheduler": "last_epoch _step_count",
    "a GradScaler": "scale growth_factor _growth_tracker",
}
_TENSORS = ("torch._utils._rebuild_", "torch._tensor._rebuild_", "torch.nn.parameter.")
_OPTIMIZER = ["state", "param_groups"]
_MOST_DEEP, _MOST_LISTED = 4, 100
_NOT_WEIGHTS = {"rng", "rng_state", "cpu", "cuda", "python", "numpy"}


@dataclass(frozen=True)
class PickleKind:
    """What a pickle's content is.

    Attributes:
        what: in words, such as "a checkpoint of Lightning".
        why: the evidence for it.
        weights: keys that lead to the state dict, or to the model if `is_model`; None
            where there is neither.
        is_model: whether a whole model is there, not its state dict.
        optimizers: paths of optimizers' states, joined by dots.

    >>> PickleKind("a bare state dict", "its keys").weights
    ()
    """

    what: str
    why: str
    weights: tuple[Any, ...] | None = ()
    is_model: bool = False
    optimizers: tuple[str, ...] = ()


def _by_keys(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return what a key or a place leads to, in mappings of all classes and in lists."""
    is_made = isinstance(value, Made) and (value.items or pairs(value) is not None)
    is_list = isinstance(value, list) and len(value) <= _MOST_LISTED
    return (inside(value) if is_made or is_list else None) or iter(())


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Made) and value.name.startswith(_TENSORS)


def _is_module(value: Any) -> bool:
    state = pairs(value.state) if isinstance(value, Made) else None
    return any(key == "_modules" for key, _ in state or ())


def kind_of(value: Any) -> PickleKind:
    """Say what a followed pickle holds, by the keys of its outermost mappings.

    >>> kind_of(Made("dict", (), items=["last_epoch", 3, "_step_count", 4])).what
    "a scheduler's state alone"
    """
    if _is_module(value):
        what = f"a whole pickled model, {value.name}"
        return PickleKind(what, "it has the parts of a module", (), True)
    if _is_tensor(value):
        return PickleKind("one tensor", "nothing is around it", None)
    outer = pairs(value)
    if outer is None:
        name = value.name if isinstance(value, Made) else type(value).__name__
        if name == "transformers.training_args.TrainingArguments":
            return PickleKind("the arguments of Transformers' trainer", name, None)
        return PickleKind(f"a pickled {name}", "no mapping is around it", None)
    keys = {key for key, _ in outer if type(key) is str}
    del outer  # a pair for each of perhaps 200,000 tensors
    for part, alone in list(_ALONE.items())[1:]:
        if set(alone.split()) <= keys:
            return PickleKind(f"{part}'s state alone", alone, None, False)
    optimizers, best, path, is_model = [], (0, 0), None, False
    todo: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    seen = set()  # a hostile one may be in itself, under thousands of names
    for place, some in todo:  # grows, to as many levels as anybody has
        parts = {key for key, _ in _by_keys(some) if type(key) is str and key in _OPTIMIZER}
        is_optimizer = len(parts) == len(_OPTIMIZER)
        if is_optimizer and place:
            optimizers.append(".".join(map(str, place)))
            continue
        optimizers += _OPTIMIZER * is_optimizer
        count = [0, 0]
        for key, part in _by_keys(some):
            if is_optimizer and type(key) is str and key in _OPTIMIZER:
                continue
            kind = 0 if _is_tensor(part) else 1 if is_array(part) else None
            if kind is not None:
                count[kind] += type(key) is str and key not in _NOT_WEIGHTS
            elif len(place) < _MOST_DEEP and id(part) not in seen:
                seen.add(id(part))
                todo.append(((*place, key), part))
        if tuple(count) > best and not set(place) & _NOT_WEIGHTS:
            best, path, is_model = (count[0], count[1]), place, False
        elif _is_module(some) and best == (0, 0) and path is None:
            path, is_model = place, True
    if optimizers[:2] == _OPTIMIZER and path is None:
        part, alone = next(iter(_ALONE.items()))
        return PickleKind(f"{part}'s state alone", alone, None, False, ("",))
    writer = next(((who, k) for who, k in _WRITERS if set(k.split()) <= keys), None)
    found = tuple(optimizers)
    if writer:
        why = f"its keys {', '.join(writer[1].split())}"
        return PickleKind(f"a checkpoint of {writer[0]}", why, path, is_model, found)
    if path == () and not optimizers:
        what = "a bare state dict" if best[0] else "a dictionary of NumPy's arrays"
        return PickleKind(what, f"tensors among its values: {sum(best)}", ())
    if path is not None:
        where = ".".join(map(str, path))
        what = "a dictionary with a whole pickled model" if is_model else "a checkpoint"
        why = f"its weights stand under {where!r}" if path else "its values"
        return PickleKind(what, why, path, is_model, found)
    shown = ", ".join(sorted(keys)[:6])[:80]
    return PickleKind("a dictionary without weights", f"keys: {shown}", None, False, found)

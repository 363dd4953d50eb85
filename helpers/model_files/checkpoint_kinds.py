"""Whose checkpoint is it, where are the weights in it, and which lines open it safely?

Save, Load, Ship 0.2.0: helpers/model_files/checkpoint_kinds.py · repairs: CHANGELOG.md
"""

from dataclasses import dataclass
from typing import Any

from helpers.model_files.pickle_instructions import Made
from helpers.model_files.pickled_containers import pairs

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
        return PickleKind(
            f"a whole pickled model, {value.name}", "it has the parts of a module", (), True
        )
    if _is_tensor(value):
        return PickleKind("one tensor", "nothing is around it", None)
    outer = pairs(value)
    if outer is None:
        name = value.name if isinstance(value, Made) else type(value).__name__
        if name == "transformers.training_args.TrainingArguments":
            return PickleKind("the arguments of Transformers' trainer", name, None)
        return PickleKind(f"a pickled {name}", "no mapping is around it", None)
    keys = {key for key, _ in outer if type(key) is str}
    for part, alone in _ALONE.items():
        if set(alone.split()) <= keys:
            places = ("",) if part == "an optimizer" else ()
            return PickleKind(f"{part}'s state alone", alone, None, False, places)
    optimizers, best, path, is_model = [], 0, None, False
    todo: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    seen = set()  # a hostile one may be in itself, under thousands of names
    for place, some in todo:  # grows, to three levels
        inner = pairs(some) or ()
        names = {key for key, _ in inner if type(key) is str}
        if {"state", "param_groups"} <= names:
            optimizers.append(".".join(map(str, place)))
            continue
        count = 0
        for key, part in inner:
            if _is_tensor(part):
                count += type(key) is str and key not in _NOT_WEIGHTS
            elif len(place) < 2 and isinstance(part, Made) and id(part) not in seen:
                seen.add(id(part))
                todo.append(((*place, key), part))
        if count > best and not set(place) & _NOT_WEIGHTS:
            best, path, is_model = count, place, False
        elif _is_module(some) and not best and path is None:
            path, is_model = place, True
    writer = next(((who, k) for who, k in _WRITERS if set(k.split()) <= keys), None)
    found = tuple(optimizers)
    if writer:
        why = f"its keys {', '.join(writer[1].split())}"
        return PickleKind(f"a checkpoint of {writer[0]}", why, path, is_model, found)
    if path == () and not optimizers:
        return PickleKind("a bare state dict", f"tensors among its values: {best}", ())
    if path is not None:
        where = ".".join(map(str, path))
        what = "a dictionary with a whole pickled model" if is_model else "a checkpoint"
        why = f"its weights stand under {where!r}" if path else "its values"
        return PickleKind(what, why, path, is_model, found)
    shown = ", ".join(sorted(keys)[:6])[:80]
    return PickleKind("a dictionary without weights", f"keys: {shown}", None, False, found)

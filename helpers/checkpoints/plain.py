"""What a checkpoint may hold: what `torch.load(weights_only=True)` gives back.

Save, Load, Ship 0.2.0: helpers/checkpoints/plain.py · repairs: CHANGELOG.md
"""

from collections import Counter, OrderedDict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from torch import Tensor, nn

from helpers.checkpoints.archive.container import map_archive
from helpers.checkpoints.archive.errors import UnsafeCheckpointError
from helpers.checkpoints.archive.pickles import read_structure
from helpers.state_dicts.kinds import copied, in_words, is_empty_shell, kind_of

_DICTS = (dict, OrderedDict, Counter)
_LISTS = (list, tuple, set)
_NUMBERS = (type(None), bool, int, float, complex)
_LEAVES = (*_NUMBERS, str, bytes, bytearray, torch.dtype, torch.device, torch.Size)
_TENSORS = (Tensor, nn.Parameter, nn.Buffer)


class PlainCheck:
    """Refuses, by its place, what could not be loaded again.

    Attributes:
        storages: address of each storage that was seen -> its bytes.
        deepest: the place of the container that is farthest inside.

    >>> check = PlainCheck()
    >>> check({"lr": 0.1, "weights": [torch.ones(2)]}, "extra")
    >>> sum(check.storages.values())
    8
    >>> check({"when": Path("a.pt")}, "extra")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: extra['when'] is of type ...Path, which torch.load refuses with ...
    """

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.storages: dict[int, int] = {}
        self.deepest = ""
        self._seen: dict[int, Any] = {}  # containers may hold themselves
        self._tried: set[tuple] = set()

    def __call__(self, value: Any, where: str, *, into: bool = False) -> None:
        """Look into a value; `into` tells whether a model will take its tensors in place.

        Raises:
            ValueError: something in it cannot be loaded again.
        """
        kind = type(value)
        if kind in _DICTS + _LISTS:
            if id(value) in self._seen:
                return
            self._seen[id(value)] = value
            self.deepest = max(self.deepest, where, key=len)
        if kind in _DICTS:
            for key, entry in value.items():
                self(key, f"a key of {where}")
                self(entry, f"{where}[{key!r}]", into=into)
        elif kind in _LISTS:
            for position, entry in enumerate(value):
                self(entry, f"{where}[{position}]")
        elif isinstance(value, Tensor):
            self._check_tensor(value, where, into)
        elif kind not in _LEAVES:
            self._try(value, where, (kind,))

    def _check_tensor(self, value: Tensor, where: str, into: bool) -> None:
        if is_empty_shell(value):
            raise ValueError(f"{where} is on the meta device: it has no values to save")
        if type(value) in _TENSORS and not kind_of(value):
            storage = value.untyped_storage()
            self.storages[storage.data_ptr()] = storage.nbytes()
            if value.dtype in torch.storage._dtype_to_storage_type_map():
                return
        self._try(value, where, (type(value), value.layout, value.dtype, into), into)

    def _try(self, value: Any, where: str, kind: tuple, into: bool = False) -> None:
        """Have one of a kind saved and loaded for all of them."""
        if kind in self._tried:
            return
        is_tensor, module = isinstance(value, Tensor), type(value).__module__
        is_known = is_tensor or module == "torch"
        try:
            if not is_known and type(value) not in torch.serialization.get_safe_globals():
                raise UnsafeCheckpointError
            again = _there_and_back(value)
            problem = loading_problem(value, again) if into else None
        except UnsafeCheckpointError as error:
            cure = (
                f"call torch.serialization.add_safe_globals([{type(value).__name__}]) "
                "before saving and before loading"
                if is_tensor
                else "save plain numbers, strings and tensors in its place, such as "
                "float(x), str(x), x.isoformat() or torch.tensor(x)"
            )
            raise ValueError(
                f"{where} is of type {module}.{type(value).__qualname__}, which torch.load "
                f"refuses with weights_only=True; {cure}"
            ) from error
        except Exception as error:
            raise ValueError(
                f"{where} is {in_words(value)}, which torch.load cannot read: {error}"
            ) from error
        if problem:
            raise ValueError(
                f"{where} is {in_words(value)}, which load_state_dict cannot load: "
                f"{problem}"
            )
        self._tried.add(kind)


def loading_problem(target: Any, value: Any) -> str | None:
    """Return why `load_state_dict` cannot write a value into a tensor, None if it can.

    It is tried on a copy of the tensor.

    >>> loading_problem(torch.eye(2), torch.eye(2).to_sparse())  # doctest: +ELLIPSIS
    'copy_() between dense and sparse Tensors is not implemented! ...'
    """
    holder = nn.Module()
    holder.register_buffer("value", copied(target))
    try:
        holder.load_state_dict({"value": value})
    except Exception as error:
        _, _, cause = str(error).partition("exception occurred : ('")
        return cause.removesuffix("',).") or str(error)
    return None


def _there_and_back(value: Any) -> Any:
    with TemporaryFile() as file:
        torch.save(value, file)
        file.flush()
        with map_archive(Path("file"), file) as archive:
            read_structure(archive)
        file.seek(0)
        return torch.load(file, weights_only=True)

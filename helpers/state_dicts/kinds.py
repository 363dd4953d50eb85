"""What the entries of a state dict can be, and what each kind means for those that read it.

Most are dense tensors. Others are made of several (sparse, quantized per channel, nested,
and subclasses such as torchao's and DTensor), have no memory (meta, fake), or are no
tensors at all: what `get_extra_state` returns, and packed parameters.

Save, Load, Ship 0.2.0: helpers/state_dicts/kinds.py · repairs: CHANGELOG.md
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, UntypedStorage, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from helpers.state_dicts.object_parts import object_parts

_SPARSE = {
    torch.sparse_coo: ("sparse COO", "_indices", "_values"),
    torch.sparse_csr: ("sparse CSR", "crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("sparse CSC", "ccol_indices", "row_indices", "values"),
    torch.sparse_bsr: ("sparse BSR", "crow_indices", "col_indices", "values"),
    torch.sparse_bsc: ("sparse BSC", "ccol_indices", "row_indices", "values"),
}
_PACKED = {torch.quint4x2, torch.quint2x4}  # several elements in a byte


def kind_of(value: Any) -> str:
    """Return "" for a dense tensor, "sparse CSR", "quantized", "nested", or a type's name.

    >>> kind_of(torch.eye(2).to_sparse()), kind_of({"factor": 7}), kind_of(torch.ones(2))
    ('sparse COO', 'dict', '')
    """
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.layout in _SPARSE:
        return _SPARSE[value.layout][0]
    for kind in ("nested", "quantized", "mkldnn"):
        if getattr(value, f"is_{kind}"):
            return kind
    return "" if has_memory(value) else type(value).__name__


def in_words(value: Any) -> str:
    """Return kind, dtype and shape, as a table or an error says them; "" for None.

    >>> in_words(torch.zeros(2, 3)), in_words(torch.eye(2).to_sparse()), in_words([1])
    ('float32 (2, 3)', 'sparse COO float32 (2, 2)', 'list')
    """
    if value is None:
        return ""
    shape = f" {shape_of(value)}" if isinstance(value, Tensor) else ""
    return dtype_name(value) + shape


def dtype_name(value: Any) -> str:
    """Return the dtype's short name, after the kind of what is not dense.

    >>> dtype_name(torch.zeros(2)), dtype_name(torch.eye(2).to_sparse()), dtype_name(b"")
    ('float32', 'sparse COO float32', 'bytes')
    """
    kind = kind_of(value)
    if not isinstance(value, Tensor):
        return kind
    kind = "" if kind == "quantized" else kind  # its dtype says so, as qint8 does
    return f"{kind} {value.dtype}".replace("torch.", "").strip()


def shape_of(tensor: Tensor) -> tuple:
    """Return the shape; "*" stands for a ragged dimension of a nested tensor.

    >>> shape_of(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))
    (2, '*')
    """
    if tensor.is_nested and tensor.layout is torch.strided:
        return (tensor.size(0), *["*"] * (tensor.dim() - 1))
    return tuple(n if isinstance(n, int) else "*" for n in tensor.shape)


def is_empty_shell(tensor: Tensor) -> bool:
    """Return whether the tensor has a shape and no values: on the meta device, or fake.

    >>> is_empty_shell(torch.empty(2, device="meta"))
    True
    """
    return tensor.is_meta or isinstance(tensor, FakeTensor)


def pieces(value: Any) -> tuple[Any, list[Any]] | None:
    """Return (form, the values that this one is made of); None where it is not made of any.

    Two values are the same if their forms are equal and all their pieces are the same.

    >>> form, (indices, values) = pieces(torch.eye(2).to_sparse())
    >>> values
    tensor([1., 1.])
    """
    if (parts := object_parts(value)) is not None:
        return parts
    if isinstance(value, torch.ScriptObject):  # packed parameters
        return type(value), [value.__getstate__()]
    if isinstance(value, UntypedStorage):
        return type(value), [
            torch.empty(0, dtype=torch.uint8, device=value.device).set_(value)
        ]
    if not isinstance(value, Tensor) or nn.parameter.is_lazy(value) or is_freed(value):
        return None
    tensor: Any = value.detach()
    form = [kind_of(value), value.dtype, shape_of(value)]
    if tensor.layout in _SPARSE:
        form.append(tensor.layout is torch.sparse_coo and tensor.is_coalesced())
        return form, [getattr(tensor, part)() for part in _SPARSE[tensor.layout][1:]]
    if tensor.is_nested and tensor.layout is torch.jagged:
        # Not flattened as other subclasses are: that depends on what it has cached.
        form.append(tensor._ragged_idx)
        return form, [tensor.values(), tensor.offsets(), tensor.lengths()]
    if tensor.is_nested:
        sizes = tensor._nested_tensor_size(), tensor._nested_tensor_strides()
        return form, [tensor.values(), *sizes, tensor._nested_tensor_storage_offsets()]
    if tensor.is_quantized:
        numbers = raw_bytes(tensor.contiguous())
        if tensor.qscheme() == torch.per_tensor_affine:
            return [*form, tensor.q_scale(), tensor.q_zero_point()], [numbers]
        scales = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
        return [*form, tensor.q_per_channel_axis()], [numbers, *scales]
    if is_traceable_wrapper_subclass(tensor):
        names, context = tensor.__tensor_flatten__()
        return [*form, *names], [getattr(tensor, name) for name in names] + [context]
    return None


def contents(value: Any, opens: Callable[[Any], bool] | None = None) -> Iterator[Any]:
    """Yield the value and all that is in it, the outer first, each object once.

    It may hold itself, and be nested more deeply than functions can call themselves.
    `opens` tells in which of them to look.

    >>> loop = [2.5]
    >>> loop.append(loop)
    >>> len(list(contents(loop)))
    2
    """
    seen: dict[int, Any] = {}  # with the object: the id of one that is gone is given again
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen and not isinstance(one, str | bytes):  # which Python may share
            continue
        seen[id(one)] = one
        yield one
        if kind_of(one) and (opens is None or opens(one)):
            inside = (pieces(one) or (None, []))[1]
            # The first piece of a quantized tensor is its own memory.
            waiting += reversed(inside[1:] if has_memory(one) else inside)


def raw_bytes(tensor: Tensor) -> Tensor:
    """Return the memory from a tensor's first element to its last, uint8, not a copy.

    What is written into it is written into the tensor, of whatever dtype, also where the
    tensor itself refuses (made by `expand`, or under `torch.inference_mode`).

    >>> row = torch.zeros(3)
    >>> raw_bytes(row.expand(2, 3)).shape
    torch.Size([12])
    """
    storage, (start, stop) = tensor.untyped_storage(), _place_of(tensor)
    length = max(0, min(stop, storage.nbytes()) - start)  # packed types need less
    alias = torch.empty(0, dtype=torch.uint8, device=storage.device)
    return alias.set_(storage, start, (length,), (1,))


def is_freed(tensor: Tensor) -> bool:
    """Return whether the tensor's memory was given back, as FSDP does: it has no values.

    >>> weight = torch.ones(2)
    >>> _ = weight.untyped_storage().resize_(0)
    >>> is_freed(weight)
    True
    """
    if not has_memory(tensor) or tensor.is_meta or tensor.dtype in _PACKED:
        return False
    return tensor.numel() > 0 and _place_of(tensor)[1] > tensor.untyped_storage().nbytes()


def _place_of(tensor: Tensor) -> tuple[int, int]:
    """Return the first byte of a tensor in its storage, and the first one behind it."""
    size = tensor.element_size()
    start = int(tensor.storage_offset() * size)
    reach = sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)
    )
    return start, int(start + (reach + 1) * size) if tensor.numel() else start


def copied(value: Any) -> Any:
    """Return an independent copy; of what refuses to be copied (a lock), the thing itself.

    Raises:
        ValueError: it is nested more deeply than Python can copy.

    >>> state = {"history": [torch.zeros(1)]}
    >>> copied(state)["history"][0] is state["history"][0]
    False
    """
    memo: dict[int, Any] = {}  # id of an object -> its copy
    try:
        for one in contents(value, lambda one: type(one) in (dict, list, tuple)):
            if type(one) is dict:
                memo |= {id(key): key for key in one}
            elif type(one) not in (list, tuple):
                memo[id(one)] = _copied_object(one)
        return copy.deepcopy(value, memo)
    except RecursionError:
        what = type(value).__name__
        raise ValueError(f"a {what} is nested too deeply to be copied") from None


def _copied_object(value: Any) -> Any:
    if has_memory(value) and is_freed(value):
        return value
    try:
        if isinstance(value, Tensor):
            return value.detach().clone()
    except (RuntimeError, ValueError):  # packed 4-bit types can be copied deeply alone
        value = value.detach()
    try:
        return copy.deepcopy(value)
    except RecursionError:
        raise
    except Exception:
        return value


def has_memory(value: Any) -> bool:
    """Return whether the value is a tensor with a storage of its own.

    >>> has_memory(torch.ones(1)), has_memory(torch.eye(2).to_sparse()), has_memory([])
    (True, False, False)
    """
    if not isinstance(value, Tensor) or is_traceable_wrapper_subclass(value):
        return False
    try:
        value.untyped_storage().data_ptr()
        return not value.is_nested
    except (RuntimeError, ValueError):  # ValueError: of a lazy parameter
        return False

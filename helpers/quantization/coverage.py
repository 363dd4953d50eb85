"""What of a model is quantized, what stays in float and why, and what it weighs.

Save, Load, Ship 0.2.0: helpers/quantization/coverage.py · repairs: CHANGELOG.md
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from helpers.quantization.folding import fold
from helpers.quantization.inputs import Inputs, run
from helpers.quantization.layers import (
    KINDS,
    is_quantizable,
    kept_layers,
    refusal,
    weight_names,
)
from helpers.quantization.packing import tensor_bytes

_ATEN = torch.ops.aten
# Products that PyTorch's own registry of flops leaves out: the multiplications of each.
_PRODUCTS: dict[Any, Callable[..., int]] = {
    _ATEN.mv: lambda matrix, vector: matrix.numel(),
    _ATEN.addmv: lambda bias, matrix, vector, **_: matrix.numel(),
    # Bilinear: of the inputs (N, i) and (N, j) with the weight (o, i, j).
    _ATEN._trilinear: lambda x, weight, *_: len(x) * weight.numel(),
}
_COPIES = (_ATEN.clone, _ATEN._to_copy)
UNSTORED = "(no stored weight)"
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_COLUMNS = ["layer", "kind", "bytes", "multiplications", "quantized", "why"]


def coverage(
    model: nn.Module, inputs: Inputs | None = None, keep_float: Iterable[str] = ()
) -> pd.DataFrame:
    """List every layer that holds parameters: quantized, or left in float and why.

    The model is looked at as `quantize_model` treats it: folded, in eval mode.

    Args:
        model: any model; it is not touched.
        inputs: of the model, such as one image: a tensor, a tuple of arguments or a
            mapping of their names. With them the multiplications are counted, by running
            a copy once.
        keep_float: as for quantize_model.

    Returns:
        One row a layer, in the model's order: layer, kind, bytes (of its parameters and
        saved buffers; the first of those that share a tensor has them), multiplications
        (share of the run's, 0 to 1; NaN without inputs), quantized (its weights are), why
        (it is not; or a remark). The bytes add up to packed_bytes(model, None). A last
        row has the products without a stored weight: of activations, as in attention, and
        with weights that are computed.

    Raises:
        ValueError: a name in keep_float is not a layer's.

    >>> table = coverage(nn.Sequential(nn.Linear(4, 8), nn.LSTM(8, 8)), torch.rand(3, 4))
    >>> table[["layer", "kind", "bytes", "quantized"]].values.tolist()
    [['0', 'Linear', 160, True], ['1', 'LSTM', 2304, False]]
    >>> table["multiplications"].round(2).tolist(), table["why"][1]
    ([0.06, 0.94], 'recurrent layers are not treated')
    """
    folded, norms = fold(model)
    kept = kept_layers(folded, keep_float)
    held, users, spans = _memory(folded)
    counts = {} if inputs is None else _multiplications(folded, inputs, spans)
    total, none = sum(counts.values()), math.nan if inputs is None else 0.0
    layers = dict(folded.named_modules())
    reasons = {name: _why_float(name, layers[name], kept, norms) for name in held}
    rows = []
    for name, size in held.items():
        why, quantized = reasons[name], not reasons[name]
        share = counts[name] / total if counts.get(name) else none
        for other in users[name] if quantized else ():
            quantized = quantized and not reasons[other]
            why = f"has a weight in common with {other}" + (
                f", which stays in float: {reasons[other]}" if reasons[other] else ""
            )
        looked_up = isinstance(layers[name], nn.Embedding)
        if quantized and share == 0 and not (users[name] or looked_up):
            why = "quantized, but no product of this run uses its weight"
        rows.append((name, type(layers[name]).__name__, size, share, quantized, why))
    if counts.get(UNSTORED):
        why = "products of activations, or with weights that are computed"
        rows.append((UNSTORED, "", 0, counts[UNSTORED] / total, False, why))
    return pd.DataFrame(rows, columns=_COLUMNS)


def _why_float(name: str, layer: nn.Module, kept: set[str], norms: dict[str, str]) -> str:
    """Say why a layer stays in float; "" where its weights are quantized."""
    if name in kept:
        return "named in keep_float"
    if is_quantizable(layer):
        found = (refusal(name, layer, weight) for weight in weight_names(layer))
        return next(filter(None, found), "")
    if name in norms:
        return f"a batch norm that is not folded: {norms[name]}"
    if isinstance(layer, _RECURRENT):
        return "recurrent layers are not treated"
    if isinstance(layer, KINDS):
        return "its forward is its own, so how it uses its weight is not known"
    if large := [key for key, tensor in _tensors(layer) if tensor.dim() > 1]:
        return f"{', '.join(large)}: not of one of PyTorch's layers that are treated"
    return "vectors alone, which engines keep in float"


_Spans = dict[int, list[tuple[int, int, str]]]


def _memory(model: nn.Module) -> tuple[dict[str, int], dict[str, set[str]], _Spans]:
    """Return the bytes of each layer, who shares a tensor with whom, and where they lie."""
    held: dict[str, int] = {}
    first: dict[object, str] = {}
    users: dict[str, set[str]] = {}
    spans: _Spans = {}
    for path, layer in model.named_modules():
        # What a parametrization keeps belongs to the layer whose weight it computes.
        name = f".{path}".partition(".parametrizations")[0].removeprefix(".")
        for _, tensor in _tensors(layer):
            users.setdefault(name, set())
            plain = type(tensor) in (torch.Tensor, nn.Parameter) and not tensor.is_meta
            place = tensor.data_ptr() if plain and tensor.numel() else f"{id(tensor)}"
            owner = first.setdefault(place, name)
            held[name] = held.get(name, 0) + (tensor_bytes(tensor) if owner == name else 0)
            if owner != name:
                users[name].add(owner)
                users[owner].add(name)
            elif plain and tensor.numel():
                start = tensor.data_ptr()
                storage = tensor.untyped_storage().data_ptr()
                spans.setdefault(storage, []).append((start, start + tensor.nbytes, name))
    return held, users, spans


def _tensors(layer: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a layer's own parameters and saved buffers; without what has no values yet."""
    for key, tensor in {**layer._parameters, **layer._buffers}.items():
        saved = key not in layer._non_persistent_buffers_set
        if saved and tensor is not None and not nn.parameter.is_lazy(tensor):
            yield key, tensor


def _multiplications(model: nn.Module, inputs: Inputs, spans: _Spans) -> Counter:
    """Return how many multiplications each layer's weights take part in, in one run."""
    counter = _Counting(spans)
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of switches that other machines have
        # Kernels that do a whole layer at once would hide its products.
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.no_grad())
        stack.enter_context(counter)
        run(model, inputs)
    return counter.counts


class _Counting(TorchDispatchMode):
    """Counts the multiplications of all that runs, for the layer whose weight they use."""

    def __init__(self, spans: _Spans):
        super().__init__()
        self.spans = spans
        self.counts: Counter[str] = Counter()
        self.copies: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        packet = func._overloadpacket
        if count := flop_registry.get(packet):
            # A flop is half a multiplication: each comes with an addition.
            self.counts[self._owner(args)] += count(*args, **kwargs, out_val=out) // 2
        elif product := _PRODUCTS.get(packet):
            self.counts[self._owner(args)] += product(*args, **kwargs)
        # A copy of a weight, in another dtype or order, stands for it.
        elif packet in _COPIES and (owner := self._owner(args)) != UNSTORED:
            self.copies.append(out)  # kept, so that its memory is nobody else's
            start, storage = out.data_ptr(), out.untyped_storage().data_ptr()
            span = (start, start + out.nbytes, owner)
            self.spans.setdefault(storage, []).append(span)
        return out

    def _owner(self, args: tuple) -> str:
        for tensor in args:
            if isinstance(tensor, torch.Tensor) and tensor.dim() > 1:
                storage = tensor.untyped_storage().data_ptr()
                for start, end, name in self.spans.get(storage, ()):
                    if start <= tensor.data_ptr() < end:
                        return name
        return UNSTORED

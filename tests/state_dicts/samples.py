"""Every kind of entry, and every kind of model, that the library has to cope with."""

import io
import threading
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils import parametrizations, prune


def _per_channel(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scales, zeros = torch.tensor([0.1, 0.2]), torch.tensor([1, 2])
    zeros = zeros.float() if dtype is torch.quint4x2 else zeros
    return torch.quantize_per_channel(values, scales, zeros, 0, dtype)


def _inference(values: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return values.clone()


def _int8(values: torch.Tensor) -> torch.Tensor:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    layer = nn.Linear(4, 2, bias=False)
    layer.weight.data = values
    quantize_(layer, Int8WeightOnlyConfig())
    return layer.weight.detach()


class Marked(torch.Tensor):
    """A subclass with memory of its own, as bitsandbytes has."""


# From dense float32 (2, 4); other numbers give another tensor of the kind.
KINDS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "dense": torch.clone,
    "COO": torch.Tensor.to_sparse,
    "COO, not coalesced": lambda v: torch.sparse_coo_tensor(
        [[0, 0], [1, 1]], v.flatten()[:2], (2, 4)
    ),
    "CSR": torch.Tensor.to_sparse_csr,
    "CSC": torch.Tensor.to_sparse_csc,
    "BSR": lambda v: v.to_sparse_bsr((1, 2)),
    "BSC": lambda v: v.to_sparse_bsc((1, 2)),
    "qint8": lambda v: torch.quantize_per_tensor(v, 0.1, 3, torch.qint8),
    "quint8": lambda v: torch.quantize_per_tensor(v, 0.1, 3, torch.quint8),
    "qint32": lambda v: torch.quantize_per_tensor(v, 0.1, 3, torch.qint32),
    "qint8 per channel": lambda v: _per_channel(v, torch.qint8),
    "quint4x2": lambda v: _per_channel(v, torch.quint4x2),
    "nested": lambda v: torch.nested.nested_tensor([v[0, :2], v[1, :3]]),
    "jagged": lambda v: torch.nested.nested_tensor(
        [v[0, :2], v[1, :3]], layout=torch.jagged
    ),
    "expanded": lambda v: v[:1].clone().expand(2, 4),
    "every second": lambda v: v.repeat(1, 2)[:, ::2],
    "transposed": lambda v: v.T.contiguous().T,
    "zero-size": lambda v: v[:0].clone(),
    "scalar": lambda v: v[0, 0].clone(),
    "complex": lambda v: torch.complex(v, -v),
    "complex32": lambda v: torch.complex(v, -v).to(torch.complex32),
    "conjugated": lambda v: torch.complex(v, -v).conj(),
    "negated": lambda v: torch.complex(v, -v).conj().imag,
    "int8 of torchao": _int8,
    "inference": _inference,
    "subclass": lambda v: v.clone().as_subclass(Marked),
    "bool": lambda v: v > 0.5,
    "fp4": lambda v: (10 * v).byte().view(torch.float4_e2m1fn_x2),
    "bits8": lambda v: (10 * v).byte().view(torch.bits8),
    "uint4": lambda v: (10 * v).byte().view(torch.uint4),
    **{
        dtype: lambda v, dtype=dtype: v.to(getattr(torch, dtype))
        for dtype in (
            *("float16", "bfloat16", "float64", "uint16", "uint32", "uint64", "int64"),
            *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
            "float8_e8m0fnu",
        )
    },
}


def entry(kind: str, seed: int = 0) -> torch.Tensor:
    """Return a tensor of the kind, always the same for a seed."""
    values = torch.rand(2, 4, generator=torch.Generator().manual_seed(seed)) + 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # beta features, and deprecated ones
        return KINDS[kind](values)


class Extra(nn.Module):
    """Has state that is no tensor, some of it changed in place, and a lock."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.factor, self.history = 1.0, [torch.zeros(2)]
        self.counts = {"deep": {"n": 0}}
        self.lock, self.generator = threading.Lock(), (n for n in range(3))

    def get_extra_state(self):
        state = {"factor": self.factor, "history": self.history, "note": b"\x00"}
        return state | {"n": self.counts["deep"]["n"]}

    def set_extra_state(self, state):
        self.factor, self.counts["deep"]["n"] = state["factor"], state["n"]
        for mine, other in zip(self.history, state["history"], strict=True):
            mine.copy_(other)


def _mixed() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2, bias=False))
    net.register_buffer("scratch", torch.rand(2), persistent=False)
    net.register_buffer("nothing", None)
    net[0].weight.grad = torch.rand(3, 2)
    net[2].weight.requires_grad_(False)
    return net


def _tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    net[2].register_buffer("view", net[0].weight.detach()[0])
    return net


def _used(net: nn.Module) -> nn.Module:
    net(torch.rand(2, 1, 8))
    return net


def _pruned() -> nn.Module:
    net = nn.Sequential(nn.Conv1d(1, 2, 3))
    prune.random_unstructured(net[0], "weight", 0.5)
    return _used(net)


def _int8_net() -> nn.Module:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    quantize_(net, Int8WeightOnlyConfig())
    return net


def _packed() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nn.Sequential(nn.Linear(4, 3), nn.LSTM(3, 2))
        return torch.ao.quantization.quantize_dynamic(net, {nn.Linear, nn.LSTM})


def _quantized() -> nn.Module:
    net = torch.ao.nn.quantized.Conv2d(1, 2, 3, bias=False)
    weight = torch.quantize_per_tensor(torch.rand(2, 1, 3, 3), 0.1, 0, torch.qint8)
    net.set_weight_bias(weight, None)
    return net


MODELS: dict[str, Callable[[], nn.Module]] = {
    "parameters, buffers, gradients": _mixed,
    "ties and views": _tied,
    "extra state": Extra,
    "packed parameters": _packed,
    "quantized, with None for a bias": _quantized,
    "torchao": _int8_net,
    "compiled": lambda: torch.compile(_mixed()),
    "scripted": lambda: torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU())),
    "recurrent": lambda: nn.LSTM(2, 2),
    "pruned": _pruned,
    "data parallel": lambda: nn.DataParallel(nn.Linear(2, 2)),
    **{
        f"{norm.__module__.split('.')[-1]}.{norm.__name__}": lambda norm=norm: _used(
            nn.Sequential(norm(nn.Conv1d(1, 2, 3)))
        )
        for norm in (
            nn.utils.weight_norm,
            nn.utils.spectral_norm,
            parametrizations.weight_norm,
            parametrizations.spectral_norm,
            parametrizations.orthogonal,
        )
    },
}


def model(kind: str, seed: int = 0) -> nn.Module:
    """Return a model of the kind, or one with a buffer of that kind of entry."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind in MODELS:
            return MODELS[kind]()
        net = nn.Sequential(nn.Linear(2, 2), nn.Identity(), nn.Linear(2, 2))
    net[1].register_buffer("entry", entry(kind, seed))
    return net


def content(value: object) -> bytes:
    """Return the bits of an entry; in torch's own words, not in the library's."""
    if isinstance(value, torch.Tensor) and value.dtype is torch.uint4:
        value = value.view(torch.uint8)
    torch.save(value, buffer := io.BytesIO())
    return buffer.getvalue()


def photograph(net: nn.Module) -> dict:
    """Return all that must be as before after an undo: objects, places, bits."""
    shot = {}
    for name, t in (*net.named_parameters(), *net.named_buffers()):
        grad = t.grad if t.is_leaf else None
        place = (
            t.data_ptr() if t.layout is torch.strided and "Int8" not in str(type(t)) else 0
        )
        shot[name] = (id(t), type(t), t.device, t.requires_grad, id(grad))
        shot[f"place of {name}"] = place
        shot[f"bits of {name}"] = content(t.detach()), content(grad)
    shot["state"] = {name: content(value) for name, value in net.state_dict().items()}
    for name, module in net.named_modules():
        shot[f"attributes of {name}"] = {k: id(v) for k, v in vars(module).items()}
    return shot

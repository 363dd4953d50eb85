"""Follow the data through a model: which of its layers run, and in which order.

Save, Load, Ship 0.2.0: helpers/quantization/data_flow.py · repairs: CHANGELOG.md
"""

import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch import fx, nn

Path = list[tuple[str, fx.Node]]
_ONE_AT_A_TIME = threading.Lock()


def followed(
    module: nn.Module, is_leaf: Callable[[nn.Module], bool], prefix: str = ""
) -> Iterator[list[Path]]:
    """Yield for each part of a model that torch.fx can follow the calls in its paths.

    A path is a list of (module's name, node); a node that reads a module's tensor counts.
    A part has two paths where arguments have defaults: one with these, and one where all
    are given. Where the model cannot be followed as a whole (a path depends on values),
    the parts inside it are, one by one.

    Args:
        module: the model.
        is_leaf: says of a module that what is inside it is not looked at.
        prefix: of the names.

    >>> ((path,),) = followed(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), lambda m: False)
    >>> [name for name, _ in path]
    ['0', '1']
    """
    try:
        if "forward" in vars(module):  # which is not what would be followed
            raise TypeError("its forward is not that of its class")
        parameters = inspect.signature(module.forward).parameters.values()
        defaults = {
            p.name: p.default for p in parameters if p.default in (None, True, False)
        }
        graphs = [_trace(module, is_leaf, None)]
        if defaults:
            graphs += _trace_with(module, is_leaf, defaults)
    except Exception:  # whatever a model's own code may raise on a proxy
        for name, child in module.named_children():
            yield from followed(child, is_leaf, f"{prefix}{name}.")
        return
    yield [[*_calls(graph, prefix)] for graph in graphs]


def _trace_with(
    module: nn.Module, is_leaf: Any, defaults: dict[str, Any]
) -> list[fx.Graph]:
    try:
        return [_trace(module, is_leaf, defaults)]
    except Exception as error:
        if isinstance(error, fx.proxy.TraceError) or "Proxy" in str(error):
            raise
        return []  # whoever leaves these arguments out gets an error


def _trace(module: nn.Module, is_leaf: Any, defaults: dict[str, Any] | None) -> fx.Graph:
    with _ONE_AT_A_TIME:
        return _Tracer(is_leaf).trace(module, defaults)


def _calls(graph: fx.Graph, prefix: str) -> Iterator[tuple[str, fx.Node]]:
    for node in graph.nodes:
        name = str(node.target)
        if node.op == "get_attr":
            name = name.rpartition(".")[0]
        if node.op in ("call_module", "get_attr"):
            yield (prefix + name).removesuffix("."), node


class _Tracer(fx.Tracer):
    """Follows one thread: torch.fx replaces the call of every module in the process."""

    def __init__(self, is_leaf: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self.thread, self.is_leaf = threading.get_ident(), is_leaf

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self.is_leaf(m) or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: Any, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

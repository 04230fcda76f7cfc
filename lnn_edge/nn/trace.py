"""A torch module -> its graph of whole layers, each with the user's line.

torch.fx with two additions: nodes carry example values, which answer what forward asks of shapes,
and the line of forward that made them.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, fx, nn

from lnn_edge.errors import LayerError, UsageError
from lnn_edge.nn import recurrent
from lnn_edge.nn.layers import REGISTERED, with_cells
from lnn_edge.nn.recurrent import Recurrent

Line = tuple[str, int]
_OURS = (torch.__path__[0], __file__, recurrent.__file__)


def trace(module: nn.Module, examples: Sequence[Tensor]) -> fx.GraphModule:
    """Return the graph of a module: layers whole, recurrent ones made of cells, no node twice.

    Args:
        module: Left as it is.
        examples: Inputs of forward, of one sequence or several.

    Raises:
        LayerError: forward loops over time or branches on values, or a layer is not known.
    """
    module = with_cells(module)
    if isinstance(module, Recurrent):
        module = nn.Sequential(module)
    tracer = _Tracer(examples)
    try:
        graph = tracer.trace(module)
    except LayerError:
        raise
    except UsageError as error:
        raise LayerError(f"{_words(_line_of(error.__traceback__))}: {error}") from None
    except Exception as error:  # whatever forward raises where its values are not there
        raise LayerError(_no_graph(error)) from None
    traced = fx.GraphModule(module, graph)
    _without_writes(traced.graph)
    _merge_equal(traced.graph)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


def where(node: fx.Node) -> str:
    """Return file, line and text of the user's code that made a node, or the layer of a file."""
    origin: str = node.meta.get("origin", "")
    return origin or (_words(node.meta["line"]) if "line" in node.meta else node.name)


def last_nodes(traced: fx.GraphModule) -> dict[str, fx.Node]:
    """Return the last node of each layer of a traced module, by the layer's name."""
    return {str(n.meta.get("place", "")).split(".")[0]: n for n in traced.graph.nodes}


def _origin_of(root: Any, path: str) -> str:
    """Return what the layers on a path, one inside the other, say of where they come from."""
    said, layer = getattr(root, "origin", ""), root
    for name in filter(None, path.split(".")):
        layer = getattr(layer, name)
        said = getattr(layer, "origin", said)
    return said


def _words(line: Line) -> str:
    file, number = line
    return f"{Path(file).name}:{number}: {linecache.getline(file, number).strip()}"


def _line_of(traceback: TracebackType | None) -> Line:
    """Return the innermost line of the user's code in a traceback."""
    line = ("forward", 0)
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith(_OURS) and Path(file).parent != Path(__file__).parent:
            line = (file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _no_graph(error: Exception) -> str:
    line = _words(_line_of(error.__traceback__))
    if "'len'" in str(error):
        return f"{line}: len of a tensor cannot be read; write x.shape[0]"
    reason = " ".join(str(error).split())[:200]
    return (
        f"{line}: a loop over time or a branch on values has no place on a device; take a whole "
        f"layer (CfC, LTC, LSTM, GRU) instead ({reason})"
    )


class _Shape(fx.Proxy):
    """A proxy that knows its length, and its number of axes, where its example does."""

    def __getattr__(self, k: str) -> Any:
        example = self.node.meta.get("example")
        if isinstance(example, Tensor) and k in ("ndim", "dim"):
            return example.ndim if k == "ndim" else example.dim
        return super().__getattr__(k)

    def __len__(self) -> int:
        example = self.node.meta.get("example")
        return len(example) if isinstance(example, tuple | list) else super().__len__()


class _Tracer(fx.Tracer):
    """Keeps layers whole; nodes get an example value and the line of forward."""

    def __init__(self, examples: Sequence[Tensor]) -> None:
        super().__init__()
        self._given = list(examples)
        self._is_computing = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Leave layers of torch and cells whole."""
        is_layer = isinstance(m, Recurrent) or m.__module__.startswith("torch.nn")
        return (is_layer or type(m) in REGISTERED) and not isinstance(m, nn.Sequential)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Note the user's line."""
        node = super().create_node(*args, **kwargs)
        frame = sys._getframe()
        while frame is not None and frame.f_code.co_filename.startswith(_OURS):
            frame = frame.f_back  # type: ignore[assignment]
        if frame is not None:
            node.meta["line"] = (frame.f_code.co_filename, frame.f_lineno)
        node.meta["place"] = self.scope.module_path
        node.meta["origin"] = _origin_of(self.root, self.scope.module_path)
        return node

    def create_proxy(self, *args: Any, **kwargs: Any) -> fx.Proxy:
        """Compute the example of a node from those that it reads."""
        proxy = super().create_proxy(*args, **kwargs)
        node = proxy.node
        if node.op == "placeholder":
            node.meta["example"] = self._given.pop(0) if self._given else None
        elif node.op != "output":
            known = fx.node.map_arg((node.args, node.kwargs), self._known)
            versions = {n: _version(n) for n in node.all_input_nodes}
            self._is_computing = True
            try:
                with torch.no_grad():
                    node.meta["example"] = self._example(node, *known)
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                reason = " ".join(str(error).split())[:200]
                raise LayerError(
                    f"{where(node)}: forward fails on the calibration data ({reason}); give longer "
                    "sequences, of the channels that it reads"
                ) from None
            finally:
                self._is_computing = False
            node.meta["writes"] = [n for n, version in versions.items() if _version(n) != version]
        return proxy

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return a proxy that knows its length."""
        return _Shape(node, self)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """Unpack a shape, or what a layer returns."""
        example = obj.node.meta.get("example")
        if isinstance(example, tuple | list):
            parts: Any = obj
            return iter([parts[i] for i in range(len(example))])
        return super().iter(obj)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Answer a question about shapes; one about values has no answer."""
        example = obj.node.meta.get("example")
        return example if isinstance(example, bool) else super().to_bool(obj)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Leave parameters alone while an example is computed."""
        if self._is_computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Run a layer itself while an example is computed."""
        if self._is_computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def _known(self, node: fx.Node) -> Any:
        if "example" not in node.meta:  # a tensor made in forward: fx keeps it as a constant
            node.meta["example"] = getattr(self.root, str(node.target))
        return node.meta["example"]

    def _example(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        target: Any = node.target
        if node.op == "call_module":
            return self.root.get_submodule(target).forward(*args, **kwargs)
        if node.op == "get_attr":
            owner, _, name = target.rpartition(".")
            return getattr(self.root.get_submodule(owner), name)
        if node.op == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs)


def _version(node: fx.Node) -> int | None:
    """Return how often a tensor was written; None of what is none."""
    example = node.meta.get("example")
    return example._version if isinstance(example, Tensor) else None


def _without_writes(graph: fx.Graph) -> None:
    """Let later nodes read the result of a node that writes into its input, as torch does.

    Raises:
        LayerError: A later node reads what was written by way of another view.
    """
    before: list[fx.Node] = []
    for node in list(graph.nodes):
        for written in node.meta.get("writes", ()):
            shared = [n for n in before if _share_memory(n, written)]
            earlier = {*before, node}
            later = {reader for other in shared for reader in other.users} - earlier
            if node.args[:1] != (written,) or later - set(written.users):
                raise LayerError(
                    f"{where(node)}: writes into a value that is read by another name; leave out "
                    "the underscore, inplace or out"
                )
            for reader in later:
                reader.replace_input_with(written, node)
            if len(written.users) > 1 or any(n.op in ("placeholder", "get_attr") for n in shared):
                with graph.inserting_before(node):
                    copied = graph.call_method("clone", (written,))
                copied.meta.update(node.meta | {"writes": []})
                node.replace_input_with(written, copied)
        before.append(node)


def _share_memory(a: fx.Node, b: fx.Node) -> bool:
    examples = [n.meta.get("example") for n in (a, b)]
    if not all(isinstance(e, Tensor) and e.numel() for e in examples):
        return False
    first, second = (e.untyped_storage().data_ptr() for e in examples)  # type: ignore[union-attr]
    return bool(first == second)


def _merge_equal(graph: fx.Graph) -> None:
    """Compute once what is computed twice: x.mT, or a layer called twice on one value."""
    seen: dict[str, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op in ("placeholder", "output"):
            continue
        key = repr((node.op, node.target, node.args, node.kwargs))
        first = seen.setdefault(key, node)
        if first is not node:
            node.replace_all_uses_with(first)
            graph.erase_node(node)

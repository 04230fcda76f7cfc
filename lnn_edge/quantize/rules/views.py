"""Views: the view itself is run on the places of the numbers, so nothing moves."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from lnn_edge.errors import LayerError
from lnn_edge.nn.plan import time_key
from lnn_edge.nn.proof import sizes_of
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import Lowering, Rule, Value

METHODS = (
    *("transpose", "permute", "movedim", "reshape", "view", "flatten", "unflatten", "squeeze"),
    *("unsqueeze", "mT", "T", "swapaxes", "swapdims", "select", "narrow", "chunk", "split"),
)
FUNCTIONS = (
    *(torch.transpose, torch.permute, torch.movedim, torch.reshape, torch.flatten),
    *(torch.squeeze, torch.unsqueeze, torch.unflatten, torch.swapaxes, torch.select, torch.narrow),
    *(torch.chunk, torch.split),
)
NOTHING = (nn.Dropout, nn.Identity, functional.dropout, "contiguous", "clone", "float", "to")


def view(lowering: Lowering, node: fx.Node) -> None:
    """Set the value of a view: what it makes of the places."""
    first: Any = node.args[0]
    held = lowering.values.get(first.name)
    if node.target is operator.getitem and isinstance(held, tuple):
        lowering.values[node.name] = held[node.args[1]]  # type: ignore[index]
        return
    value = lowering.value(first)
    sizes = lowering.plan.axes[first.name].sizes
    places = torch.from_numpy(np.ascontiguousarray(value.places)).reshape(sizes)
    out = apply(lowering, node, places)
    if isinstance(out, tuple):
        own = [
            place
            for place, n in enumerate(lowering.plan.axes[first.name].names)
            if isinstance(n, int)
        ]
        parts = (part.reshape([part.shape[i] for i in own]).numpy() for part in out)
        lowering.values[node.name] = tuple(Value(value.tensor, part) for part in parts)
        return
    static = lowering.plan.axes[node.name].static
    lowering.values[node.name] = Value(value.tensor, out.reshape(static).numpy())


def same(lowering: Lowering, node: fx.Node) -> None:
    """Pass a value on."""
    check_floats(node)
    lowering.values[node.name] = lowering.value(node.args[0])


def check_floats(node: fx.Node) -> None:
    """Refuse a conversion to integers.

    Raises:
        LayerError: The node is one.
    """
    example = node.meta.get("example")
    kind = example.dtype if isinstance(example, Tensor) else torch.float32
    if not kind.is_floating_point:
        raise LayerError(f"{where(node)}: {kind} has no operator; leave the conversion out")


def window(lowering: Lowering, node: fx.Node) -> None:
    """Set the value of a cut or unfold of time: elements of the ring's window."""
    source, read, ring = lowering.source, lowering.read(node), lowering.window
    assert read is not None
    assert ring is not None
    size = source.tensor.size
    end = ring.shape[0] - read.lag
    if node.target == "unfold":
        elements = range(end - read.size, end, read.step)
        places = np.stack([source.places + size * t for t in elements], -1)
    else:
        places = source.places + size * (end - 1)
    lowering.values[node.name] = Value(ring, places)


def apply(lowering: Lowering, node: fx.Node, places: Tensor) -> Tensor:
    """Return what a view makes of numbers that lie as its input does, one sequence, one step."""
    layer, target = lowering.layer(node), node.target
    if layer is not None:
        return layer(places)  # type: ignore[no-any-return]
    given: Any = fx.node.map_arg(
        (node.args, node.kwargs), lambda n: places if n is node.args[0] else _size(lowering, n)
    )
    args, kwargs = given
    if node.op == "call_method":
        function: Any = getattr(places, str(target))
        out = function(*args[1:], **kwargs)
    elif target is operator.getitem:
        out = places[_without_time(lowering, node, args[1])]
    else:
        function = target
        out = function(*args, **kwargs)
    return out  # type: ignore[no-any-return]


def _without_time(lowering: Lowering, node: fx.Node, key: Any) -> Any:
    """Return an index whose cut of time, one element here, takes all of it."""
    first: Any = node.args[0]
    axes = lowering.plan.axes[first.name]
    if axes.time is None or not isinstance(time_key(node, axes), slice):
        return key
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(k is Ellipsis for k in keys):
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        keys[at : at + 1] = [slice(None)] * (len(axes.names) - len(keys) + 1)
    if axes.time < len(keys):
        keys[axes.time] = slice(None)
    return tuple(keys)


def _size(lowering: Lowering, node: fx.Node) -> Any:
    """Return a number that forward computes from shapes, as a device sees them."""
    sizes = sizes_of(lowering.plan, node)
    if sizes is not None:
        return sizes
    args = fx.node.map_arg(node.args, lambda n: _size(lowering, n))
    return node.target(*args)  # type: ignore[operator]


VIEW = Rule(view, reads="same")
RULES: dict[Any, Rule] = {
    "window": Rule(window),
    **dict.fromkeys((operator.getitem, getattr, nn.Flatten, nn.Unflatten), VIEW),
    **dict.fromkeys((*METHODS, *FUNCTIONS), VIEW),
    **dict.fromkeys(NOTHING, Rule(same, reads="same")),
}

"""Functions at an output that no device needs to compute: they change no decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

Ending = Callable[[Tensor], Tensor]

SOFTMAX = (nn.Softmax, torch.softmax, functional.softmax, "softmax")
LOG_SOFTMAX = (nn.LogSoftmax, torch.log_softmax, functional.log_softmax, "log_softmax")
ARGMAX = (torch.argmax, "argmax")


def _largest(scores: Tensor) -> Tensor:
    return scores.argmax(-1, keepdim=True).float()


ENDINGS: dict[str, tuple[tuple[Any, ...], Ending]] = {
    "softmax": (SOFTMAX, lambda x: torch.softmax(x, -1)),
    "log_softmax": (LOG_SOFTMAX, lambda x: torch.log_softmax(x, -1)),
    "argmax": (ARGMAX, _largest),
}
"""Name of each, what computes it, and its formula over the last axis."""


def cut_endings(traced: fx.GraphModule) -> list[str]:
    """Take a softmax or argmax over the last axis, or both, off each output of a traced module.

    Returns:
        The name of what was taken off, in the order of the outputs; "" for nothing.
    """
    (output,) = [n for n in traced.graph.nodes if n.op == "output"]
    found = []
    for node in list(output.all_input_nodes):
        name = last = _ending_of(traced, node)
        found.append(name)
        while last:
            before = node.all_input_nodes[0]
            output.replace_input_with(node, before)
            traced.graph.erase_node(node)
            node = before
            last = _ending_of(traced, node) if last == "argmax" else ""
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return found


def _ending_of(traced: fx.GraphModule, node: fx.Node) -> str:
    layer = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
    key = node.target if layer is None else type(layer)
    for name, (forms, _) in ENDINGS.items():
        if key in forms and _axis_of(node, layer) in _last_axes(node) and len(node.users) == 1:
            return name
    return ""


def _axis_of(node: fx.Node, layer: Any) -> Any:
    if layer is not None:
        return layer.dim
    return node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)


def _last_axes(node: fx.Node) -> tuple[int, ...]:
    example = node.all_input_nodes[0].meta.get("example")
    return (-1,) if example is None else (-1, example.ndim - 1)

"""How layers become integer operators: a file a family, open to other packages."""

from __future__ import annotations

from typing import Any

from torch import nn

from lnn_edge.nn.trace import LEAVES
from lnn_edge.quantize.lowering import Rule
from lnn_edge.quantize.rules import activations, arithmetic, pooling, recurrent, rows, views

RULES: dict[Any, Rule] = {
    **rows.RULES,
    **activations.RULES,
    **arithmetic.RULES,
    **pooling.RULES,
    **recurrent.RULES,
    **views.RULES,
}
"""By the type of a layer, by function, or by the name of a method."""


def register(layer: Any, rule: Rule) -> None:
    """Let a layer or function of another package become integer operators.

    Args:
        layer: Type of the layer, which then stays whole, or the function.
        rule: How it is lowered.
    """
    if isinstance(layer, type) and issubclass(layer, nn.Module):
        LEAVES.add(layer)
    RULES[layer] = rule

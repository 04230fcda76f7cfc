"""How layers become integer operators: a file a family, open to other packages."""

from __future__ import annotations

from collections import ChainMap
from typing import Any

from lnn_edge.nn.layers import REGISTERED
from lnn_edge.quantize.lowering import Rule
from lnn_edge.quantize.rules import activations, arithmetic, pooling, recurrent, rows, views

RULES: ChainMap[Any, Rule] = ChainMap(
    REGISTERED,
    rows.RULES,
    activations.RULES,
    arithmetic.RULES,
    pooling.RULES,
    recurrent.RULES,
    views.RULES,
)
"""By the type of a layer, by function, or by the name of a method; see nn.layers.register."""

"""Ranges of all values of a traced module, on calibration data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, fx

from lnn_edge.graph.scales import Ranges
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.nn.timing import Plan, layer_of
from lnn_edge.quantize.trained import MARGIN, Calibration

MOST_AT_ONCE = 64  # sequences
Sequences = Sequence[tuple[Tensor, ...]]
"""Inputs of forward, (1, T, ...) each, of every sequence."""


def observe(plan: Plan, sequences: Sequences) -> Ranges:
    """Return the range of every node, and of tensors inside cells as `NODE_INDEX_NAME`.

    Tails are left out (see ranges.range_without_tails); outputs keep theirs and a margin, since
    the largest decides.
    """
    inside, ends = Calibration(), Calibration()
    outputs = {node.name for node in plan.outputs.values()}
    with torch.no_grad():
        for inputs in _batches(sequences):
            _Observer(plan.traced, inside, ends, outputs).run(*inputs)
    return {**inside.ranges(), **{name: _whole(parts) for name, parts in ends.values.items()}}


def _batches(sequences: Sequences) -> Iterator[tuple[Tensor, ...]]:
    """Yield the sequences, those side by side that are of one length."""
    for _, alike in groupby(sequences, key=lambda s: [x.shape for x in s]):
        rows = list(alike)
        for i in range(0, len(rows), MOST_AT_ONCE):
            yield tuple(torch.cat(parts) for parts in zip(*rows[i : i + MOST_AT_ONCE], strict=True))


def _whole(parts: Sequence[Tensor]) -> tuple[float, float]:
    values = torch.cat(tuple(parts))
    return float(values.min()) * MARGIN, float(values.max()) * MARGIN


class _Observer(fx.Interpreter):
    def __init__(
        self, traced: fx.GraphModule, inside: Calibration, ends: Calibration, outputs: set[str]
    ) -> None:
        super().__init__(traced)
        self._traced, self._inside, self._ends, self._outputs = traced, inside, ends, outputs

    def run_node(self, n: fx.Node) -> Any:
        layer = layer_of(self._traced, n)
        value = self._recur(n, layer) if isinstance(layer, Recurrent) else super().run_node(n)
        seen = value[0] if isinstance(value, tuple) and value else value
        if isinstance(seen, Tensor) and seen.is_floating_point() and n.op != "get_attr":
            (self._ends if n.name in self._outputs else self._inside).tap(n.name, seen)
        return value

    def _recur(self, node: fx.Node, layer: Recurrent) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        spans = kwargs.get("timespans", args[2] if len(args) > 2 else None)
        prefix = f"{node.name}_"
        y, states = layer.run(
            args[0], spans, None, lambda name, v: self._inside.tap(prefix + name, v)
        )
        return layer.returned(y, states)

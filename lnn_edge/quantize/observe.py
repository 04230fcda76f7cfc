"""Ranges of all values of a traced module, on calibration data."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

import torch
from torch import Tensor, fx

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.ranges import range_without_tails
from lnn_edge.graph.scales import Ranges
from lnn_edge.nn.axes import first_output
from lnn_edge.nn.cell import Tap
from lnn_edge.nn.plan import Plan, layer_of
from lnn_edge.nn.recurrent import Recurrent

MARGIN = 1.1  # of the outputs, which must not saturate: the largest decides
MOST_AT_ONCE = 64  # sequences
Sequences = Sequence[tuple[Tensor, ...]]
"""Inputs of forward, (1, T, ...) each, of every sequence."""


@dataclass(frozen=True)
class Calibration:
    """Collects values of tapped tensors.

    Attributes:
        outputs: Names of those that leave the model: their ranges keep their tails and a margin,
            since the largest decides.
        values: By name, flat.
    """

    outputs: frozenset[str] = frozenset()
    values: dict[str, list[Tensor]] = field(default_factory=dict)

    def tap(self, name: str, value: Tensor) -> Tensor:
        """Record a tensor's values and return it."""
        self.values.setdefault(name, []).append(value.detach().flatten().clone())
        return value

    def ranges(self) -> Ranges:
        """Return the (low, high) of each tensor without its tails; outputs keep theirs."""
        return {name: self._range(name, torch.cat(parts)) for name, parts in self.values.items()}

    def _range(self, name: str, values: Tensor) -> tuple[float, float]:
        if not bool(torch.isfinite(values).all()):
            raise QuantizationError(f"{name} is not finite on the calibration data; train again")
        if name in self.outputs:
            return float(values.min()) * MARGIN, float(values.max()) * MARGIN
        return range_without_tails(values.numpy())


def calibrate(
    plan: Plan, sequences: Iterable[tuple[Tensor, ...]], names: Container[str] | None = None
) -> Calibration:
    """Return the values of nodes, and of tensors inside cells as `NODE_INDEX_NAME`.

    Args:
        plan: What runs.
        sequences: Inputs of forward.
        names: Of the nodes to see; None for all. What is inside cells is seen in any case.
    """
    calibration = Calibration(frozenset(node.name for node in plan.outputs.values()))
    with torch.no_grad():
        for inputs in _batches(sequences):
            _Observer(plan.traced, calibration.tap, names).run(*inputs)
    return calibration


def observe(plan: Plan, sequences: Sequences) -> Ranges:
    """Return the ranges of what `calibrate` sees."""
    return calibrate(plan, sequences).ranges()


def _batches(sequences: Iterable[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """Yield the sequences, those side by side that are of one length."""
    for _, alike in groupby(sequences, key=lambda s: [x.shape for x in s]):
        while rows := list(islice(alike, MOST_AT_ONCE)):
            yield tuple(torch.cat(parts) for parts in zip(*rows, strict=True))


class _Observer(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule, tap: Tap, names: Container[str] | None) -> None:
        super().__init__(traced)
        self._traced, self._tap, self._names = traced, tap, names

    def run_node(self, n: fx.Node) -> Any:
        layer = layer_of(self._traced, n)
        value = self._recur(n, layer) if isinstance(layer, Recurrent) else super().run_node(n)
        if self._names is not None and n.name not in self._names:
            return value
        seen = first_output(value)
        if isinstance(seen, Tensor) and seen.is_floating_point() and n.op != "get_attr":
            self._tap(n.name, seen)
        return value

    def _recur(self, node: fx.Node, layer: Recurrent) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        spans = kwargs.get("timespans", args[2] if len(args) > 2 else None)
        prefix = f"{node.name}_"
        y, states = layer.run(args[0], spans, None, lambda name, v: self._tap(prefix + name, v))
        return layer.returned(y, states)

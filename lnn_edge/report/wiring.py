"""Which neurons a liquid network joins, and how strongly: shares of weights along all ways.

Walks an operator graph backwards. A matrix shares each of its rows among the columns by the
magnitude of real weights, synapses by their conductance; what treats elements alike passes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.graph.ir import AbstractOp, QTensor, makers_of
from lnn_edge.graph.ops.elementwise import Concat
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.ops.synapse import AbstractSynapseOp
from lnn_edge.graph.ops.unfold import Unfold
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.report.liquid import Layer

LARGEST = 128  # elements of a tensor whose nodes are drawn
Shares = dict[str, np.ndarray]
"""Of a tensor (N,): name of a source (K,) -> (N, K), signed where synapses tell a sign."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """Connections from one tensor to a layer or to the outputs.

    Attributes:
        source: Name of the tensor; that of a layer stands for its state one step before.
        target: Name of a layer's tensor, or of the output.
        shares: (N, K): part of the target's weights that leads to the source. Negative: inhibits.
    """

    source: str
    target: str
    shares: np.ndarray


@dataclass(frozen=True, eq=False)
class Wiring:
    """The connections of a liquid network.

    Attributes:
        inputs: Tensors that are read from outside.
        bundles: All connections.
        is_signed: Whether shares tell inhibition from excitation.
        left_out: Names of tensors that the outputs read besides.
    """

    inputs: tuple[QTensor, ...]
    bundles: tuple[Bundle, ...]
    is_signed: bool
    left_out: tuple[str, ...]


def wiring_of(graph: QGraph, layers: Sequence[Layer]) -> Wiring | None:
    """Return the wiring of a model with liquid neurons; None where they are too many to draw."""
    if not layers or sum(layer.size for layer in layers) > LARGEST:
        return None
    walk = _Walk(graph, layers)
    bundles = [
        Bundle(source, layer.tensor.name, shares)
        for layer in layers
        for source, shares in walk.into(layer.op).items()
    ]
    known = {layer.tensor.name for layer in layers}
    inputs = [walk.tensors[b.source] for b in bundles if b.source not in known]
    read = {} if graph.output.name in known else walk.back(graph.output, walk.output_stops)
    bundles += [Bundle(s, graph.output.name, m) for s, m in read.items() if s in known]
    apart = {t.name: t for t in inputs}
    left_out = tuple(name for name in read if name not in known)
    is_signed = any(isinstance(layer.op, Unfold) for layer in layers)
    return Wiring(tuple(apart.values()), tuple(bundles), is_signed, left_out)


class _Walk:
    """Ways back through the operators of the deciding stage."""

    def __init__(self, graph: QGraph, layers: Sequence[Layer]) -> None:
        stage = graph.deciding_stage
        self.made = makers_of(stage.ops)
        made = [t for op in stage.ops for t in op.outputs]
        self.tensors = {t.name: t for t in (*stage.inputs, *made)}
        self.layers = {layer.tensor.name for layer in layers}
        self.state_of = {s.tensor.name: s.update.name for s in stage.states}
        self.inner = self._inner()
        self.output_stops = frozenset(self.layers)

    def _inner(self) -> set[str]:
        """Return the tensors that depend on a layer, or on its state."""
        inner = {old for old, new in self.state_of.items() if new in self.layers}
        for name, op in self.made.items():
            if any(t.name in inner or t.name in self.layers for t in op.inputs):
                inner.add(name)
        return inner

    def into(self, op: AbstractOp) -> Shares:
        """Return the shares of what moves a layer."""
        if isinstance(op, Unfold):
            return self._of_synapses(op)
        return _mean([self.back(t, frozenset()) for t in op.inputs])

    def back(self, tensor: QTensor, stops: frozenset[str], crossed: bool = False) -> Shares:
        """Return the shares of a tensor.

        Args:
            tensor: Whose.
            stops: Further names at which the walk ends.
            crossed: Whether weights lie between it and the target; then a tensor that depends on
                no layer is a source.
        """
        name, size = tensor.name, tensor.size
        if name in self.state_of and self.state_of[name] in self.layers:
            return {self.state_of[name]: np.eye(size)}
        op = self.made.get(name)
        is_source = name in self.layers or name in stops or (crossed and name not in self.inner)
        if is_source or op is None or size > LARGEST:
            return {name: np.eye(size)} if 1 < size <= LARGEST else {}
        if isinstance(op, Linear):
            weights = np.abs(op.weight * np.broadcast_to(_scales(op.inputs[0]), op.weight.shape))
            rows = weights / np.maximum(weights.sum(1, keepdims=True), 1e-30)
            found = self.back(op.inputs[0], stops, True)
            return {source: rows @ shares for source, shares in found.items()}
        if isinstance(op, Concat):
            return self._joined(op, stops, crossed)
        if isinstance(op, Slice):
            picked = slice(op.first, op.first + size)
            return {s: m[picked] for s, m in self.back(op.inputs[0], stops, crossed).items()}
        parts = [t for t in op.inputs if t.size == size]
        return _mean([self.back(t, stops, crossed) for t in parts])

    def _joined(self, op: Concat, stops: frozenset[str], crossed: bool) -> Shares:
        y, first = op.outputs[0], 0
        places = np.arange(y.size).reshape(y.shape)
        found: Shares = {}
        for part in op.inputs:
            mine = places[..., first : first + part.shape[-1]].ravel()
            for source, shares in self.back(part, stops, crossed).items():
                place = found.setdefault(source, np.zeros((y.size, shares.shape[1])))
                place[mine] += shares
            first += part.shape[-1]
        return found

    def _of_synapses(self, op: Unfold) -> Shares:
        """Return those of LTC neurons: conductances of inputs and of one another, with signs."""
        own = _conductances(op, op.outputs[0].size)
        sensory = self.made[op.inputs[1].name]
        total = np.abs(own).sum(1, keepdims=True)
        found: Shares = {op.outputs[0].name: own}
        if isinstance(sensory, AbstractSynapseOp):
            read = sensory.inputs[0]
            given = _conductances(sensory, read.size)
            total = total + np.abs(given).sum(1, keepdims=True)
            for source, shares in self.back(read, frozenset(), True).items():
                found[source] = given @ shares
        return {source: shares / np.maximum(total, 1) for source, shares in found.items()}


def _conductances(op: AbstractSynapseOp, read: int) -> np.ndarray:
    """Return conductances (N, K), negative where a synapse pulls its neuron down."""
    counts = np.diff(op.starts)
    neurons = np.repeat(np.arange(len(counts)), counts)
    placed = np.zeros((len(counts), read))
    signed = np.where(op.driven < 0, -1.0, 1.0) * op.conductance
    np.add.at(placed, (neurons, op.source), signed)
    return placed


def _scales(x: QTensor) -> np.ndarray:
    scales: np.ndarray = np.broadcast_to(x.scales, x.shape).ravel()
    return scales


def _mean(parts: Sequence[Shares]) -> Shares:
    """Return the mean of what several tensors lead to; those that lead nowhere do not count."""
    led = [part for part in parts if part]
    found: Shares = {}
    for part in led:
        for source, shares in part.items():
            found[source] = found.get(source, np.zeros_like(shares)) + shares / len(led)
    return found

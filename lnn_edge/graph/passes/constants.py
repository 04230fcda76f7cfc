"""Constant folding and dead-code removal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.constant import Constant
from lnn_edge.graph.ops.elementwise import Add, Concat, Requantize
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.memory_cell import Gate, Remember
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import Stage


def fold_constants(graph: QGraph) -> QGraph:
    """Return a graph that computes the same bits with less.

    In a stage that begins anew every time (`from_rest`) the state is zero, and with it whatever
    the state drives: recurrent kernels, forget gates, recurrent columns of a cell's matrices.

    * An operator of constants is run once, here.
    * Columns of a matrix that read constants go into its bias.
    * A sum with zero changes the format only; a memory of zero only lets the new value in.
    * An operator that nothing reads is left out.
    """
    return replace(graph, stages=tuple(_fold(stage) for stage in graph.stages))


def _fold(stage: Stage) -> Stage:
    folding = _Folding(stage)
    for op in stage.ops:
        folding.take(op)
    for tensor in stage.kept:
        folding.materialize(tensor)
    return replace(stage, ops=_without_unread(stage, folding.ops))


def _without_unread(stage: Stage, ops: list[AbstractOp]) -> tuple[AbstractOp, ...]:
    needed = {t.name for t in stage.kept}
    kept: list[AbstractOp] = []
    for op in reversed(ops):
        if any(t.name in needed for t in op.outputs):
            kept.append(op)
            needed.update(t.name for t in op.inputs)
    return tuple(reversed(kept))


@dataclass(frozen=True, eq=False)
class _Shortened:
    """A joined vector of which only some elements vary.

    Attributes:
        tensor: The elements that vary.
        varies: (I,) bool.
        value: (I,) int64, 0 where it varies.
    """

    tensor: QTensor
    varies: np.ndarray
    value: np.ndarray


Rewritten = tuple[AbstractOp, ...]


class _Folding:
    """A stage on its way through the pass.

    Attributes:
        ops: Operators so far.
        known: Constant tensors so far.
    """

    def __init__(self, stage: Stage) -> None:
        self.ops: list[AbstractOp] = []
        self.known: dict[str, np.ndarray] = {}
        self._written: set[str] = set()
        self._shortened: dict[str, _Shortened] = {}
        self._kept = {t.name for t in stage.kept}
        self._readers: dict[str, list[AbstractOp]] = {}
        for op in stage.ops:
            for tensor in op.inputs:
                self._readers.setdefault(tensor.name, []).append(op)

    def take(self, op: AbstractOp) -> None:
        """Fold an operator, or keep it."""
        values = [self.known[t.name] for t in op.inputs if t.name in self.known]
        if len(values) == len(op.inputs):
            results = op.reference(*values)
            self.known.update(zip((t.name for t in op.outputs), results, strict=True))
            return
        for rule in (self._shorten, self._drop_columns, self._skip_sum, self._enter):
            rewritten = rule(op)
            if rewritten is not None:
                self.ops += rewritten
                return
        for tensor in op.inputs:
            self.materialize(tensor)
        self.ops.append(op)

    def materialize(self, tensor: QTensor) -> None:
        """Write a constant for operators that read it as a tensor."""
        if tensor.name in self.known and tensor.name not in self._written:
            value = self.known[tensor.name].astype(np.int32)
            self.ops.append(Constant(f"{tensor.name}_constant", (), (tensor,), value))
            self._written.add(tensor.name)

    def _is_zero(self, tensor: QTensor) -> bool:
        value = self.known.get(tensor.name)
        return value is not None and bool((value == np.asarray(tensor.zero_points)).all())

    def _shorten(self, op: AbstractOp) -> Rewritten | None:
        """Leave constants out of a joined vector that only matrices read."""
        if not isinstance(op, Concat) or not any(t.name in self.known for t in op.inputs):
            return None
        y = op.outputs[0]
        if len(y.shape) > 1:
            return None
        if y.name in self._kept or not all(isinstance(r, Linear) for r in self._readers[y.name]):
            return None
        parts = [(t, self.known.get(t.name)) for t in op.inputs]
        varies = np.concatenate([np.full(t.size, v is None) for t, v in parts])
        value = np.concatenate([np.zeros(t.size, np.int64) if v is None else v for t, v in parts])
        left = tuple(t for t, v in parts if v is None)
        if len(left) == 1:
            self._shortened[y.name] = _Shortened(left[0], varies, value)
            return ()
        join = Concat.join(op.name, left, y.name)
        self._shortened[y.name] = _Shortened(join.outputs[0], varies, value)
        return (join,)

    def _drop_columns(self, op: AbstractOp) -> Rewritten | None:
        """Fold the columns of a matrix that read constants into its bias."""
        x = self._shortened.get(op.inputs[0].name) if isinstance(op, Linear) else None
        if x is None or not isinstance(op, Linear):
            return None
        columns = op.weight[:, ~x.varies].astype(np.int64)
        bias = op.bias + columns @ (x.value - op.column_zero_points)[~x.varies]
        op.require_bound(int(np.abs(bias).max()), "bias with constants folded in")
        weight = op.weight[:, x.varies]
        offset = bias.astype(np.int32)
        return (replace(op, inputs=(x.tensor,), weight=weight, bias=offset, exact=None),)

    def _skip_sum(self, op: AbstractOp) -> Rewritten | None:
        """Leave out a term that is zero."""
        left = [i for i, tensor in enumerate(op.inputs) if not self._is_zero(tensor)]
        if not isinstance(op, Add) or len(left) != 1:
            return None
        (i,) = left
        factor = op.multipliers[i], op.shifts[i]
        return (Requantize(op.name, (op.inputs[i],), op.outputs, *factor),)

    def _enter(self, op: AbstractOp) -> Rewritten | None:
        """Let the new value into a memory of zero."""
        if not isinstance(op, Remember) or not self._is_zero(op.inputs[0]):
            return None
        _, _, value, gate = op.inputs
        self.materialize(value)
        self.materialize(gate)
        # ((i g << n - 15) + 2**14) >> 15 = (i g 2**(n + 2) + 2**31) >> 32
        return (Gate(op.name, (value, gate), op.outputs, 1 << (op.fraction_bits + 2), 0),)

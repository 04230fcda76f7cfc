"""Processes a window column by column as it arrives; the whole window is never stored."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.elementwise import Add, Requantize, Subtract
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.memory_cell import Gate
from lnn_edge.graph.ops.product import Multiply
from lnn_edge.graph.ops.scale import Scale
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EveryTrigger, Ring, Stage, every_trigger

ELEMENTWISE = (Add, Gate, Lut, Multiply, Requantize, Scale, Subtract)


def stream_columns(graph: QGraph) -> QGraph:
    """Return a graph that computes the same bits in less memory.

    Where the deciding stage begins with convolutions that run along its window (each as wide as a
    frame, all with the same kernel length k and stride s), and operators that treat every element
    alike, these become a stage of their own: every s frames, on the last k. Its results go into a
    ring, and the deciding stage reads those. The graph stays as it is where several results would
    have to be passed on, or one of an odd number of bytes, which no ring holds; where the stage
    reads a dilated window or a second one; and where the window is no whole number of strides,
    begins before the record, or lies apart from the next.
    """
    stage = graph.deciding_stage
    trigger = stage.trigger
    if not isinstance(trigger, EveryTrigger) or trigger.dilation > 1 or trigger.others:
        return graph
    head = _Head.find(stage)
    return _split(graph, stage, head) if head is not None and head.fills(trigger) else graph


@dataclass(frozen=True)
class _Head:
    """The operators that run along the window.

    Attributes:
        ops: In execution order.
        result: What the rest of the stage reads of them.
        kernel: Frames that one column of the result depends on.
        stride: Frames from one column to the next.
    """

    ops: tuple[AbstractOp, ...]
    result: QTensor
    kernel: int
    stride: int

    @property
    def columns(self) -> int:
        """Columns of the result."""
        return self.result.shape[0]

    def fills(self, trigger: EveryTrigger) -> bool:
        """Return whether columns in a ring are all that a stage reads, and none is in vain."""
        whole = (self.columns - 1) * self.stride + self.kernel
        return (
            self.columns > 1
            and self.result.bytes // self.columns % 2 == 0
            and trigger.length == trigger.first == whole
            and trigger.hop % self.stride == 0
            and trigger.hop <= whole
        )

    @classmethod
    def find(cls, stage: Stage) -> _Head | None:
        """Return the head of a stage; None if it does not begin with convolutions."""
        window = every_trigger(stage).window
        along: dict[str, QTensor] = {}
        ops: list[AbstractOp] = []
        paces: set[tuple[int, int]] = set()
        for op in stage.ops:
            if isinstance(op, Conv2d) and op.inputs == (window,) and _runs_along(op):
                paces.add((op.kernel_size[0], op.strides[0]))
            elif not (
                isinstance(op, ELEMENTWISE)
                and all(t.name in along and t.shape == op.outputs[0].shape for t in op.inputs)
            ):
                continue
            ops.append(op)
            along.update({t.name: t for t in op.outputs})
        rest = [op for op in stage.ops if op not in ops]
        if len(paces) != 1 or any(window in op.inputs for op in rest):
            return None
        results = {t.name: along[t.name] for op in rest for t in op.inputs if t.name in along}
        if len(results) != 1 or any(t.name in along for t in stage.kept):
            return None
        ((kernel, stride),) = paces
        (result,) = results.values()
        return cls(tuple(ops), result, kernel, stride)


def _runs_along(op: Conv2d) -> bool:
    """Return whether a convolution moves along the first axis only."""
    wide = op.kernel_size[1] == op.image[1] and op.outputs[0].shape[1] == 1
    plain = (op.before, op.dilation) == ((0, 0), (1, 1))
    return wide and plain and len(op.inputs[0].shape) == 3


def _split(graph: QGraph, stage: Stage, head: _Head) -> QGraph:
    trigger = every_trigger(stage)
    one = _Narrowing(trigger.window, head)
    name = f"{stage.name}_columns"
    columns = Stage(
        name,
        EveryTrigger(trigger.ring, one.window, head.stride, head.kernel),
        tuple(one.op(op) for op in head.ops),
        (),
        (one.result,),
    )
    window = replace(
        head.result, shape=(head.columns, *one.result.shape), name=f"{head.result.name}_window"
    )
    last = EveryTrigger(name, window, trigger.hop // head.stride, head.columns)
    rest = tuple(
        replace(op, inputs=tuple(window if t == head.result else t for t in op.inputs))
        for op in stage.ops
        if op not in head.ops
    )
    deciding = replace(stage, trigger=last, ops=rest)
    ring = graph.ring(trigger.ring)
    rings = [replace(r, length=head.kernel) if r == ring else r for r in graph.rings]
    rings.append(Ring(name, one.result, head.columns))
    return replace(graph, stages=(*graph.preparing_stages, columns, deciding), rings=tuple(rings))


@dataclass(frozen=True)
class _Narrowing:
    """Operators along a window, cut down to one column."""

    whole: QTensor
    head: _Head

    @property
    def window(self) -> QTensor:
        """What one column of the result depends on."""
        return replace(self.whole, shape=(self.head.kernel, *self.whole.shape[1:]))

    @property
    def result(self) -> QTensor:
        """One column of the result."""
        return self._tensor(self.head.result)

    def op(self, op: AbstractOp) -> AbstractOp:
        """Return an operator on one column."""
        inputs = tuple(self.window if t == self.whole else self._tensor(t) for t in op.inputs)
        return replace(op, inputs=inputs, outputs=tuple(map(self._tensor, op.outputs)))

    def _tensor(self, tensor: QTensor) -> QTensor:
        return replace(tensor, shape=(1, *tensor.shape[1:]))

"""Finds the first operator whose result differs, by the diagnostic build."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np

from lnn_edge.codegen.units import label
from lnn_edge.device.link import Link
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.errors import VerificationError
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.sim.stream import Decision, state_layout, unpack
from lnn_edge.verify.exchange import Step
from lnn_edge.verify.result import Mismatch

OpenTrace = Callable[[], AbstractContextManager[Link]]
"""Opens a link to the diagnostic build of the same firmware."""


def locate(
    graph: QGraph,
    step: Step,
    open_trace: OpenTrace | None,
    traced: Sequence[AbstractOp] | None = None,
) -> Mismatch:
    """Return the first difference, by operator if the diagnostic build can be asked.

    Args:
        graph: The model.
        step: Its first one that differs.
        open_trace: Opens a link to the diagnostic build.
        traced: Operators of that build; None if they are those of the graph.
    """
    if step.expected is None or step.got is None or step.expected.stamp != step.got.stamp:
        stamps = [-1 if d is None else d.stamp for d in (step.expected, step.got)]
        return Mismatch(step.record, step.index, stamps[0], "", "stamp", 0, stamps[0], stamps[1])
    if open_trace is not None:
        with open_trace() as link:
            found = _trace(graph, step, step.expected, link, traced or graph.deciding_stage.ops)
        if found is not None:
            return found
    return _compare(graph, step, step.expected, step.got)


def _trace(
    graph: QGraph, step: Step, expected: Decision, link: Link, ops: Sequence[AbstractOp]
) -> Mismatch | None:
    """Replay the step operator by operator from the state before it."""
    link.hello(bytes.fromhex(graph_sha256(graph)))
    link.reset(detail=False)
    point = 0
    for op in ops:
        inside, point = point, point + op.rounds * sum(len(o.outputs) for o in op.nested)
        for tensor in op.outputs:
            got = unpack(tensor, link.trace(point, expected.before))
            if not np.array_equal(got, expected.values[tensor.name]):
                found = _trace_inside(op, inside, step, expected, link)
                return found or _difference(step, label(op), tensor, expected.values, got)
            point += 1
    return None


def _trace_inside(
    op: AbstractOp, point: int, step: Step, expected: Decision, link: Link
) -> Mismatch | None:
    """Replay the rounds of a loop operator by operator."""
    if not isinstance(op, Loop):
        return None
    for turn, values in enumerate(op.run(expected.values[op.inputs[0].name])):
        for inner in op.body:
            for tensor in inner.outputs:
                got = unpack(tensor, link.trace(point, expected.before))
                if not np.array_equal(got, values[tensor.name]):
                    return _difference(step, f"{label(inner)}[{turn}]", tensor, values, got)
                point += 1
    return None


def _compare(graph: QGraph, step: Step, expected: Decision, got: ResultRecord) -> Mismatch:
    """Return the first difference in what a result carries."""
    stage = graph.deciding_stage
    for tensor, values in _split(stage.probes, got.probes):
        if not np.array_equal(values, expected.values[tensor.name]):
            return _difference(step, "", tensor, expected.values, values)
    outputs = np.array(got.outputs, np.int64)
    if not np.array_equal(outputs, expected.outputs):
        return _difference(step, "", graph.output, expected.values, outputs)
    states = [s.update for s in state_layout(graph)]
    for tensor, values in _split(states, got.state):
        if not np.array_equal(values, expected.values[tensor.name]):
            return _difference(step, "", tensor, expected.values, values)
    raise VerificationError(f"{step.record}: step {step.index} differs in padding only")


def _split(tensors: Sequence[QTensor], raw: bytes) -> Iterator[tuple[QTensor, np.ndarray]]:
    offset = 0
    for tensor in tensors:
        yield tensor, unpack(tensor, raw[offset : offset + tensor.bytes])
        offset += tensor.bytes


def _difference(
    step: Step, operator: str, tensor: QTensor, expected: Values, got: np.ndarray
) -> Mismatch:
    want, have = expected[tensor.name].ravel(), got.ravel()
    element = int(np.flatnonzero(want != have)[0])
    return Mismatch(
        step.record,
        step.index,
        -1 if step.expected is None else step.expected.stamp,
        operator,
        tensor.name,
        element,
        int(want[element]),
        int(have[element]),
    )

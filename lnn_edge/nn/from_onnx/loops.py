"""Scan and Loop: the loop over time around one step of a CfC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lnn_edge.nn.from_onnx.build import Axis, Build, Value
from lnn_edge.nn.from_onnx.cfc_step import NoCfc, cfc_of
from lnn_edge.nn.from_onnx.file import Graph, Node
from lnn_edge.nn.from_onnx.recurrent import CELL
from lnn_edge.nn.from_onnx.step_algebra import Part, StepAlgebra, Sum
from lnn_edge.nn.table_layers import NewestSizes


def scan(build: Build, node: Node, x: Sequence[Any]) -> tuple[Value | None, ...]:
    """Scan: one state, one value of frames; the last state, and the state of every frame."""
    body = _body(build, node)
    given = node.attributes
    if len(x) != 2 or given.get("num_scan_inputs") != 1 or len(body.inputs) != 2:
        raise build.refuse(node, "must have one state and read one value of frames")
    ways = [*given.get("scan_input_directions", [0]), *given.get("scan_output_directions", [0])]
    if any(ways):
        raise build.refuse(node, "runs from the end, which no stream can")
    state, frames = x
    axis = int(given.get("scan_input_axes", [0])[0])
    out = int(given.get("scan_output_axes", [0])[0])
    frame = Part("frame", _channels(build, node, frames, axis))
    known = {body.inputs[1].name: Sum.of(frame)}
    names = [port.name for port in body.outputs]
    if len(names) != 2:
        raise build.refuse(node, "must give the state after each frame and nothing else")
    ends = (body.inputs[0].name, names[0], names[1])
    return _looped(build, node, body, known, (frames, axis, out), state, frame, ends)


def loop(build: Build, node: Node, x: Sequence[Any]) -> tuple[Value | None, ...]:
    """Loop: as Scan, where the body takes frame i of a value outside."""
    body = _body(build, node)
    if len(x) != 3 or len(body.inputs) != 3 or len(body.outputs) != 3:
        raise build.refuse(node, "must carry one state and give it for every frame")
    count, state = x[0], x[2]
    index = body.inputs[0].name
    takes = [n for n in body.nodes if n.op == "Gather" and n.inputs[1:] == (index,)]
    if len(takes) != 1 or not isinstance(build.scope.get(takes[0].inputs[0]), Value):
        raise build.refuse(node, "must take frame i of one value, by Gather")
    take = takes[0]
    frames = build.scope[take.inputs[0]]
    axis = int(take.attributes.get("axis", 0)) % len(frames.order)
    is_all = isinstance(count, np.ndarray) and int(count.ravel()[0]) == frames.sizes[axis]
    if not is_all or body.outputs[0].name not in (body.inputs[1].name, *_kept_on(body)):
        raise build.refuse(node, "must run once for each frame of the value that it reads")
    frame = Part("frame", _channels(build, node, frames, axis))
    known = {take.outputs[0]: Sum.of(frame), body.inputs[1].name: np.ones((), bool)}
    left = Graph(
        tuple(n for n in body.nodes if n is not take), body.constants, body.inputs, body.outputs
    )
    ends = (body.inputs[2].name, body.outputs[1].name, body.outputs[2].name)
    return _looped(build, node, left, known, (frames, axis, 0), state, frame, ends)


def _body(build: Build, node: Node) -> Graph:
    body = node.attributes.get("body")
    if not isinstance(body, Graph):
        raise build.refuse(node, "has no body")
    return body


def _kept_on(body: Graph) -> list[str]:
    """Return the names of what the condition to go on becomes by Identity."""
    found = [body.inputs[1].name]
    for node in body.nodes:
        if node.op == "Identity" and node.inputs[0] in found:
            found += node.outputs
    return found


def _channels(build: Build, node: Node, frames: Any, axis: int) -> int:
    """Return the numbers of a frame."""
    if not isinstance(frames, Value) or len(frames.order) != 3:
        raise build.refuse(node, "must read a value of sequences, frames and channels")
    kinds = list(frames.kinds)
    kind = kinds.pop(axis)
    if kind not in ("", "T") or kinds != ["B", ""]:
        raise build.refuse(
            node, f"runs along axis {axis} of {frames.sizes}, which is not that of frames"
        )
    return frames.sizes[-1 if axis % 3 != 2 else 1]


def _looped(
    build: Build,
    node: Node,
    body: Graph,
    known: Mapping[str, Any],
    where: tuple[Value, int, int],
    start: Any,
    frame: Part,
    ends: tuple[str, str, str],
) -> tuple[Value | None, ...]:
    """Add the row of the cell.

    Args:
        build: The table.
        node: The loop.
        body: Its step.
        known: What the body reads besides the state, by name.
        where: The value of frames, its axis of them, and that of the outputs.
        start: The state before the first frame.
        frame: What of each frame the body reads.
        ends: Names in the body of the state before and after, and of what leaves at every frame.
    """
    if not isinstance(start, np.ndarray) or start.any() or not start.size:
        raise build.refuse(node, "is given a state; a device starts from zeros")
    state = Part("state", start.shape[-1])
    constants = {k: v for k, v in build.scope.items() if isinstance(v, np.ndarray)}
    algebra = StepAlgebra(build, {**constants, **known, ends[0]: Sum.of(state)})
    algebra.run(body)
    after, shown = (algebra.values.get(name) for name in ends[1:])
    if shown is not after:
        raise build.refuse(node, "gives something else at every frame than its state")
    try:
        step = cfc_of(after, frame, state)
    except NoCfc as error:
        raise build.refuse(node, str(error)) from None
    frames, axis, out = where
    axis %= len(frames.order)
    along = frames.order[axis]
    channels = next(frames.order[a] for a in (2, 1) if a != axis and not frames.kind(a))
    name = build.laid(node, frames, [frames.places("B"), along, channels])
    weights = {CELL + key: array for key, array in step.weights.items()}
    name = build.row(node, step.sizes, [name], weights)
    lead = frames.row[frames.places("B")[0]]
    time = Axis(frames.sizes[axis], "T" if frames.kind(axis) else "")
    order = [(0,), (2,)]
    order.insert(out % 3, (1,))
    outputs = Value(name, (lead, time, Axis(state.size)), tuple(order))
    last = None
    if node.outputs and node.outputs[0] in build.readers:
        row = build.row(node, NewestSizes(), [name])
        last = Value(row, (lead, Axis(state.size)), ((0,), (1,)))
    return last, outputs

"""A model in ONNX -> a table of layers with their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.finite import check_finite
from lnn_edge.files.names import shown
from lnn_edge.nn.arrays import AGAIN
from lnn_edge.nn.from_onnx.build import Axis, Build, NeedsWindow, Value
from lnn_edge.nn.from_onnx.file import FLOAT, Graph, Node, OnnxModel, Port
from lnn_edge.nn.from_onnx.operators import add_node
from lnn_edge.nn.ncps import ImportOptions, Question, ask, check_taken
from lnn_edge.nn.table import INPUT, Form, Layer, Table

SOME, FRAMES = 17, 1021  # stand for free numbers of sequences and of frames: primes
LONGEST = 1 << 20  # an axis of the input
_UNROLLED = 3  # products with one matrix


def onnx_table(path: Path, model: OnnxModel, options: ImportOptions) -> Table:
    """Return the table of a model in ONNX.

    Args:
        path: File, for messages.
        model: See file.read_onnx.
        options: What the file does not tell.

    Raises:
        DataError: A node is not known, or has a form that no device can run.
        UsageError: An option is missing, or contradicts the file.
    """
    check_taken(path, [], options)
    if options.dt is None:
        raise UsageError(f"{path}: no layer reads elapsed time; leave --dt input out")
    port = _input(path, model.graph)
    frames = _Frames(path, port, options)
    build = Build(path.name, model.opset, _readers(model.graph), frames.is_fixed)
    try:
        outputs = _built(path, build, model.graph, port.name, frames.value)
        names = tuple(_output(build, model.graph, frames, value) for value in outputs)
    except NeedsWindow as need:
        raise frames.question(need) from None
    except DataError as error:
        raise DataError(f"{error}{_unrolled(model.graph)}") from None
    if len(set(names)) < len(names) or not build.rows or INPUT in names:
        raise DataError(f"{path} gives what it reads, or one thing twice; export another model")
    for name, array in build.own.items():
        check_finite(f"{path}: {shown(name)}", array, AGAIN)
    kept = _kept(build, names)
    rows = tuple(replace(row, range=build.ranges.get(row.name, ())) for row in kept)
    places = {row.name for row in rows}
    own = {n: np.asarray(v, np.float64) for n, v in build.own.items() if n.split(".")[0] in places}
    form = replace(frames.form, outputs=names, range=build.ranges.get(INPUT, ()))
    return Table(rows, own, form, frames.channels, False)


def _input(path: Path, graph: Graph) -> Port:
    """Return the one input, of frames."""
    if len(graph.inputs) != 1:
        names = ", ".join(shown(port.name) for port in graph.inputs[:8]) or "none"
        raise DataError(
            f"{path} has {len(graph.inputs)} inputs ({names}); a device reads frames alone and "
            "starts from zeros: join inputs to one, and give no states"
        )
    (port,) = graph.inputs
    if port.type != FLOAT or port.shape is None:
        raise DataError(f"{path}: input {shown(port.name)} must be float32 of a told shape")
    if len(port.shape) < 2:
        raise DataError(
            f"{path}: input {shown(port.name)} has {len(port.shape)} axes; it must have sequences, "
            "frames and channels"
        )
    if any(isinstance(n, int) and not 0 < n <= LONGEST for n in port.shape):
        raise DataError(
            f"{path}: input {shown(port.name)} has the shape {port.shape}, which no device reads"
        )
    return port


class _Frames:
    """Which axis of the input is what, and how frames enter the table."""

    def __init__(self, path: Path, port: Port, options: ImportOptions) -> None:
        assert port.shape is not None
        self.path, self.hop, self.shape = path, options.hop, port.shape
        self.time = self._time(options.time_axis)
        self.batch = 0 if self.time != 0 else 1
        length = None if self.time is None else self.shape[self.time]
        self.length = length if isinstance(length, int) else None
        self.is_fixed = self.length is not None
        others = [i for i in range(len(self.shape)) if i not in (self.batch, self.time)]
        free = [i for i in others if not isinstance(self.shape[i], int)]
        if free:
            raise DataError(
                f"{path}: axis {free[0]} of the input {self._told()} has no size; only sequences "
                "and frames may be of any number: export it with a size, or give --time-axis"
            )
        self.sizes = tuple(int(self.shape[i]) for i in others)  # type: ignore[arg-type]
        self.channels = int(np.prod(self.sizes, dtype=np.int64))
        self._check_hop()
        self.others = others

    def _told(self) -> str:
        return "(" + ", ".join(str(n) if n is not None else "?" for n in self.shape) + ")"

    def _time(self, given: int | None) -> int | None:
        """Return the axis of frames: the one given, else the free one behind the first, else 1."""
        axes = len(self.shape)
        if given is not None:
            if not 0 <= given < axes or axes < 2 or (axes == 2 and given == 0):
                raise UsageError(
                    f"--time-axis {given} is none of the input {self._told()} of {self.path}; "
                    f"give 0 to {axes - 1}"
                )
            return given
        free = [i for i, n in enumerate(self.shape) if not isinstance(n, int) and i]
        if axes == 2:
            return 1 if self.hop is not None or free else None
        if len(free) == 1:
            return free[0]
        if axes > 3:
            what = f"which axis of its input {self._told()} is that of frames"
            ask(self.path, [Question(what, f"--time-axis 1 to {axes - 1}")])
        return 1

    def _check_hop(self) -> None:
        if self.hop is None:
            return
        if self.length is None:
            raise UsageError(
                f"{self.path} reads no windows of a fixed number of frames; leave --hop out"
            )
        if not 0 < self.hop <= self.length:
            raise UsageError(
                f"--hop {self.hop} must be 1 to {self.length}, the frames of a window of "
                f"{self.path}"
            )

    @property
    def value(self) -> Value:
        """The input as the table has it: sequences, frames, then the sizes of a frame."""
        lead = self.shape[self.batch]
        row = [Axis(lead if isinstance(lead, int) else SOME, "B")]
        place = {self.batch: 0}
        if self.time is not None:
            place[self.time] = 1
            size = FRAMES if self.length is None else self.length
            row.append(Axis(size, "T" if self.hop is None else ""))
        for axis, size in zip(self.others, self.sizes, strict=True):
            place[axis] = len(row)
            row.append(Axis(size))
        order = [(place[i],) for i in range(len(self.shape))]
        if self.time is not None and not self.others:  # frames of one number
            row.append(Axis(1))
        return Value(INPUT, tuple(row), tuple(order))

    @property
    def form(self) -> Form:
        """How frames enter the table."""
        frame = self.sizes if len(self.sizes) > 1 else ()
        if self.hop is not None:
            return Form("window", frame, self.length or 0, self.hop)
        return Form("frame" if self.time is None else "sequence", frame)

    def question(self, need: NeedsWindow) -> Exception:
        """Return what to ask where a node reads a window."""
        if self.length is None:
            return DataError(
                f"{need}; export the model with a fixed number of frames and import it with --hop"
            )
        what = f"how far its window of {self.length} frames moves ({need})"
        try:
            ask(self.path, [Question(what, f"--hop with 1 to {self.length} frames")])
        except UsageError as error:
            return error
        raise AssertionError


def _unrolled(graph: Graph) -> str:
    """Return what to say of a graph that multiplies by one matrix again and again."""
    products = [node for node in graph.nodes if node.op in ("MatMul", "Gemm")]
    times = max(Counter(n.inputs[1] for n in products if len(n.inputs) > 1).values(), default=0)
    if times < _UNROLLED:
        return ""
    return (
        f"; one matrix is used {times} times, as where an export unrolls a recurrent layer: import "
        "the .keras file itself, or export the layer as one LSTM, GRU, Loop or Scan"
    )


def _readers(graph: Graph) -> Counter[str]:
    """Return how many nodes, or the world, read a tensor."""
    read = [n for node in graph.nodes for n in (*node.inputs, *_outside(node))]
    return Counter([*(port.name for port in graph.outputs), *read])


def _needed(graph: Graph) -> Iterable[Node]:
    """Return the nodes that an output depends on, in their order."""
    wanted = {port.name for port in graph.outputs}
    found = list[Node]()
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            wanted.update(_outside(node))
            found.append(node)
    return reversed(found)


def _outside(node: Node) -> list[str]:
    """Return the names that the body of a loop may take from around it."""
    body = node.attributes.get("body")
    return [n for inner in body.nodes for n in inner.inputs] if isinstance(body, Graph) else []


def _built(path: Path, build: Build, graph: Graph, name: str, value: Value) -> list[Value]:
    """Add the rows of all nodes; return what leaves the model."""
    values: dict[str, Any] = {**graph.constants, name: value}
    build.note(name, value)
    build.scope = values
    for node in _needed(graph):
        for tensor in node.inputs:
            if tensor and tensor not in values:
                raise build.refuse(
                    node,
                    f"reads {shown(tensor)}, which no node before it gives: the graph is damaged, "
                    "or goes in a circle",
                )
        given = [values[t] if t else None for t in node.inputs]
        made = build.once(node, given, add_node)
        for tensor, result in zip(node.outputs, made, strict=False):
            if tensor and (tensor in values or result is None) and tensor in build.readers:
                raise build.refuse(node, f"gives {shown(tensor)} again, or never")
            if tensor:
                values[tensor] = result
                build.note(tensor, result)
    found = [values.get(port.name) for port in graph.outputs]
    if not found or not all(isinstance(v, Value) for v in found):
        raise DataError(f"{path} has an output that its input does not reach; export it again")
    return found  # type: ignore[return-value]


def _kept(build: Build, outputs: Sequence[str]) -> list[Layer]:
    """Return the rows that an output depends on."""
    wanted, found = set(outputs), list[Layer]()
    for row in reversed(build.rows):
        if row.name in wanted:
            wanted.update(row.inputs)
            found.append(row)
    return found[::-1]


def _output(build: Build, graph: Graph, frames: _Frames, value: Value) -> str:
    """Return the row of an output, a vector for each frame or window."""
    node = Node("", "output", "", (), ("output",), {})
    if frames.hop is None and not value.has_time and frames.time is not None:
        groups = [value.places("B"), tuple(i for g in value.statics() for i in g)]
    else:
        groups = [*value.leads, tuple(i for g in value.statics() for i in g)]
    return build.laid(node, value, groups)

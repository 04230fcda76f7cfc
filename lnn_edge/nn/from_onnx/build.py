"""Rows of a table, made while the nodes of an ONNX graph are read one after the other.

ONNX moves axes with Transpose, Reshape, Squeeze, Unsqueeze and Flatten around every layer. Here
they move nothing: a value is a row and, for each axis that ONNX sees, the axes of the row that it
shows. A row that turns or merges them is made only where a layer wants them so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import chain
from math import prod
from typing import Any, Literal

import numpy as np

from lnn_edge.errors import DataError, LnnEdgeError
from lnn_edge.files.names import shown
from lnn_edge.nn.arrays import Arrays, check_size
from lnn_edge.nn.from_onnx.file import Graph, Node
from lnn_edge.nn.table import NAMES, Layer, identifier
from lnn_edge.nn.table_layers import FoldSizes, PermuteSizes, ReshapeSizes, UnfoldSizes

Kind = Literal["", "B", "T"]
MOST_ROWS = 2048
MOST_WORK = 1 << 26
"""Numbers that may be computed with while a file is read: a second of it."""
TAKE_IN = (
    *("MatMul", "Gemm", "Conv", "BatchNormalization"),
    *("Add", "Sub", "Mul", "Div", "Neg"),
)
"""Matrices, whose weights take in what follows, and what they take in: each stands for itself."""
WHOLE = "reads a whole record, which has no end on a device"


class NeedsWindow(LnnEdgeError):
    """A node reads several frames at once, so a whole window of them."""


@dataclass(frozen=True)
class Axis:
    """An axis of a row.

    Attributes:
        size: In the file; of a free one a number that stands for it.
        kind: "B" of sequences, "T" of frames, "" of neither.
    """

    size: int
    kind: Kind = ""


@dataclass(frozen=True)
class Value:
    """What a node gives.

    Attributes:
        name: Of the row that computes it.
        row: Axes of what the row gives.
        order: For each axis in ONNX the axes of the row that it shows, one behind the other; none
            for an axis of one number that the row does not have.
    """

    name: str
    row: tuple[Axis, ...]
    order: tuple[tuple[int, ...], ...]

    @classmethod
    def plain(cls, name: str, row: Sequence[Axis]) -> Value:
        """Return a value as its row gives it."""
        return cls(name, tuple(row), tuple((i,) for i in range(len(row))))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the axes in ONNX."""
        return tuple(prod(self.row[i].size for i in axes) for axes in self.order)

    def kind(self, axis: int) -> str:
        """Return of what an axis in ONNX is: "", "B", "T", "BT" or "TB", with "" for the rest."""
        return "".join(self.row[i].kind for i in self.order[axis])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of what each axis in ONNX is."""
        return tuple(self.kind(axis) for axis in range(len(self.order)))

    @property
    def has_time(self) -> bool:
        """Whether it has frames."""
        return any(axis.kind == "T" for axis in self.row)

    def places(self, kind: Kind) -> tuple[int, ...]:
        """Return the axes of the row of a kind, as a group: none, or one."""
        return tuple(i for i, axis in enumerate(self.row) if axis.kind == kind)

    @property
    def leads(self) -> list[tuple[int, ...]]:
        """The axes of sequences and of frames, a group each."""
        return [group for group in (self.places("B"), self.places("T")) if group]

    def statics(self, axes: Sequence[int] | None = None) -> list[tuple[int, ...]]:
        """Return the groups of axes in ONNX, all or some, that are of neither; none of one alone.

        Args:
            axes: In ONNX.
        """
        chosen = range(len(self.order)) if axes is None else axes
        found = (tuple(i for i in self.order[a] if not self.row[i].kind) for a in chosen)
        return [group for group in found if group]


@dataclass
class Build:
    """The table so far.

    Attributes:
        file: Its name, for messages.
        opset: Version of the operators.
        readers: How many nodes, or the world, read a tensor.
        is_fixed: Whether the file fixes the number of frames.
        rows: Of the table.
        own: Weights of the rows, by name.
        derived: Names of constants that were computed from sizes.
        ranges: (low, high) of what a row gives, where the file quantizes it.
        scope: What is known by name, for the body of a loop.
        work: Numbers that were computed with so far.
        weights: Numbers in `own`.
        aliases: Names of the tensors that show what a row gives.
        named: Rows by name.
    """

    file: str
    opset: int
    readers: Mapping[str, int]
    is_fixed: bool = False
    rows: list[Layer] = field(default_factory=list)
    own: Arrays = field(default_factory=dict)
    derived: set[str] = field(default_factory=set)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    scope: Mapping[str, Any] = field(default_factory=dict)
    work: int = 0
    weights: int = 0
    aliases: dict[str, list[str]] = field(default_factory=dict)
    named: dict[str, Layer] = field(default_factory=dict)
    _laid: dict[tuple[str, tuple[tuple[int, ...], ...]], str] = field(default_factory=dict)
    _folded: dict[str, str] = field(default_factory=dict)
    _made: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def where(self, node: Node) -> str:
        """Return file and node, for messages."""
        name = node.name or next(iter(node.outputs), "")
        return f"{self.file}: node {shown(name)} ({shown(node.op)})"

    def refuse(self, node: Node, reason: str) -> DataError:
        """Return an error that names the node."""
        return DataError(f"{self.where(node)}: {reason}")

    def window(self, node: Node, reason: str) -> NeedsWindow:
        """Return what says that a node reads several frames at once."""
        return NeedsWindow(f"{self.where(node)} {reason}")

    def row(
        self, node: Node, sizes: Any, inputs: Sequence[str], weights: Arrays | None = None
    ) -> str:
        """Add a row; return its name.

        Args:
            node: Where it comes from.
            sizes: Its options.
            inputs: Names of the rows that it reads.
            weights: By their names in the torch layer.
        """
        kind = NAMES[type(sizes)]
        base = node.name or next(iter(node.outputs), "")
        name = identifier(base if weights is not None else f"{base}_{kind}", self.named)
        if len(self.rows) >= MOST_ROWS:
            raise DataError(
                f"{self.file} has more than {MOST_ROWS:,} layers: a loop over time is written out "
                "step by step; export a layer that keeps it (LSTM, GRU, Scan)"
            )
        self.weights += sum(array.size for array in (weights or {}).values())
        check_size(self.file, len(self.own), self.weights)
        row = Layer(name, kind, tuple(inputs), asdict(sizes), self.where(node))
        self.rows.append(row)
        self.named[name] = row
        self.own |= {f"{name}.{key}": value for key, value in (weights or {}).items()}
        return name

    def once(
        self,
        node: Node,
        given: Sequence[Any],
        make: Callable[[Build, Node, Sequence[Any]], tuple[Any, ...]],
    ) -> tuple[Any, ...]:
        """Return what a node gives; of a node like one before it, what that one gave.

        Args:
            node: Of the graph.
            given: What it reads.
            make: Adds its rows.
        """
        is_odd = any(isinstance(v, Graph | np.ndarray) for v in node.attributes.values())
        is_known = any(isinstance(v, Value) for v in given) and node.op not in TAKE_IN
        if is_odd or not is_known:
            return make(self, node, given)
        named = [name in self.readers for name in node.outputs]
        self.spend(node, sum(v.size for v in given if isinstance(v, np.ndarray)))
        parts = [_key_of(value) for value in given]
        key = repr((node.op, node.domain, sorted(node.attributes.items()), named, parts))
        if key not in self._made:
            self._made[key] = make(self, node, given)
        return self._made[key]

    def note(self, tensor: str, value: Any) -> None:
        """Remember which tensor shows what a row gives."""
        if isinstance(value, Value):
            self.aliases.setdefault(value.name, []).append(tensor)

    def is_alone(self, value: Value) -> bool:
        """Return whether one node alone reads what a row gives, however it is turned."""
        return all(self.readers.get(t, 0) == 1 for t in self.aliases.get(value.name, ()))

    def spend(self, node: Node, numbers: int) -> None:
        """Count numbers that are computed with.

        Raises:
            DataError: They are too many.
        """
        self.work += numbers
        if self.work > MOST_WORK:
            raise self.refuse(node, "computes too much with constants; simplify the file")

    def each(self, node: Node, sizes: Any, value: Value) -> Value:
        """Add a row that treats every number alike; return what it gives."""
        return replace(value, name=self.row(node, sizes, [value.name]))

    def laid(self, node: Node, value: Value, groups: Sequence[tuple[int, ...]]) -> str:
        """Return the row that gives a value with its axes in an order.

        Args:
            node: Who reads it.
            value: What is read.
            groups: Axes of the row, each once; those in a group become one axis. Behind the first
                group of several or none, no axis is of sequences or frames.
        """
        wanted = self._complete(value, groups)
        key = (value.name, wanted)
        if key not in self._laid:
            name, flat = value.name, tuple(chain(*wanted))
            if sorted(flat) != list(range(len(value.row))):
                raise self.refuse(node, f"reads axes {value.sizes} in a way that is not known")
            if flat != tuple(range(len(flat))):
                name = self.row(node, PermuteSizes(flat), [name])
            kept = next((i for i, g in enumerate(wanted) if len(g) != 1), len(wanted))
            if any(value.row[i].kind for i in chain(*wanted[kept:])):
                raise self.window(node, WHOLE)
            if kept < len(wanted):
                sizes = tuple(prod(value.row[i].size for i in g) for g in wanted[kept:])
                name = self.row(node, ReshapeSizes(kept, sizes), [name])
            self._laid[key] = name
        return self._laid[key]

    def canonical(self, node: Node, value: Value) -> Value:
        """Return a value with sequences first, then frames, then its other axes as in ONNX."""
        leads = value.leads
        groups = self._complete(value, [*leads, *value.statics()])
        name = self.laid(node, value, groups)
        row = [Axis(prod(value.row[i].size for i in g), value.row[g[0]].kind) for g in groups]
        place = {i: n for n, g in enumerate(leads) for i in g}
        order, free = [], len(leads)
        for axes in value.order:
            shown_axes = [place[i] for i in axes if i in place]
            if any(i not in place for i in axes):
                if shown_axes:
                    raise self.window(node, WHOLE)
                shown_axes, free = [free], free + 1
            order.append(tuple(shown_axes))
        return Value(name, tuple(row), tuple(order))

    @staticmethod
    def _complete(value: Value, groups: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        """Return groups with the axes of one number that ONNX has squeezed away."""
        wanted, seen = list(groups), set(chain(*groups))
        lost = tuple(i for i, axis in enumerate(value.row) if i not in seen and axis.size == 1)
        if any(value.row[i].kind for i in lost) or not lost:
            return tuple(wanted)
        if wanted and not any(value.row[i].kind for i in wanted[-1]):
            return (*wanted[:-1], (*wanted[-1], *lost))
        return (*wanted, lost)

    def folded(self, node: Node, name: str) -> str:
        """Return frames of a row (B, T, ...) as sequences of their own."""
        if name not in self._folded:
            self._folded[name] = self.row(node, FoldSizes(), [name])
        return self._folded[name]

    def unfolded(self, node: Node, name: str, like: str) -> str:
        """Return what frames as sequences of their own gave, (B, T, ...) as in another row."""
        made = self.row(node, UnfoldSizes(), [name, like])
        self._folded[made] = name
        return made


def _key_of(value: Any) -> Any:
    """Return what tells an input of a node from others."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, sha256(value.tobytes()).hexdigest()
    return value


def axis_of(build: Build, node: Node, value: int, axes: int) -> int:
    """Return an axis counted from the first.

    Raises:
        DataError: There is none.
    """
    if not -axes <= value < axes:
        raise build.refuse(node, f"names axis {value} of {axes}")
    return value % axes


def as_numbers(array: np.ndarray) -> list[int]:
    """Return the integers of a constant."""
    return [int(n) for n in array.ravel()]

"""Operators that one kernel computes unit by unit: a recurrent cell's step, or a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Concat
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.rescale import AbstractRescale

MOST_HEADS = 4
ROWS = {1: 4, 2: 4, 3: 6, 4: 4}
"""Rows whose sums are made together, by the number of matrices."""
GROUP = 4
"""Columns of a group."""


@dataclass(frozen=True)
class Layer:
    """Matrices that read one vector, and what is made of their rows element by element.

    Attributes:
        heads: The matrices, 1 to MOST_HEADS, each with as many rows as the layer has units.
        maps: Operators on single elements, in execution order.
    """

    heads: tuple[Linear, ...]
    maps: tuple[AbstractOp, ...]

    @property
    def ops(self) -> tuple[AbstractOp, ...]:
        """All of them."""
        return (*self.heads, *self.maps)

    @property
    def made(self) -> frozenset[str]:
        """Names of what they write."""
        return frozenset(t.name for op in self.ops for t in op.outputs)

    @property
    def size(self) -> int:
        """Units."""
        return self.heads[0].outputs[0].size

    @property
    def columns(self) -> int:
        """Elements of the vector that is read."""
        return self.heads[0].inputs[0].size

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return ROWS[len(self.heads)]

    @property
    def units(self) -> int:
        """Units of a block."""
        return self.rows // len(self.heads)

    @property
    def has_shift(self) -> bool:
        """Whether a row's factor has one."""
        return any(bool(head.shift.any()) for head in self.heads)


@dataclass(frozen=True)
class Part:
    """A piece of the vector that the first layer reads.

    Attributes:
        source: The tensor that is read.
        first: Its first element that is.
        rescale: What makes int8 of it; None where it is.
        at: Place in the vector.
        size: Elements.
    """

    source: QTensor
    first: int
    rescale: AbstractRescale | None
    at: int
    size: int


@dataclass(frozen=True, eq=False)
class Units(AbstractOp):
    """What its operators compute, one after the other; what passes between them is not stored.

    Attributes:
        gathers: Rescales and a join that make the vector which the first layer reads.
        layers: Each but the first reads the only result of the one before.
    """

    kind: ClassVar[str] = "units"
    channel_scales: ClassVar[tuple[str, ...]] = ("x", "y")
    channel_zero_points: ClassVar[tuple[str, ...]] = ("x", "y")
    gathers: tuple[AbstractOp, ...]
    layers: tuple[Layer, ...]

    def check(self) -> None:
        """Nothing: its operators have checked themselves."""

    @property
    def holds(self) -> tuple[AbstractOp, ...]:
        """The operators, in execution order."""
        return (*self.gathers, *(op for layer in self.layers for op in layer.ops))

    @property
    def macs(self) -> int:
        """Those of its operators."""
        return sum(op.macs for op in self.holds)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return what the operators say."""
        values = dict(zip((t.name for t in self.inputs), inputs, strict=True))
        for op in self.holds:
            made = op.reference(*(values[t.name] for t in op.inputs))
            values.update(zip((t.name for t in op.outputs), made, strict=True))
        return tuple(values[t.name] for t in self.outputs)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Pieces of the vector that the first layer reads, in order."""
        return tuple(self._parts())

    def _parts(self) -> Iterator[Part]:
        made = {op.outputs[0].name: op for op in self.gathers}
        vector = self.layers[0].heads[0].inputs[0]
        join = made.get(vector.name)
        at = 0
        for tensor in join.inputs if isinstance(join, Concat) else (vector,):
            rescale = made.get(tensor.name)
            if isinstance(rescale, AbstractRescale):
                yield Part(rescale.inputs[0], rescale.start, rescale, at, tensor.size)
            else:
                yield Part(tensor, 0, None, at, tensor.size)
            at += tensor.size

    @property
    def is_crossed(self) -> bool:
        """Whether each four columns of the first layer can lie in the order 0, 2, 1, 3."""
        return all(part.at % GROUP == 0 for part in self.parts)

    def index(self, tensor: QTensor) -> int:
        """Return which input a tensor is."""
        return [t.name for t in self.inputs].index(tensor.name)

    def passed(self, layer: Layer) -> QTensor | None:
        """Return what the layer behind reads of one; None of the last."""
        behind = self.layers[self.layers.index(layer) + 1 :]
        return behind[0].heads[0].inputs[0] if behind else None


def holds(op: AbstractOp) -> tuple[AbstractOp, ...]:
    """Return the operators of the graph that one computes: itself, or those inside."""
    return op.holds if isinstance(op, Units) else (op,)


def label(op: AbstractOp) -> str:
    """Return an operator's name, with the names of those inside if it holds any."""
    inside = ", ".join(each.name for each in holds(op))
    return f"{op.name} ({inside})" if isinstance(op, Units) else op.name

"""Rows of a table, made while the layers of a Keras model are read one after the other.

Keras has channels last, and time first. A convolution of torch wants them the other way round, so a
value knows how it lies, and a row that turns it is made only where two layers disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from lnn_edge.errors import LnnEdgeError
from lnn_edge.nn.arrays import Arrays
from lnn_edge.nn.from_keras.files import Variables
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.ncps import Liquid
from lnn_edge.nn.table import NAMES, Layer, identifier
from lnn_edge.nn.table_layers import LinearSizes, PermuteSizes

Shape = tuple[int | None, ...]


class NeedsWindow(LnnEdgeError):
    """A layer reads several frames at once, so a whole window of them."""

    def __init__(self, layer: KerasLayer, reason: str) -> None:
        super().__init__(f"{layer.where} {reason}")


class Unanswered(LnnEdgeError):
    """A layer of which the file does not tell all, nor an option."""


@dataclass(frozen=True)
class Value:
    """What a layer gives.

    Attributes:
        name: Of the row that computes it.
        shape: Sizes behind the batch as Keras has them, channels last; None for time.
        is_first: Whether channels are the first of them in torch.
        is_newest: Whether Keras has the last frame alone, where a stream has all of them.
    """

    name: str
    shape: Shape
    is_first: bool = False
    is_newest: bool = False

    @property
    def has_time(self) -> bool:
        """Whether the first axis is time."""
        return bool(self.shape) and self.shape[0] is None

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.shape[-1] or 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes but time."""
        return tuple(n for n in self.shape if n is not None)


@dataclass
class Build:
    """The table so far.

    Attributes:
        weights: Variables of the file.
        liquids: Cells of ncps, by the name of what their layer gives.
        readers: How many layers read a tensor.
        length: Frames of a sequence or window; None for any number.
        rows: Of the table.
        own: Weights of the rows, by name.
    """

    weights: Variables
    liquids: Mapping[str, Liquid]
    readers: Mapping[str, int]
    length: int | None
    rows: list[Layer] = field(default_factory=list)
    own: Arrays = field(default_factory=dict)
    _turned: dict[str, Value] = field(default_factory=dict)

    def row(
        self,
        layer: KerasLayer,
        sizes: Any,
        inputs: Sequence[Value],
        shape: Shape,
        weights: Arrays | None = None,
    ) -> Value:
        """Add a row; return what it gives: as its first input lies, of a shape.

        Args:
            layer: Where it comes from.
            sizes: Its options.
            inputs: What it reads.
            shape: Of what it gives, channels last.
            weights: By their names in the torch layer.
        """
        kind = NAMES[type(sizes)]
        base = layer.name if weights is not None else f"{layer.name}_{kind}"
        name = identifier(base, [row.name for row in self.rows])
        names = tuple(value.name for value in inputs)
        self.rows.append(Layer(name, kind, names, asdict(sizes), layer.where))
        self.own |= {f"{name}.{key}": value for key, value in (weights or {}).items()}
        return replace(inputs[0], name=name, shape=shape)

    def turned(self, layer: KerasLayer, value: Value, *, to_first: bool) -> Value:
        """Return a value with its channels first, or last."""
        if value.is_first == to_first or len(value.shape) < 2:
            return value
        if value.name not in self._turned:
            axes = range(1, len(value.shape) + 1)
            order = (axes[-1], *axes[:-1]) if to_first else (*axes[1:], axes[0])
            made = self.row(layer, PermuteSizes((0, *order)), [value], value.shape)
            made = replace(made, is_first=to_first)
            self._turned |= {value.name: made, made.name: value}
        return self._turned[value.name]

    def variables(self, layer: KerasLayer, least: int) -> list[np.ndarray]:
        """Return the variables of a layer in their order.

        Raises:
            DataError: There are fewer than a layer of its kind has.
        """
        found = self.weights.of(layer)
        if len(found) < least:
            raise layer.refuse(
                f"the file holds {len(found)} of its {least} variables; save the model again, with "
                "Keras 3 as .keras"
            )
        return found

    def scale_matrix(self, value: Value, gain: np.ndarray, shift: np.ndarray) -> bool:
        """Let the matrix that gave a value multiply and add per channel; return whether it can."""
        row = next((row for row in self.rows if row.name == value.name), None)
        if row is None or row.kind != NAMES[LinearSizes]:
            return False
        weight, bias = f"{row.name}.weight", f"{row.name}.bias"
        self.own[weight] = self.own[weight] * gain[:, None]
        self.own[bias] = self.own[bias] * gain + shift
        return True

"""A table of layers -> a torch module: what an imported model is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.files.names import name_fault, shown
from lnn_edge.nn.cell_sizes import (
    CfcSizes,
    GruSizes,
    LstmSizes,
    LtcSizes,
    MixedMemorySizes,
    WiredCfcSizes,
)
from lnn_edge.nn.recurrent import Recurrent

INPUT = "input"
"""Name of what the first layer reads."""


@dataclass(frozen=True)
class Layer:
    """A row of the table.

    Attributes:
        name: Identifier of its own.
        kind: A name in KINDS.
        inputs: Names of the layers, above it, whose outputs it reads; INPUT for the frames.
        options: Fields of its kind.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    options: dict[str, object]


@dataclass(frozen=True)
class LinearSizes:
    """y = W x + b."""

    input_size: int
    output_size: int

    def make(self) -> nn.Module:
        """Return the layer with fresh weights."""
        return nn.Linear(self.input_size, self.output_size)


KINDS: dict[str, type[Any]] = {
    "cfc": CfcSizes,
    "wired_cfc": WiredCfcSizes,
    "mixed_memory": MixedMemorySizes,
    "ltc": LtcSizes,
    "lstm": LstmSizes,
    "gru": GruSizes,
    "linear": LinearSizes,
}
"""Options of each kind of layer; `make` returns it."""
NAMES = {options: kind for kind, options in KINDS.items()}


class LayerTable(nn.Module):
    """forward(x): layers in their order, from frames (B, T, C) to the outputs of the last one.

    Args:
        rows: Layers.
        dt: Elapsed time of liquid cells, in seconds.

    Raises:
        DataError: A kind, an option or a name is unknown, or a layer reads one below it.
    """

    def __init__(self, rows: Sequence[Layer], dt: float = 1.0) -> None:
        super().__init__()
        self.rows = tuple(rows)
        known = {INPUT}
        for row in self.rows:
            what = f"layer {shown(row.name)}"
            if name_fault(row.name) or row.name in known or hasattr(self, row.name):
                raise DataError(f"{what}: its name must be an identifier of its own")
            if row.kind not in KINDS:
                raise DataError(f"{what}: unknown kind {shown(row.kind)}; upgrade lnn-edge")
            if not known.issuperset(row.inputs) or not row.inputs:
                raise DataError(f"{what}: its inputs must be layers above it")
            layer = tables.build(KINDS[row.kind], row.options, what, DataError).make()
            if isinstance(layer, Recurrent):
                layer.dt = dt
            self.add_module(row.name, layer)
            known.add(row.name)

    def forward(self, x: Tensor) -> Any:
        """Return the outputs (B, T, O) of sequences that start from a reset."""
        return self._run(x, {})

    def _run(self, x: Tensor, elapsed: dict[str, Tensor]) -> Any:
        values = {INPUT: x}
        for row in self.rows:
            layer: Any = getattr(self, row.name)
            given = elapsed if isinstance(layer, Recurrent) else {}
            values[row.name] = layer(*(values[name] for name in row.inputs), **given)
        return values[self.rows[-1].name]


class TimedTable(LayerTable):
    """forward(x, dt): the same, where elapsed time (B, T, 1) comes with every frame."""

    def forward(self, x: Tensor, dt: Tensor) -> Any:  # type: ignore[override]
        """Return the outputs (B, T, O) of sequences that start from a reset."""
        return self._run(x, {"timespans": dt})

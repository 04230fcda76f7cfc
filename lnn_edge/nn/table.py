"""A table of layers -> a torch module: what an imported model is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.files.names import name_fault, shown
from lnn_edge.nn import table_layers
from lnn_edge.nn.arrays import Arrays
from lnn_edge.nn.cell_sizes import CELLS
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.nn.table_layers import ENDING

INPUT = "input"
"""Name of what the first layer reads."""
KINDS: dict[str, type[Any]] = {**CELLS, **table_layers.KINDS}
"""Options of each kind of layer; `make` returns it."""
OWN = ("rows", "form", "origin", "outputs", "scores")
"""Attributes of a table, which no layer may have for a name."""
NAMES = {options: kind for kind, options in KINDS.items()}


@dataclass(frozen=True)
class Layer:
    """A row of the table.

    Attributes:
        name: Identifier of its own.
        kind: A name in KINDS.
        inputs: Names of the layers, above it, whose outputs it reads; INPUT for the frames.
        options: Fields of its kind.
        origin: The layer of the file that it comes from, for messages.
        range: (low, high) of its outputs, where the file quantizes them; empty elsewhere.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    options: dict[str, object]
    origin: str = ""
    range: tuple[float, ...] = ()


@dataclass(frozen=True)
class Form:
    """How frames enter a table of layers, and what leaves it.

    Attributes:
        reads: What the first layer reads: a whole sequence (B, T, C), a window of frames
            (B W, L, C), or frames by themselves, (B T, C).
        frame: Sizes of a frame, whose product is C; none for C itself.
        window: L, frames of a window.
        hop: Frames from one window to the next.
        outputs: Names of the layers whose outputs leave the model; none for the last one.
        range: (low, high) of frames, where the file quantizes them; empty elsewhere.
    """

    reads: Literal["sequence", "window", "frame"] = "sequence"
    frame: tuple[int, ...] = ()
    window: int = 0
    hop: int = 0
    outputs: tuple[str, ...] = ()
    range: tuple[float, ...] = ()


@dataclass(frozen=True)
class Table:
    """Layers with their weights.

    Attributes:
        rows: Layers.
        weights: By row and name, such as `rnn.cells.0.ff1.weight`.
        form: What they read, and what leaves them.
        channels: Of a frame.
        is_timed: Whether a layer reads elapsed time.
    """

    rows: tuple[Layer, ...]
    weights: Arrays
    form: Form
    channels: int
    is_timed: bool


class LayerTable(nn.Module):
    """forward(x): layers in their order, from frames (B, T, C) to outputs (B, T', K).

    Several outputs are a dict, by name.

    Args:
        rows: Layers.
        dt: Elapsed time of liquid cells, in seconds.
        form: What the layers read, and which of them leave.

    Raises:
        DataError: A kind, an option or a name is unknown, or a layer reads one below it.
    """

    def __init__(self, rows: Sequence[Layer], dt: float = 1.0, form: Form | None = None) -> None:
        super().__init__()
        self.rows, self.form = tuple(rows), form or Form()
        self.origin = "frames or outputs of the model"
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
            layer.origin = row.origin  # where trace looks for it
            self.add_module(row.name, layer)
            known.add(row.name)
        self.outputs = self.form.outputs or (self.rows[-1].name,)
        if not known.issuperset(self.outputs):
            raise DataError("an output is none of the layers; import the model again")

    def forward(self, x: Tensor) -> Any:
        """Return the outputs of sequences that start from a reset."""
        return self._run(x, {})

    def scores(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return outputs as a device gives them: without the softmax at their end."""
        x, *elapsed = inputs
        values = self._values(x, {"timespans": elapsed[0]} if elapsed else {})
        return {name: self._left(values[self._before(name)], x) for name in self.outputs}

    def _run(self, x: Tensor, elapsed: Mapping[str, Tensor]) -> Any:
        values = self._values(x, elapsed)
        found = {}
        for name in self.outputs:
            y = self._left(values[self._before(name)], x)
            found[name] = getattr(self, name)(y) if self._before(name) != name else y
        return found if len(found) > 1 else found[self.outputs[0]]

    def _values(self, x: Tensor, elapsed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = {INPUT: self._entered(x)}
        for row in self.rows:
            layer: Any = getattr(self, row.name)
            given = elapsed if isinstance(layer, Recurrent) else {}
            values[row.name] = layer(*(values[name] for name in row.inputs), **given)
        return values

    def _before(self, output: str) -> str:
        """Return the name of the value that leaves a device as an output."""
        row = next(row for row in self.rows if row.name == output)
        return row.inputs[0] if row.kind == ENDING else output

    def _entered(self, x: Tensor) -> Tensor:
        """Return frames (B, T, C) as the first layer reads them."""
        form = self.form
        if form.reads == "window":
            x = x.unfold(1, form.window, form.hop).flatten(0, 1).transpose(1, 2)
        elif form.reads == "frame":
            x = x.flatten(0, 1)
        return torch.unflatten(x, -1, form.frame) if form.frame else x

    def _left(self, y: Tensor, x: Tensor) -> Tensor:
        """Return an output as (B, T', K); what the layers gave of frames x."""
        form, batch = self.form, x.shape[0]
        if form.reads == "window":
            windows = x.unfold(1, form.window, form.hop).shape[1]
            return y.reshape(batch, windows, -1)
        return y.reshape(batch, x.shape[1], -1) if form.reads == "frame" else y


class TimedTable(LayerTable):
    """forward(x, dt): the same, where elapsed time (B, T, 1) comes with every frame."""

    def forward(self, x: Tensor, dt: Tensor) -> Any:  # type: ignore[override]
        """Return the outputs of sequences that start from a reset."""
        return self._run(x, {"timespans": dt})


def identifier(given: str, taken: Iterable[str]) -> str:
    """Return a name for a layer: one in C, none that a module has for itself."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", given).strip("_")[:50]
    if name_fault(name) or name == INPUT or hasattr(nn.Module, name) or name in OWN:
        name = f"layer_{name}".rstrip("_")[:40]
    taken, numbers = set(taken), (f"{name}_{i}" for i in count(2))
    return name if name not in taken else next(n for n in numbers if n not in taken)

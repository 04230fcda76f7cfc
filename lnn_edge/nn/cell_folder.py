"""A cell model with its weights, written to and made from its files."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.files.finite import check_finite
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import write_together
from lnn_edge.nn.cell_files import CARD, WEIGHTS, CellCard, read_cell_files
from lnn_edge.nn.cell_model import CellInput, CellModel
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.mixed_memory import MixedMemory, Place
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import fully_connected, layered


@dataclass(frozen=True)
class CfcSizes:
    """A Cfc, see there."""

    kind: ClassVar[str] = "cfc"
    input_size: int
    hidden_size: int
    backbone_units: int
    config: CfcConfig

    @property
    def output_size(self) -> int:
        """Length of the output."""
        return self.hidden_size

    def make(self) -> nn.Module:
        """Return the cell with fresh weights."""
        return Cfc(self.input_size, self.hidden_size, self.backbone_units, self.config)


@dataclass(frozen=True)
class WiredCfcSizes:
    """A WiredCfc: its masks come with the weights; 0 outputs are the whole last layer."""

    kind: ClassVar[str] = "wired_cfc"
    input_size: int
    layers: tuple[int, ...]
    config: CfcConfig
    outputs: int = 0

    @property
    def output_size(self) -> int:
        """Length of the output: the motor neurons."""
        return self.outputs or self.layers[-1]

    def make(self) -> nn.Module:
        """Return the cell with fresh weights and all synapses."""
        return WiredCfc(layered(self.input_size, self.layers), self.config, self.output_size)


@dataclass(frozen=True)
class MixedMemorySizes:
    """A MixedMemory, see there."""

    kind: ClassVar[str] = "mixed_memory"
    input_size: int
    hidden_size: int
    backbone_units: int
    place: Place
    config: CfcConfig

    @property
    def output_size(self) -> int:
        """Length of the output."""
        return self.hidden_size

    def make(self) -> nn.Module:
        """Return the cell with fresh weights."""
        return MixedMemory(
            self.input_size, self.hidden_size, self.backbone_units, self.place, self.config
        )


@dataclass(frozen=True)
class LtcSizes:
    """An Ltc: its masks come with the weights."""

    kind: ClassVar[str] = "ltc"
    input_size: int
    units: int
    output_size: int
    config: LtcConfig

    def make(self) -> nn.Module:
        """Return the cell with fresh weights and all synapses."""
        return Ltc(fully_connected(self.input_size, self.units, self.output_size), self.config)


CellSizes = CfcSizes | WiredCfcSizes | MixedMemorySizes | LtcSizes
CELLS: dict[str, type[CellSizes]] = {
    sizes.kind: sizes for sizes in (CfcSizes, WiredCfcSizes, MixedMemorySizes, LtcSizes)
}


def save_cell(folder: Path, model: CellModel, card: CellCard, *, force: bool = False) -> CellCard:
    """Write both files or none; return the card with the weights' hash.

    Args:
        folder: Where they go.
        model: Whose weights.
        card: Of the model.
        force: Whether to replace another model.

    Raises:
        UsageError: Another model is there.
    """
    tensors = {k: v.detach().contiguous().cpu() for k, v in model.state_dict().items()}
    weights = save_tensors(tensors)
    values = asdict(card) | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    with alone_in(folder):
        write_together(folder, {WEIGHTS: weights, CARD: tomli_w.dumps(values)}, force=force)
    return CellCard(**values)


def load_cell(folder: Path) -> tuple[CellModel, CellCard]:
    """Read a cell model in evaluation mode.

    Raises:
        DataError: See read_cell_files, or the weights do not fit the sizes.
    """
    card, files = read_cell_files(folder)
    where = f"{folder}/{CARD}"
    if card.cell not in CELLS:
        raise DataError(f"{where}: unknown cell {card.cell!r}; upgrade lnn-edge")
    sizes = tables.build(CELLS[card.cell], card.sizes, f"{where}: sizes", DataError)
    try:
        model = make_model(sizes, card.dt or None, card.outputs)
        tensors = load_tensors(files[WEIGHTS])
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"{folder}/{WEIGHTS} does not fit {CARD} ({first}); import it again"
        ) from None
    for name, tensor in tensors.items():
        what = f"{folder / WEIGHTS}: {name}"
        check_finite(what, tensor.float().numpy(), "import it again")
    return model.eval(), card


def make_model(sizes: CellSizes, dt: float | None, outputs: int = 0) -> CellModel:
    """Return a cell model with fresh weights; see CellCard for the arguments."""
    cell = sizes.make()
    dtype = "int16" if isinstance(sizes, LtcSizes) else "int8"
    readout = nn.Linear(sizes.output_size, outputs) if outputs else None
    return CellModel(cell, CellInput(sizes.input_size, dt, dtype), readout)

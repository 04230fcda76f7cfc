"""Sizes and form of each recurrent cell, as an imported model's card has them."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d, ConvLstm2dConfig
from lnn_edge.nn.cells.gru import Gru, ResetFirstGru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.mixed_memory import MixedMemory, Place
from lnn_edge.nn.cells.simple_rnn import SimpleRnn
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import fully_connected, layered
from lnn_edge.nn.recurrent import Recurrent


class _Cell(abc.ABC):
    """What every cell has."""

    dtype: ClassVar[str] = "int8"
    is_timed: ClassVar[bool] = True
    input_size: int

    @abc.abstractmethod
    def cell(self) -> nn.Module:
        """Return the cell with fresh weights."""

    @property
    @abc.abstractmethod
    def output_size(self) -> int:
        """Length of the output."""

    def make(self) -> nn.Module:
        """Return the layer of this cell with fresh weights: sequences in, sequences out."""
        return Recurrent([self.cell()], result="outputs", dtype=self.dtype)


@dataclass(frozen=True)
class CfcSizes(_Cell):
    """A Cfc, see there."""

    input_size: int
    hidden_size: int
    backbone_units: int
    config: CfcConfig

    @property
    def output_size(self) -> int:
        """Length of the output."""
        return self.hidden_size

    def cell(self) -> nn.Module:
        """Return the cell with fresh weights."""
        return Cfc(self.input_size, self.hidden_size, self.backbone_units, self.config)


@dataclass(frozen=True)
class WiredCfcSizes(_Cell):
    """A WiredCfc: its masks come with the weights; 0 outputs are the whole last layer."""

    input_size: int
    layers: tuple[int, ...]
    config: CfcConfig
    outputs: int = 0

    @property
    def output_size(self) -> int:
        """Length of the output: the motor neurons."""
        return self.outputs or self.layers[-1]

    def cell(self) -> nn.Module:
        """Return the cell with fresh weights and all synapses."""
        return WiredCfc(layered(self.input_size, self.layers), self.config, self.output_size)


@dataclass(frozen=True)
class MixedMemorySizes(_Cell):
    """A MixedMemory, see there."""

    input_size: int
    hidden_size: int
    backbone_units: int
    place: Place
    config: CfcConfig

    @property
    def output_size(self) -> int:
        """Length of the output."""
        return self.hidden_size

    def cell(self) -> nn.Module:
        """Return the cell with fresh weights."""
        return MixedMemory(
            self.input_size, self.hidden_size, self.backbone_units, self.place, self.config
        )


@dataclass(frozen=True)
class LtcSizes(_Cell):
    """An Ltc: its masks come with the weights."""

    dtype: ClassVar[str] = "int16"  # it multiplies its inputs one by one
    input_size: int
    units: int
    outputs: int
    config: LtcConfig

    @property
    def output_size(self) -> int:
        """Length of the output: the motor neurons."""
        return self.outputs

    def cell(self) -> nn.Module:
        """Return the cell with fresh weights and all synapses."""
        return Ltc(fully_connected(self.input_size, self.units, self.outputs), self.config)


@dataclass(frozen=True)
class LstmSizes(_Cell):
    """An LstmCell, see there."""

    is_timed: ClassVar[bool] = False
    input_size: int
    hidden_size: int

    @property
    def output_size(self) -> int:
        """Length of the output."""
        return self.hidden_size

    def cell(self) -> nn.Module:
        """Return the cell with fresh weights."""
        return LstmCell(self.input_size, self.hidden_size)


@dataclass(frozen=True)
class GruSizes(LstmSizes):
    """A Gru, see there."""

    reset_after: bool = True

    def cell(self) -> nn.Module:
        """Return the cell with fresh weights."""
        form = Gru if self.reset_after else ResetFirstGru
        return form(self.input_size, self.hidden_size)


@dataclass(frozen=True)
class SimpleRnnSizes(LstmSizes):
    """A SimpleRnn, see there."""

    def cell(self) -> nn.Module:
        """Return the cell with fresh weights."""
        return SimpleRnn(self.input_size, self.hidden_size)


@dataclass(frozen=True)
class ConvLstmSizes(_Cell):
    """A ConvLstm2d on frames of rows, columns and channels, see there."""

    is_timed: ClassVar[bool] = False
    shape: tuple[int, ...]
    config: ConvLstm2dConfig

    @property
    def input_size(self) -> int:  # type: ignore[override]
        """Numbers of a frame."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def output_size(self) -> int:
        """Channels of the output."""
        return self.config.filters

    @property
    def result(self) -> tuple[int, ...]:
        """Rows, columns and channels of the output."""
        form = self.config
        sides = (self.shape[0], self.shape[1]), form.kernel_size, form.strides, form.padding
        return (*geometry_of(*sides).output, form.filters)

    def cell(self) -> nn.Module:
        """Return the cell with fresh weights."""
        rows, columns, channels = self.shape
        return ConvLstm2d((rows, columns, channels), self.config)


CELLS: dict[str, type[_Cell]] = {
    "cfc": CfcSizes,
    "wired_cfc": WiredCfcSizes,
    "mixed_memory": MixedMemorySizes,
    "ltc": LtcSizes,
    "lstm": LstmSizes,
    "gru": GruSizes,
    "simple_rnn": SimpleRnnSizes,
    "conv_lstm": ConvLstmSizes,
}
"""Options of each kind of cell."""
CellSizes = CfcSizes | WiredCfcSizes | MixedMemorySizes | LtcSizes

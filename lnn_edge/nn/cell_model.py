"""A cell by itself as a model: one frame in, one step, its output out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.ranges import Channel, Range
from lnn_edge.graph.scales import Ranges, symmetric_of
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage
from lnn_edge.nn.cell import Cell, Tap, linear_op, no_tap

HEADROOM = 4  # of the int16 frame over the calibrated range of a channel
RING = "frames"


@dataclass(frozen=True)
class CellInput:
    """What a frame of a cell's model holds.

    Attributes:
        size: Channels that the cell reads.
        dt: Constant elapsed time in seconds; None where the last channel of a frame holds it.
        dtype: int8, or int16 for a cell that multiplies its inputs one by one.
    """

    size: int
    dt: float | None
    dtype: str = "int8"

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return self.size + (self.dt is None)


class CellModel(nn.Module):
    """y = R o + r,  o, state' = cell(x, state, dt), for every frame [x; dt].

    Args:
        cell: A cell of lnn_edge.nn.cells.
        frame: What a frame holds.
        readout: Linear map of the cell's output, or None for the output itself.
    """

    def __init__(self, cell: nn.Module, frame: CellInput, readout: nn.Linear | None = None) -> None:
        super().__init__()
        self.cell: Any = cell
        self.frame = frame
        self.readout = readout

    def forward(self, frames: Tensor, tap: Tap = no_tap) -> Tensor:
        """Return outputs (B, T, O) of sequences (B, T, C) that start from a reset."""
        if frames.shape[-1] != self.frame.channels:
            raise UsageError(
                f"frames have {frames.shape[-1]} channels, needed are {self.frame.channels}"
            )
        x, dt = frames[..., : self.frame.size], frames[..., self.frame.size :]
        if self.frame.dt is not None:
            dt = x.new_full((*x.shape[:2], 1), self.frame.dt)
        cell: Cell = self.cell
        output, _ = cell(x, dt, cell.initial_state(len(x)), tap)
        return output if self.readout is None else tap("y", self.readout(output))

    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph.

        Args:
            name: C prefix.
            ranges: Calibrated ranges of the tapped tensors, and of each channel of a frame (see
                channel_name).
            metadata: What a user of the outputs must know.
        """
        scales = tuple(
            _channel_scale(self.frame, i, ranges[channel_name(i)])
            for i in range(self.frame.channels)
        )
        frame = QTensor("frame", (len(scales),), "int16", scales, role="input")
        window = QTensor("window", (1, len(scales)), "int16", scales, role="input")
        split, x, dt = self._split(window, ranges)
        cell: Cell = self.cell
        lowered = cell.lower((x,), dt, ranges)
        ops, output = (*split, *lowered.ops), lowered.output
        if self.readout is not None:
            y = symmetric_of("y", (self.readout.out_features,), "int16", ranges)
            ops += (linear_op("readout", (self.readout.weight, self.readout.bias), output, y),)
            output = y
        stage = Stage("step", EveryTrigger(RING, window, 1, 1), ops, lowered.states, (output,))
        frames = Stage("take", InputTrigger(frame, RING))
        return QGraph((frames, stage), (Ring(RING, frame, 1),), name, dict(metadata))

    def _split(
        self, window: QTensor, ranges: Ranges
    ) -> tuple[tuple[AbstractOp, ...], QTensor, QTensor | float]:
        """Return the operators that take a frame apart, x and dt."""
        size = self.frame.size
        x = self._read("x", window.scales[:size])
        take = Slice.quantize("take_x", window, x)
        if self.frame.dt is not None:
            return (take,), x, self.frame.dt
        dt = self._format(size, ranges[channel_name(size)])
        return (take, Slice.quantize("take_dt", window, dt, size)), x, dt

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What a frame holds: the channels that the cell reads, and dt where it is not constant."""
        return tuple(
            Channel(channel_name(i), partial(self._format, i), has_tails=i < self.frame.size)
            for i in range(self.frame.channels)
        )

    def _format(self, index: int, values: Range) -> QTensor:
        """Return the tensor, (1,), in which the cell reads a channel of a range."""
        scale = _channel_scale(self.frame, index, values)
        if index < self.frame.size:
            return self._read(channel_name(index), (scale,))
        low, high = values
        limits = max(int(np.floor(low / scale)), 0), int(np.ceil(high / scale))
        return QTensor("dt", (1,), "uint16", scale, 0, *limits)

    def _read(self, name: str, scales: tuple[float, ...]) -> QTensor:
        """Return what the cell reads of channels of a frame that have these scales."""
        dtype = self.frame.dtype
        limit, coarser = (127, 32767 / (127 * HEADROOM)) if dtype == "int8" else (32767, 1.0)
        coarse = tuple(scale * coarser for scale in scales)
        return QTensor(name, (len(scales),), dtype, coarse, 0, -limit, limit)


def run_real(model: CellModel, frames: np.ndarray) -> np.ndarray:
    """Return the model's outputs (N, T, O) float64 on sequences of frames (N, T, C)."""
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        outputs = model(torch.from_numpy(frames).to(dtype))
    array: np.ndarray = outputs.double().numpy()
    return array


def channel_name(index: int) -> str:
    """Return the name of a channel's range."""
    return f"channel{index}"


def _channel_scale(frame: CellInput, index: int, values: Range) -> float:
    """Return the step of a channel: HEADROOM times its range fills int16, dt's fills it once."""
    low, high = values
    bound = max(-low, high)
    return bound / 32767 if index == frame.size else bound * HEADROOM / 32767

"""Each recurrent cell as a module of its own, and frames that it sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.mixed_memory import MixedMemory
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, ncp
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.quantize.module import quantize_module

INPUT, HIDDEN = 5, 8
WIDTHS = np.array([1.0, 0.01, 2.0, 1.0, 0.5])  # channels of different units
WIRING = ncp(INPUT, auto_ncp(12, 3))
CELLS: dict[str, Callable[[], nn.Module]] = {
    "default": lambda: Cfc(INPUT, HIDDEN, 16),
    "no_gate": lambda: Cfc(INPUT, HIDDEN, 16, CfcConfig("no_gate")),
    "pure": lambda: Cfc(INPUT, HIDDEN, 16, CfcConfig("pure", head="linear")),
    "wired": lambda: WiredCfc(WIRING),
    "mixed": lambda: MixedMemory(INPUT, HIDDEN, 16, "state"),
    "lstm": lambda: LstmCell(INPUT, HIDDEN),
    "gru": lambda: Gru(INPUT, HIDDEN),
    "ltc": lambda: Ltc(WIRING),
    "ltc_slow": lambda: Ltc(WIRING, LtcConfig(positivity="clip")),  # its potentials need 32 bits
}


class CellNet(nn.Module):
    """A cell by itself: frames (B, T, C) in, outputs out; a constant dt, or None: the last channel.

    Frames hold elapsed time where dt is None, forward takes it apart from them.
    """

    def __init__(self, cell: nn.Module, dt: float | None, head: nn.Linear | None = None) -> None:
        super().__init__()
        dtype = "int16" if isinstance(cell, Ltc) else "int8"
        self.rnn = Recurrent([cell], head, result="outputs", dtype=dtype, dt=dt or 1.0)
        self.cell: Any = cell
        self.dt = dt

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)  # type: ignore[no-any-return]

    def inputs(self, frames: np.ndarray) -> tuple[np.ndarray, ...]:
        return (frames,) if self.dt else (frames[..., :-1], frames[..., -1:])

    def run(self, frames: np.ndarray) -> np.ndarray:
        """Outputs (N, T, O) in floating point of frames (N, T, C)."""
        dtype = next(self.parameters()).dtype
        with torch.no_grad():
            outputs: np.ndarray = self(
                *(torch.from_numpy(x).to(dtype) for x in self.inputs(frames))
            )
        return outputs.double().numpy()  # type: ignore[attr-defined, no-any-return]


class TimedCellNet(CellNet):
    """The same, given the elapsed time of each frame."""

    def forward(self, x: Tensor, dt: Tensor) -> Tensor:  # type: ignore[override]
        return self.rnn(x, timespans=dt)  # type: ignore[no-any-return]


def net_of(cell: nn.Module, dt: float | None, head: nn.Linear | None = None) -> CellNet:
    """Return a cell's module in evaluation mode."""
    return (TimedCellNet if dt is None else CellNet)(cell, dt, head).eval()


def make_net(name: str, dt: float | None, readout: bool = False) -> CellNet:
    """Return one of CELLS with seeded weights."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        cell = CELLS[name]()
        return net_of(cell, dt, nn.Linear(HIDDEN, 2) if readout else None)


def frames_for(net: CellNet, batch: int, steps: int, seed: int = 0) -> np.ndarray:
    """Return random frames (N, T, C), elapsed times of 0.1 to 3 s among them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, WIDTHS, (batch, steps, INPUT))
    if net.dt is not None:
        return x
    return np.concatenate((x, rng.uniform(0.1, 3.0, (batch, steps, 1))), axis=-1)


def quantized(net: CellNet, frames: np.ndarray, **options: Any) -> QGraph:
    """Return the integer graph of a cell's module."""
    inputs = net.inputs(frames)
    data = inputs if len(inputs) > 1 else frames
    options = {"name": "cell", "dt": None if net.dt else "input", **options}
    return quantize_module(net, data, **options)

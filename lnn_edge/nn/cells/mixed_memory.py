"""Mixed memory: an LSTM beside a CfC cell, in the two published ways."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import Ranges, symmetric
from lnn_edge.nn.cell import LoweredCell, Tap, no_tap
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.compiled_scan import refuse
from lnn_edge.nn.cells.lstm import Lstm

Place = Literal["state", "input"]
PUBLISHED = CfcConfig()


class MixedMemory(nn.Module):
    """CfC cell with an LSTM; the two published definitions are different networks.

    place "state" (ncps.torch): m, c' = LSTM(x, h, c);  h' = CfC(x, m, dt)
    place "input" (ncps.tf):    m, c' = LSTM(x, h, c);  h' = CfC(m, h, dt)

    Args:
        input_size: I.
        hidden_size: H.
        backbone_units: U, see Cfc.
        place: What m replaces in the CfC cell.
        config: Form of the CfC cell.

    Raises:
        UsageError: The place is unknown, or see Cfc.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        backbone_units: int,
        place: Place,
        config: CfcConfig = PUBLISHED,
    ) -> None:
        super().__init__()
        if place not in get_args(Place):
            raise UsageError(f"mixed memory place must be one of {get_args(Place)}, not {place!r}")
        self.place = place
        self.lstm = Lstm(input_size, hidden_size)
        features = input_size if place == "state" else hidden_size
        self.rnn_cell = Cfc(features, hidden_size, backbone_units, config)

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return zeros h and c, (B, H) each."""
        return self.rnn_cell.initial_state(batch), self.rnn_cell.initial_state(batch)

    def step(
        self, x: Tensor, state: tuple[Tensor, Tensor], dt: Tensor, tap: Tap = no_tap
    ) -> tuple[Tensor, Tensor]:
        """Return h' and c' (B, H) of x (B, I), (h, c), dt (B, 1) in seconds."""
        h, c = state
        m, c = self.lstm.step(x, h, c)
        pair = (x, m) if self.place == "state" else (m, h)
        return self.rnn_cell.step(*pair, dt, tap), c

    def forward(
        self, x: Tensor, dt: Tensor, state: tuple[Tensor, Tensor], tap: Tap = no_tap
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Scan `step` over time: h' of each step (B, T, H), and the last state."""
        refuse("mixed memory", "its LSTM and CfC wait for each other")
        outputs = []
        for t in range(x.shape[1]):
            state = self.step(x[:, t], state, dt[:, t], tap)
            outputs.append(state[0])
        return torch.stack(outputs, 1), state

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges) -> LoweredCell:
        """Lower one step to integer operators, see Cfc.lower; states h (int16) and c (int32)."""
        m = symmetric("lstm_m", (self.rnn_cell.hidden_size,), "int8", 1.0)
        if self.place == "state":
            cell = self.rnn_cell.lower(parts, dt, ranges, memory=m)
        else:
            cell = self.rnn_cell.lower((m,), dt, ranges)
        lstm = self.lstm.lower(parts, cell.states[0].tensor, m)
        return LoweredCell((*lstm.ops, *cell.ops), (*cell.states, *lstm.states), cell.output)

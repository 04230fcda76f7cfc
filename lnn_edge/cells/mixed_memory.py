"""Mixed memory: an LSTM beside a CfC cell, in the two published ways."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lnn_edge.cells.cfc import (
    SIGMOID_BOUND,
    TABLE_STEP_BITS,
    TANH_BOUND,
    Cfc,
    CfcConfig,
    LoweredCell,
    Tap,
    linear_op,
    no_tap,
)
from lnn_edge.errors import UsageError
from lnn_edge.formats import Ranges, q15, q15_gate, symmetric
from lnn_edge.ir import AbstractOp, QTensor, State
from lnn_edge.ops.elementwise import Concat, Requantize
from lnn_edge.ops.lut import Lut
from lnn_edge.ops.memory_cell import Gate, Remember

Place = Literal["state", "input"]
# |c| up to 128; half a step is 3e-8: the state stands still 1e-6 short where f = 0.97
MEMORY_BITS = 24
PUBLISHED = CfcConfig()
GATES = ("input", "input_gate", "forget_gate", "output_gate")


class Lstm(nn.Module):
    """LSTM cell whose forget gate has a bias of 1.

    z = W x + U h + w, in chunks i, ig, fg, og
    c' = c sigmoid(fg + 1) + tanh(i) sigmoid(ig),  h' = tanh(c') sigmoid(og)

    Source: ncps LSTMCell, its names.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_map = nn.Linear(input_size, 4 * hidden_size)
        self.recurrent_map = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        nn.init.uniform_(self.input_map.bias, -0.1, 0.1)
        nn.init.xavier_uniform_(self.input_map.weight)
        nn.init.orthogonal_(self.recurrent_map.weight)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return h' and c' (B, H) of x (B, I), h and c (B, H)."""
        i, ig, fg, og = (self.input_map(x) + self.recurrent_map(h)).chunk(4, -1)
        c = c * torch.sigmoid(fg + 1.0) + torch.tanh(i) * torch.sigmoid(ig)
        return torch.tanh(c) * torch.sigmoid(og), c

    def lower(self, parts: tuple[QTensor, ...], h: QTensor, y: QTensor) -> LoweredCell:
        """Lower one step: reads int8 parts of x and the int16 state h, writes h' to y.

        The memory integrates: int32, read by tanh as int16.
        """
        shape = h.shape
        h8 = symmetric("lstm_h8", shape, "int8", h.qmax * h.scales[0])
        join = Concat.join("lstm_cell_input", (*parts, h8), "lstm_z")
        ops: list[AbstractOp] = [Requantize.quantize("lstm_narrow_h", h, h8), join]
        gates = []
        for index, name in enumerate(GATES):
            made, gate = self._gate(index, f"lstm_{name}", join.outputs[0])
            ops += made
            gates.append(gate)
        value, fresh, kept, shown = gates
        top, scale = (1 << 31) - 1, 2.0**-MEMORY_BITS
        c, c_next = (
            QTensor(n, shape, "int32", scale, 0, -top, top) for n in ("lstm_c", "lstm_c_next")
        )
        view, bent = symmetric("lstm_c16", shape, "int16", TANH_BOUND), q15("lstm_out", h.size)
        ops += [
            Remember("lstm_memory", (c, kept, value, fresh), (c_next,), MEMORY_BITS),
            Requantize.quantize("lstm_view", c_next, view),
            Lut.quantize("lstm_out_act", view, bent, "tanh", TABLE_STEP_BITS),
            Gate.quantize("lstm_show", bent, shown, y),
        ]
        return LoweredCell(tuple(ops), (State(c, c_next, 0),), y)

    def _gate(self, index: int, name: str, z: QTensor) -> tuple[list[AbstractOp], QTensor]:
        """Return one chunk of z, its function applied."""
        size = self.recurrent_map.in_features
        rows = slice(index * size, (index + 1) * size)
        weight = torch.cat((self.input_map.weight[rows], self.recurrent_map.weight[rows]), 1)
        bias = self.input_map.bias[rows] + (1.0 if GATES[index] == "forget_gate" else 0.0)
        is_value = GATES[index] == "input"
        bound, table = (TANH_BOUND, "tanh") if is_value else (SIGMOID_BOUND, "sigmoid")
        pre = symmetric(f"{name}_pre", (size,), "int16", bound)
        y = q15(f"{name}_value", size) if is_value else q15_gate(f"{name}_value", size)
        return [
            linear_op(name, (weight, bias), z, pre),
            Lut.quantize(f"{name}_act", pre, y, table, TABLE_STEP_BITS),
        ], y


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
            raise UsageError(f"mixed memory place is {place!r}, needed is one of {get_args(Place)}")
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

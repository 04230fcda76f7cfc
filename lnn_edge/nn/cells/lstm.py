"""LSTM cell: beside a CfC cell in mixed memory, and by itself as a baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Concat, Requantize
from lnn_edge.graph.ops.memory_cell import Gate, Remember
from lnn_edge.graph.scales import Ranges, q15, q15_gate, symmetric, whole
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import (
    SIGMOID_BOUND,
    TANH_BOUND,
    LoweredCell,
    Tap,
    linear_op,
    no_tap,
    table_op,
)

# |c| up to 128; half a step is 3e-8: the state stands still 1e-6 short where f = 0.97
MEMORY_BITS = 24
GATES = ("input", "input_gate", "forget_gate", "output_gate")


class Lstm(nn.Module):
    """LSTM cell.

    z = W x + U h + w, in chunks i, ig, fg, og
    c' = c sigmoid(fg + forget_bias) + tanh(i) sigmoid(ig),  h' = tanh(c') sigmoid(og)

    Args:
        input_size: I.
        hidden_size: H.
        forget_bias: What is added to the forget gate.

    Source: Hochreiter and Schmidhuber 1997, Gers et al. 2000; names and order as in ncps LSTMCell.
    """

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.hidden_size, self.forget_bias = hidden_size, forget_bias
        self.input_map = nn.Linear(input_size, 4 * hidden_size)
        self.recurrent_map = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        nn.init.uniform_(self.input_map.bias, -0.1, 0.1)
        nn.init.xavier_uniform_(self.input_map.weight)
        nn.init.orthogonal_(self.recurrent_map.weight)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return h' and c' (B, H) of x (B, I), h and c (B, H)."""
        i, ig, fg, og = (self.input_map(x) + self.recurrent_map(h)).chunk(4, -1)
        c = c * torch.sigmoid(fg + self.forget_bias) + torch.tanh(i) * torch.sigmoid(ig)
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
        view, bent = whole("lstm_c16", shape, TANH_BOUND), q15("lstm_out", h.size)
        ops += [
            Remember("lstm_memory", (c, kept, value, fresh), (c_next,), MEMORY_BITS),
            Requantize.quantize("lstm_view", c_next, view),
            table_op("lstm_out_act", view, bent, "tanh"),
            Gate.quantize("lstm_show", bent, shown, y),
        ]
        return LoweredCell(tuple(ops), (State(c, c_next, 0),), y)

    def _gate(self, index: int, name: str, z: QTensor) -> tuple[list[AbstractOp], QTensor]:
        """Return one chunk of z, its function applied."""
        size = self.recurrent_map.in_features
        rows = slice(index * size, (index + 1) * size)
        weight = torch.cat((self.input_map.weight[rows], self.recurrent_map.weight[rows]), 1)
        bias = self.input_map.bias[rows]
        if GATES[index] == "forget_gate":
            bias = bias + self.forget_bias
        is_value = GATES[index] == "input"
        bound, table = (TANH_BOUND, "tanh") if is_value else (SIGMOID_BOUND, "sigmoid")
        pre = whole(f"{name}_pre", (size,), bound)
        y = q15(f"{name}_value", size) if is_value else q15_gate(f"{name}_value", size)
        return [
            linear_op(name, (weight, bias), z, pre),
            table_op(f"{name}_act", pre, y, table),
        ], y


class LstmCell(nn.Module):
    """An LSTM by itself; dt has no effect. See Lstm.

    Args:
        input_size: I.
        hidden_size: H.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.lstm = Lstm(input_size, hidden_size, forget_bias=0.0)

    def load_torch(self, theirs: nn.LSTM) -> None:
        """Take the weights of a torch LSTM of one layer; its chunks are ig, fg, i, og."""
        order = torch.arange(4 * self.lstm.hidden_size).chunk(4)
        rows = torch.cat([order[2], order[0], order[1], order[3]])
        with torch.no_grad():
            values = theirs.state_dict()
            self.lstm.input_map.weight.copy_(values["weight_ih_l0"][rows])
            self.lstm.recurrent_map.weight.copy_(values["weight_hh_l0"][rows])
            bias = values["bias_ih_l0"] + values["bias_hh_l0"]
            self.lstm.input_map.bias.copy_(bias[rows])

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return zeros h and c, (B, H) each."""
        zeros = self.lstm.input_map.weight.new_zeros(batch, self.lstm.hidden_size)
        return zeros, zeros

    def forward(
        self, x: Tensor, dt: Tensor, state: tuple[Tensor, Tensor], tap: Tap = no_tap
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Scan over time: h' of each step (B, T, H), and the last state; all ranges are static."""
        outputs = []
        for t in range(x.shape[1]):
            state = self.lstm.step(x[:, t], *state)
            outputs.append(state[0])
        return torch.stack(outputs, 1), state

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges) -> LoweredCell:
        """Lower one step to integer operators: states h (int16) and c (int32)."""
        h, h_next = q15("h", self.lstm.hidden_size), q15("h_next", self.lstm.hidden_size)
        cell = self.lstm.lower(parts, h, h_next)
        return LoweredCell(cell.ops, (State(h, h_next, 0), *cell.states), h_next)

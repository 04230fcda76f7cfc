"""Simple recurrent network (Elman 1990), a baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Concat, Requantize
from lnn_edge.graph.scales import Ranges, q15, symmetric, whole
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import TANH_BOUND, LoweredCell, Tap, linear_op, no_tap, table_op


class SimpleRnn(nn.Module):
    """h' = tanh(W x + U h + b); dt has no effect.

    Args:
        input_size: I.
        hidden_size: H.

    Source: torch.nn.RNNCell, its names: weight_ih (H, I), weight_hh (H, H), bias_ih, bias_hh.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = nn.RNNCell(input_size, hidden_size)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (B, H)."""
        return self.cell.weight_hh.new_zeros(batch, self.hidden_size)

    def forward(self, x: Tensor, dt: Tensor, h: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Scan over time: h' of each step (B, T, H), and the last one; all ranges are static."""
        outputs, cell = [], self.cell
        driven = functional.linear(x, cell.weight_ih, cell.bias_ih + cell.bias_hh)
        for t in range(x.shape[1]):
            h = torch.tanh(driven[:, t] + functional.linear(h, cell.weight_hh))
            outputs.append(h)
        return torch.stack(outputs, 1), h

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges) -> LoweredCell:
        """Lower one step to integer operators: the state is int16 in Q15, read as int8."""
        size, cell = self.hidden_size, self.cell
        h, h_next = q15("h", size), q15("h_next", size)
        h8 = symmetric("h8", (size,), "int8", 1.0)
        pre = whole("pre", (size,), TANH_BOUND)
        join = Concat.join("cell_input", (*parts, h8), "z")
        row = torch.cat((cell.weight_ih, cell.weight_hh), 1), cell.bias_ih + cell.bias_hh
        ops = (
            Requantize.quantize("narrow_h", h, h8),
            join,
            linear_op("linear", row, join.outputs[0], pre),
            table_op("act", pre, h_next, "tanh"),
        )
        return LoweredCell(ops, (State(h, h_next, 0),), h_next)

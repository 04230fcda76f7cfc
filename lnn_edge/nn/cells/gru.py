"""Gated recurrent unit (Cho et al. 2014), a baseline."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Add, Concat, Mix, Requantize
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.memory_cell import Gate
from lnn_edge.graph.scales import Ranges, q15, q15_gate, symmetric, symmetric_of, whole
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

GATES = ("reset", "update")  # the order of torch, the new value after them


class Gru(nn.Module):
    """GRU cell; dt has no effect.

    r = sigmoid(W_r [x; h] + b_r),  z = sigmoid(W_z [x; h] + b_z)
    n = tanh(W_n x + b_n + r (U_n h + c_n)),  h' = (1 - z) n + z h

    Args:
        input_size: I.
        hidden_size: H.

    Source: torch.nn.GRUCell, its names: weight_ih (3H, I), weight_hh (3H, H), bias_ih, bias_hh.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = nn.GRUCell(input_size, hidden_size)

    def load_torch(self, theirs: nn.GRU) -> None:
        """Take the weights of a torch GRU of one layer."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.cell.load_state_dict({name: getattr(theirs, f"{name}_l0") for name in names})

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (B, H)."""
        return self.cell.weight_hh.new_zeros(batch, self.hidden_size)

    def forward(self, x: Tensor, dt: Tensor, h: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Scan over time: h' of each step (B, T, H), and the last one (B, H)."""
        outputs = []
        cell, rows = self.cell, slice(2 * self.hidden_size, None)
        tap("x_fresh", functional.linear(x, cell.weight_ih[rows], cell.bias_ih[rows]))
        for t in range(x.shape[1]):
            tap("h_fresh", functional.linear(h, cell.weight_hh[rows], cell.bias_hh[rows]))
            h = cell(x[:, t], h)
            outputs.append(h)
        return torch.stack(outputs, 1), h

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges) -> LoweredCell:
        """Lower one step to integer operators.

        The state is int16 in Q15, which its matrices read as int8. It is mixed with what is new: it
        stands still once (1 - z) |n - h| is below half a step of 2**-15, so a unit that updates by
        less than 1 / 64 a step may stop 2**-10 short; a longer memory wants an LSTM or a CfC.

        Args:
            parts: int8 vectors that make up x.
            dt: Not used.
            ranges: Calibrated ranges of the tapped tensors.
        """
        size = self.hidden_size
        h, h_next = q15("h", size), q15("h_next", size)
        h8 = symmetric("h8", (size,), "int8", 1.0)
        join = Concat.join("cell_input", (*parts, h8), "z")
        ops: list[AbstractOp] = [Requantize.quantize("narrow_h", h, h8), join]
        gates = []
        for index, name in enumerate(GATES):
            pre = whole(f"{name}_pre", (size,), SIGMOID_BOUND)
            gates.append(q15_gate(name, size))
            ops += [
                self._rows(f"{name}_linear", index, join.outputs[0], pre),
                table_op(f"{name}_act", pre, gates[-1], "sigmoid"),
            ]
        made, pre = self._fresh(parts, h, h8, gates[0], ranges)
        fresh = q15("fresh", size)
        ops += [
            *made,
            table_op("fresh_act", pre, fresh, "tanh"),
            Mix.quantize("mix", fresh, h, gates[1], h_next),
        ]
        return LoweredCell(tuple(ops), (State(h, h_next, 0),), h_next)

    def _fresh(
        self, parts: tuple[QTensor, ...], h: QTensor, h8: QTensor, reset: QTensor, ranges: Ranges
    ) -> tuple[list[AbstractOp], QTensor]:
        """Return the operators of what tanh reads, and that vector."""
        size = self.hidden_size
        x_fresh, h_fresh = (
            symmetric_of(name, (size,), "int16", ranges) for name in ("x_fresh", "h_fresh")
        )
        kept = symmetric("h_kept", (size,), "int16", h_fresh.qmax * h_fresh.scales[0])
        pre = whole("fresh_pre", (size,), TANH_BOUND)
        cell, rows = self.cell, slice(2 * size, None)
        from_x = cell.weight_ih[rows], cell.bias_ih[rows]
        from_h = cell.weight_hh[rows], cell.bias_hh[rows]
        inputs = Concat.join("input", parts, "x_all")
        return [
            inputs,
            linear_op("x_linear", from_x, inputs.outputs[0], x_fresh),
            linear_op("h_linear", from_h, h8, h_fresh),
            Gate.quantize("reset_h", h_fresh, reset, kept),
            Add.quantize("fresh_sum", x_fresh, kept, pre),
        ], pre

    def _rows(self, name: str, index: int, z: QTensor, y: QTensor) -> Linear:
        """Return the product of one gate with [x; h]."""
        rows = slice(index * self.hidden_size, (index + 1) * self.hidden_size)
        cell = self.cell
        weight = torch.cat((cell.weight_ih[rows], cell.weight_hh[rows]), 1)
        return linear_op(name, (weight, cell.bias_ih[rows] + cell.bias_hh[rows]), z, y)


class ResetFirstGru(Gru):
    """GRU cell of Cho et al. 2014 as published, and of Keras with reset_after=False.

    n = tanh(W_n x + b_n + U_n (r h) + c_n), all else as in Gru.
    """

    def forward(self, x: Tensor, dt: Tensor, h: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Scan over time: h' of each step (B, T, H), and the last one; all ranges are static."""
        outputs, cell, size = [], self.cell, self.hidden_size
        driven = functional.linear(x, cell.weight_ih, cell.bias_ih + cell.bias_hh)
        gates, news = cell.weight_hh[: 2 * size], cell.weight_hh[2 * size :]
        for t in range(x.shape[1]):
            from_gates, from_x = torch.split(driven[:, t], [2 * size, size], -1)
            r, z = torch.sigmoid(from_gates + functional.linear(h, gates)).chunk(2, -1)
            fresh = torch.tanh(from_x + functional.linear(r * h, news))
            h = (1 - z) * fresh + z * h
            outputs.append(h)
        return torch.stack(outputs, 1), h

    def _fresh(
        self, parts: tuple[QTensor, ...], h: QTensor, h8: QTensor, reset: QTensor, ranges: Ranges
    ) -> tuple[list[AbstractOp], QTensor]:
        size = self.hidden_size
        kept = replace(h, name="h_kept")
        kept8 = replace(h8, name="h_kept8")
        join = Concat.join("fresh_input", (*parts, kept8), "z_fresh")
        pre = whole("fresh_pre", (size,), TANH_BOUND)
        return [
            Gate.quantize("reset_h", h, reset, kept),
            Requantize.quantize("narrow_kept", kept, kept8),
            join,
            self._rows("fresh_linear", 2, join.outputs[0], pre),
        ], pre

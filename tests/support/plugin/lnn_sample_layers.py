"""What a package adds when it is imported: a layer and a cell, with their integers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, fx, nn

import lnn_edge as le
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Concat, Requantize
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.scales import Ranges, symmetric
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import TABLE_STEP_BITS, TANH_BOUND, Tap, linear_op, no_tap
from lnn_edge.quantize.lowering import Lowering, Rule
from lnn_edge.quantize.rules.rows import scale_channels


class Calibrate(nn.Module):
    """y = gain x + offset, of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.abs().sum() < 0:  # what no trace can follow
            raise ValueError
        return self.gain * x + self.offset


def calibrate(lowering: Lowering, node: fx.Node) -> None:
    """Emit one operator."""
    layer = lowering.layer(node)
    gain, offset = (v.detach().double().numpy() for v in (layer.gain, layer.offset))
    scale_channels(lowering, node, gain, offset)


class Elman(nn.Module):
    """h' = tanh(W [x; h] + b), the cell of nn.RNN."""

    def __init__(self, theirs: nn.RNN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.cat((theirs.weight_ih_l0, theirs.weight_hh_l0), 1))
        self.bias = nn.Parameter(theirs.bias_ih_l0 + theirs.bias_hh_l0)

    def initial_state(self, batch: int) -> Tensor:
        return self.bias.new_zeros(batch, len(self.bias))

    def forward(self, x: Tensor, dt: Tensor, h: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        outputs = []
        for t in range(x.shape[1]):
            h = torch.tanh(torch.cat((x[:, t], h), -1) @ self.weight.T + self.bias)
            outputs.append(h)
        return torch.stack(outputs, 1), h

    def lower(
        self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges
    ) -> le.nn.LoweredCell:
        shape = (len(self.bias),)
        h, h8 = (symmetric(*form, 1.0) for form in (("h", shape, "int16"), ("h8", shape, "int8")))
        join = Concat.join("cell_input", (*parts, h8), "z")
        pre, h_next = symmetric("pre", shape, "int16", TANH_BOUND), replace(h, name="h_next")
        ops = (
            Requantize.quantize("narrow_h", h, h8),
            join,
            linear_op("rows", (self.weight, self.bias), join.outputs[0], pre),
            Lut.quantize("act", pre, h_next, "tanh", TABLE_STEP_BITS),
        )
        return le.nn.LoweredCell(ops, (State(h, h_next, 0),), h_next)


def elman_of(layer: nn.RNN) -> le.nn.Recurrent:
    """Return the layer of cells that an nn.RNN of one layer is."""
    return le.nn.Recurrent([Elman(layer)], result="with_states")


le.nn.register(Calibrate, Rule(calibrate, reads="int16"))
le.nn.register_cell(nn.RNN, elman_of)

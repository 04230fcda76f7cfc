"""Closed-form continuous-time cell (Hasani et al. 2022), mode "default"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lnn_edge.formats import Ranges, q15, q15_gate, symmetric, symmetric_of
from lnn_edge.ir import AbstractOp, QTensor, State
from lnn_edge.ops.elementwise import Concat, Mix, Requantize, TimeGate
from lnn_edge.ops.linear import Linear
from lnn_edge.ops.lut import Lut

Tap = Callable[[str, Tensor], Tensor]
"""Sees a named tensor on its way and returns it: calibration records ranges here."""

TANH_BOUND = 6.0  # tanh(6) = 1 - 1.2e-5, below one step of Q15
SIGMOID_BOUND = 12.0
LECUN_BOUND = 9.0  # 0.666 * 9 = 6
TABLE_STEP_BITS = 8  # 256 intervals over an int16 range


def no_tap(_name: str, value: Tensor) -> Tensor:
    """Return the value."""
    return value


def lecun_tanh(x: Tensor) -> Tensor:
    """Return 1.7159 tanh(0.666 x)."""
    return 1.7159 * torch.tanh(0.666 * x)


@dataclass(frozen=True)
class LoweredCell:
    """A cell in integers: its operators, state and output (the new state)."""

    ops: tuple[AbstractOp, ...]
    states: tuple[State, ...]
    output: QTensor


class Cfc(nn.Module):
    """CfC cell with one backbone layer and run-time dt.

    z = [x; h],  b = 1.7159 tanh(0.666 (W z + w))
    h' = f1 (1 - g) + f2 g,  f = tanh(ff(b)),  g = sigmoid(time_a(b) dt + time_b(b))

    Args:
        input_size: I.
        hidden_size: H.
        backbone_units: U.

    Source: Hasani et al. 2022, Nature Machine Intelligence 4, eq. 2; names as in ncps CfCCell.
    """

    def __init__(self, input_size: int, hidden_size: int, backbone_units: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.backbone = nn.Linear(input_size + hidden_size, backbone_units)
        self.ff1 = nn.Linear(backbone_units, hidden_size)
        self.ff2 = nn.Linear(backbone_units, hidden_size)
        self.time_a = nn.Linear(backbone_units, hidden_size)
        self.time_b = nn.Linear(backbone_units, hidden_size)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.xavier_uniform_(weight)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (B, H)."""
        return self.ff1.weight.new_zeros(batch, self.hidden_size)

    def step(self, x: Tensor, h: Tensor, dt: Tensor, tap: Tap = no_tap) -> Tensor:
        """Return h' (B, H) of x (B, I), h (B, H), dt (B, 1) in seconds."""
        b = lecun_tanh(self.backbone(torch.cat((x, h), -1)))
        f1, f2 = torch.tanh(self.ff1(b)), torch.tanh(self.ff2(b))
        time_a, time_b = tap("time_a", self.time_a(b)), tap("time_b", self.time_b(b))
        gate = torch.sigmoid(time_a * dt + time_b)
        return f1 + gate * (f2 - f1)

    def forward(self, x: Tensor, dt: Tensor, h: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Scan `step` over time.

        Args:
            x: (B, T, I).
            dt: (B, T, 1) seconds.
            h: (B, H) state before the first step.
            tap: See Tap.

        Returns:
            States after each step (B, T, H), and the last one (B, H).
        """
        states = []
        for t in range(x.shape[1]):
            h = self.step(x[:, t], h, dt[:, t], tap)
            states.append(h)
        return torch.stack(states, 1), h

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor, ranges: Ranges) -> LoweredCell:
        """Lower one step to integer operators.

        The state overwrites itself (it enters through the matrix only), so there is no dead zone:
        Q15 in int16, since |h| < 1. The backbone reads it as int8.

        Args:
            parts: int8 vectors that make up x, in the order of x.
            dt: Elapsed time, uint16.
            ranges: Calibrated ranges of `time_a` and `time_b`.
        """
        hidden, units = self.hidden_size, self.backbone.out_features
        h, h_next = q15("h", hidden), q15("h_next", hidden)
        h8 = symmetric("h8", (hidden,), "int8", 1.0)
        join = Concat.join("cell_input", (*parts, h8), "z")
        pre = symmetric("backbone_pre", (units,), "int16", LECUN_BOUND)
        b = symmetric("b", (units,), "int8", 1.7159)
        time_a = symmetric_of("time_a", (hidden,), "int16", ranges)
        time_b = symmetric_of("time_b", (hidden,), "int16", ranges)
        gate_pre = symmetric("gate_pre", (hidden,), "int16", SIGMOID_BOUND)
        gate, f1, f2 = q15_gate("gate", hidden), q15("f1", hidden), q15("f2", hidden)
        f1_pre = symmetric("f1_pre", (hidden,), "int16", TANH_BOUND)
        f2_pre = symmetric("f2_pre", (hidden,), "int16", TANH_BOUND)
        ops = (
            Requantize.quantize("narrow_h", h, h8),
            join,
            _linear("backbone", self.backbone, join.outputs[0], pre),
            Lut.quantize("backbone_act", pre, b, "lecun_tanh", TABLE_STEP_BITS),
            _linear("ff1", self.ff1, b, f1_pre),
            _linear("ff2", self.ff2, b, f2_pre),
            _linear("time_a", self.time_a, b, time_a),
            _linear("time_b", self.time_b, b, time_b),
            Lut.quantize("ff1_act", f1_pre, f1, "tanh", TABLE_STEP_BITS),
            Lut.quantize("ff2_act", f2_pre, f2, "tanh", TABLE_STEP_BITS),
            TimeGate.quantize("time", time_a, time_b, dt, gate_pre),
            Lut.quantize("gate_act", gate_pre, gate, "sigmoid", TABLE_STEP_BITS),
            Mix.quantize("mix", f1, f2, gate, h_next),
        )
        return LoweredCell(ops, (State(h, h_next, 0),), h_next)


def _linear(name: str, module: nn.Linear, x: QTensor, y: QTensor) -> Linear:
    weight, bias = module.weight.detach(), module.bias.detach()
    return Linear.quantize(name, x, y, _array(weight), _array(bias))


def _array(value: Tensor) -> np.ndarray:
    array: np.ndarray = value.cpu().double().numpy()
    return array

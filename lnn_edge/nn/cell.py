"""What every cell offers to training and lowering, and what cells share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.constant import Constant
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.lut import TANH_FORMS, Lut
from lnn_edge.graph.scales import Ranges
from lnn_edge.graph.stage import State

Tap = Callable[[str, Tensor], Tensor]
"""Sees a named tensor on its way and returns it: calibration records ranges here."""

TANH_BOUND = 6.0  # tanh(6) = 1 - 1.2e-5, below one step of Q15
SIGMOID_BOUND = 12.0  # sigmoid(x) = (1 + tanh(x / 2)) / 2: the table of tanh serves both
LECUN_BOUND = TANH_BOUND / 0.666  # 1.7159 tanh(0.666 x): and this one
TABLE_STEP_BITS = 8  # 256 intervals over an int16 range


def no_tap(_name: str, value: Tensor) -> Tensor:
    """Return the value."""
    return value


@dataclass(frozen=True)
class LoweredCell:
    """A cell in integers: its operators, state and output (the new state)."""

    ops: tuple[AbstractOp, ...]
    states: tuple[State, ...]
    output: QTensor


class Cell(Protocol):
    """One step after the other, from a reset on."""

    def initial_state(self, batch: int) -> Any:
        """Return the state after a reset."""

    def __call__(self, x: Tensor, dt: Tensor, state: Any, tap: Tap = no_tap) -> tuple[Tensor, Any]:
        """Return outputs (B, T, O) and the last state of x (B, T, I), dt (B, T, 1) seconds."""

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges) -> LoweredCell:
        """Return the operators of one step on vectors that make up x."""


def from_rest(cell: LoweredCell) -> LoweredCell:
    """Return a cell in integers whose state is its initial value in every step; nothing is kept."""
    constants = [
        Constant.fill(f"{s.tensor.name}_at_rest", s.tensor, s.initial) for s in cell.states
    ]
    return LoweredCell((*constants, *cell.ops), (), cell.output)


def linear_op(name: str, row: tuple[Tensor, Tensor], x: QTensor, y: QTensor) -> Linear:
    """Quantize real weight (O, I) and bias (O,)."""
    weight, bias = row
    return Linear.quantize(name, x, y, array_of(weight), array_of(bias))


def table_op(name: str, x: QTensor, y: QTensor, function: str) -> Lut:
    """Return the operator of a function by table: the one of tanh, where it can.

    Args:
        name: Of the operator.
        x: What it reads.
        y: What it gives.
        function: One of lnn_edge.graph.ops.lut.FUNCTIONS.
    """
    _, _, constant = TANH_FORMS.get(function, (0.0, 0.0, 0.5))
    is_whole = (constant / y.scales[0]).is_integer()
    if function in TANH_FORMS and is_whole and x.zero_points[0] == 0:
        return Lut.of_tanh(name, x, y, function, TABLE_STEP_BITS)
    return Lut.quantize(name, x, y, function, TABLE_STEP_BITS)


def array_of(value: Tensor) -> np.ndarray:
    """Return a float64 array of a parameter."""
    array: np.ndarray = value.detach().cpu().double().numpy()
    return array

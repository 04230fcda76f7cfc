"""A CfC cell in integers: one step as operators, and the formats of what they give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.decay import Decay, Relax
from lnn_edge.graph.ops.elementwise import Concat, GatedSum, Mix, Requantize, TimeGate
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.scales import (
    Ranges,
    q15,
    q15_gate,
    range_of,
    rectified,
    symmetric,
    whole,
    whole_of,
)
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import (
    LECUN_BOUND,
    SIGMOID_BOUND,
    TANH_BOUND,
    LoweredCell,
    array_of,
    linear_op,
    table_op,
)

if TYPE_CHECKING:
    from lnn_edge.nn.cells.cfc import Cfc

LECUN_TOP = 1.7159
EXP_BOUND = 12.0  # exp(-12) = 6.1e-6, below one step of Q15
EXP_STEP_BITS = 6  # 512 intervals over half an int16 range: exp bends most at its upper end
PRE_BOUNDS = {"tanh": TANH_BOUND, "lecun_tanh": LECUN_BOUND}
TOPS = {"tanh": 1.0, "lecun_tanh": LECUN_TOP}
LOWEST = {"silu": -0.2785, "gelu": -0.1700}  # their minima


@dataclass(frozen=True)
class CfcLowering:
    """One cell on its way to integers."""

    cell: Cfc
    ranges: Ranges
    prefix: str

    def lower(
        self, parts: tuple[QTensor, ...], dt: QTensor | float, memory: QTensor | None
    ) -> LoweredCell:
        """See Cfc.lower."""
        bound = self._state_bound(dt)
        h, h_next = self._state("h", bound), self._state("h_next", bound)
        ops: list[AbstractOp] = []
        if memory is None:
            memory = symmetric(self._name("h8"), h.shape, "int8", bound)
            ops.append(Requantize.quantize(self._name("narrow_h"), h, memory))
        join = Concat.join(self._name("cell_input"), (*parts, memory), self._name("z"))
        ops.append(join)
        backbone, b = self._backbone(join.outputs[0])
        heads = self._pure if self.cell.config.mode == "pure" else self._gated
        ops += [*backbone, *heads(b, dt, h_next)]
        return LoweredCell(tuple(ops), (State(h, h_next, 0),), h_next)

    def _name(self, name: str) -> str:
        return self.prefix + name

    @property
    def _shape(self) -> tuple[int]:
        return (self.cell.hidden_size,)

    def _backbone(self, b: QTensor) -> tuple[list[AbstractOp], QTensor]:
        ops: list[AbstractOp] = []
        for index, layer in enumerate(self.cell.layers):
            name, pre, y = self._layer_formats(index, layer.out_features)
            ops.append(linear_op(name, (layer.weight, layer.bias), b, pre))
            if pre != y:
                table = self.cell.config.activation
                ops.append(table_op(f"{name}_act", pre, y, table))
            b = y
        return ops, b

    def _layer_formats(self, index: int, units: int) -> tuple[str, QTensor, QTensor]:
        """Return name, format before and format after the activation of a backbone layer."""
        name, before, after = (
            self._name(numbered(n, index)) for n in ("backbone", "backbone_pre", "b")
        )
        activation, shape = self.cell.config.activation, (units,)
        if activation == "relu":
            y = rectified(after, shape, range_of(self.ranges, after)[1])
            return name, y, y  # the matrix-vector product saturates at its zero point
        if activation in LOWEST:
            pre = whole_of(before, shape, self.ranges)
            high = max(range_of(self.ranges, before)[1], 0.1)
            return name, pre, _spanning(after, shape, LOWEST[activation], high)
        pre = whole(before, shape, PRE_BOUNDS[activation])
        return name, pre, symmetric(after, shape, "int8", TOPS[activation])

    def _state_bound(self, dt: QTensor | float) -> float:
        """Return the bound of |h| that the state's format holds (docs/numerics.md)."""
        config = self.cell.config
        if config.mode == "pure":
            return self._pure_bound(dt)
        if config.head != "linear":
            return (2 if config.mode == "no_gate" else 1) * TOPS[config.head]
        if config.mode == "no_gate":
            return max(map(abs, range_of(self.ranges, self._name("h"))))
        return self._head_bound("ff1", "ff2")  # a mix never leaves what is mixed

    def _head_bound(self, *names: str) -> float:
        """Return the calibrated bound of heads that are linear and share a scale."""
        ranges = [range_of(self.ranges, self._name(name)) for name in names]
        return max(abs(value) for pair in ranges for value in pair)

    def _pure_bound(self, dt: QTensor | float) -> float:
        """Return |A| (1 + max of f exp(-dt f)) over 0 <= f <= F at the smallest dt.

        The maximum is 1 / (e dt) at f = 1 / dt, or at F where the head saturates before.
        """
        low = dt if isinstance(dt, float) else float(dt.dequantize(np.int64(dt.qmin))[0])
        top = self._head_bound("ff1")
        peak = min(top, 1 / low) if low > 0 else top
        amplitude = float(self.cell.A.detach().abs().max())
        if amplitude == 0:
            raise QuantizationError("CfC mode 'pure': A is all zero, so is the state; train first")
        return amplitude * (1 + peak * math.exp(-low * peak))

    def _state(self, name: str, bound: float) -> QTensor:
        """Return the state's format: a power of two where |h| stays below one, else the bound."""
        size = self.cell.hidden_size
        if bound == 1.0 and self.cell.config.head == "tanh":
            return q15(self._name(name), size)
        if bound == 2.0 and self.cell.config.head == "tanh":
            return QTensor(self._name(name), (size,), "int16", 2.0**-14, 0, -32767, 32767)
        return symmetric(self._name(name), (size,), "int16", bound)

    def _gated(self, b: QTensor, dt: QTensor | float, h_next: QTensor) -> list[AbstractOp]:
        config, f1, f2 = self.cell.config, self._head("f1"), self._head("f2")
        gate_pre = whole(self._name("gate_pre"), self._shape, SIGMOID_BOUND)
        gate = q15_gate(self._name("gate"), self.cell.hidden_size)
        products, tables = [], []
        for name, f in (("ff1", f1), ("ff2", f2)):
            pre = f
            if config.head != "linear":
                bound = PRE_BOUNDS[config.head]
                pre = whole(f"{f.name}_pre", self._shape, bound)
                tables.append(table_op(self._name(f"{name}_act"), pre, f, config.head))
            products.append(linear_op(self._name(name), self.cell.masked(name), b, pre))
        times, join = self._time(b, dt, gate_pre)
        combine = GatedSum if config.mode == "no_gate" else Mix
        return [
            *products,
            *times,
            *tables,
            *join,
            table_op(self._name("gate_act"), gate_pre, gate, "sigmoid"),
            combine.quantize(self._name("mix"), f1, f2, gate, h_next),
        ]

    def _head(self, name: str) -> QTensor:
        head = self.cell.config.head
        if head == "tanh":
            return q15(self._name(name), self.cell.hidden_size)
        bound = self._head_bound("ff1", "ff2") if head == "linear" else TOPS[head]
        return symmetric(self._name(name), self._shape, "int16", bound)

    def _time(
        self, b: QTensor, dt: QTensor | float, gate_pre: QTensor
    ) -> tuple[list[AbstractOp], list[AbstractOp]]:
        """Return the matrix products of the gate's argument, and what joins them."""
        cell = self.cell
        if isinstance(dt, float):
            return [linear_op(self._name("time"), cell.folded_gate(dt), b, gate_pre)], []
        a, c = (
            whole_of(self._name(name), self._shape, self.ranges) for name in ("time_a", "time_b")
        )
        sign = cell.config.gate_sign  # goes into the weights
        return [
            linear_op(a.name, (sign * cell.time_a.weight, sign * cell.time_a.bias), b, a),
            linear_op(c.name, (cell.time_b.weight, cell.time_b.bias), b, c),
        ], [TimeGate.quantize(self._name("time"), a, c, dt, gate_pre)]

    def _pure(self, b: QTensor, dt: QTensor | float, h_next: QTensor) -> list[AbstractOp]:
        rate, amplitude = array_of(self.cell.w_tau)[0], array_of(self.cell.A)[0]
        top = self._head_bound("ff1")
        # |f| + |w_tau| then fits 15 bits, and its product with any uint16 dt fits 32
        scale = (top + float(np.abs(rate).max())) / 32767
        limit = int(top / scale)
        f = QTensor(self._name("f1"), self._shape, "int16", scale, 0, -limit, limit)
        pre = QTensor(
            self._name("decay_pre"), self._shape, "int16", EXP_BOUND / 32768, 0, -32768, 0
        )
        decay = q15_gate(self._name("decay"), self.cell.hidden_size)
        return [
            linear_op(self._name("ff1"), self.cell.masked("ff1"), b, f),
            Decay.quantize(self._name("rate"), f, dt, pre, rate),
            Lut.quantize(self._name("decay_act"), pre, decay, "exp", EXP_STEP_BITS),
            Relax.quantize(self._name("relax"), decay, f, h_next, amplitude),
        ]


def numbered(name: str, index: int) -> str:
    """Return the name of a layer's part; the first layer has no number."""
    return name if index == 0 else f"{name}_{index}"


def _spanning(name: str, shape: tuple[int, ...], low: float, high: float) -> QTensor:
    """Return an int8 tensor for [low, high], all 256 values, 0 among them exactly."""
    scale = (high - low) / 254  # one value to spare: the zero point is rounded
    return QTensor(name, shape, "int8", scale, round(-127 - low / scale))

"""Gated memory (LSTM): c' = f c + g i with its state in 32 bits, and a gated value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Q15_ONE, require_gate


def _require_gates(op: AbstractOp, *gates: QTensor) -> None:
    for gate in gates:
        require_gate(op, gate)
    tensors = (*op.inputs, *op.outputs)
    op.require(len({t.shape for t in tensors}) == 1, "all shapes must be alike")
    op.require(all(t.zero_points == (0,) for t in tensors), "zero points must be 0")


@dataclass(frozen=True, eq=False)
class Remember(AbstractOp):
    """c' = f c + g i per element, rounded once; gates f, g in Q15.

    c is 2**(n - 15) times as fine as i:
    c' = saturate((c * f + ((i * g) << (n - 15)) + 2**14) >> 15)   (64-bit sum, proved)

    The state integrates, so it has 32 bits (docs/numerics.md, dead zones). Inputs: c, f, i, g.
    """

    kind: ClassVar[str] = "remember"
    fraction_bits: int

    def check(self) -> None:
        """Check formats; the sum stays below 2**31 * 2**15 + 2**30 * 2**15 + 2**14."""
        (c, f, i, g), y = self.inputs, self.outputs[0]
        _require_gates(self, f, g)
        self.require(
            15 <= self.fraction_bits <= 30,
            f"fraction_bits must be 15 to 30, not {self.fraction_bits}",
        )
        self.require(
            c.dtype == y.dtype == "int32"
            and c.scales == y.scales == (i.scales[0] * 2.0 ** (15 - self.fraction_bits),),
            f"the memory must be int32, 2**{self.fraction_bits - 15} times as fine as the value",
        )
        self.require_bound(i.magnitude * g.qmax, "i * g")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return f c + g i, exactly."""
        c, f, i, g = inputs
        y = self.outputs[0]
        total = c * f + ((i * g) << (self.fraction_bits - 15)) + (1 << 14)
        return (fixed.saturate(total >> 15, y.qmin, y.qmax),)


@dataclass(frozen=True, eq=False)
class Gate(AbstractOp):
    """y = g x, g in [0, 1] as Q15 in [0, 32768].

    y = saturate(requantize(g * x, multiplier, shift)); all zero points are 0.
    """

    kind: ClassVar[str] = "gate"
    multiplier: int
    shift: int

    @classmethod
    def quantize(cls, name: str, x: QTensor, gate: QTensor, y: QTensor) -> Gate:
        """Take the factor from the scales of x and y."""
        pair = fixed.quantize_multiplier(x.scales[0] / y.scales[0] / Q15_ONE)
        return cls(name, (x, gate), (y,), *pair)

    def check(self) -> None:
        """Check formats and prove the product."""
        x, gate = self.inputs
        _require_gates(self, gate)
        self.require_factor(self.multiplier, self.shift)
        self.require_bound(x.magnitude * gate.qmax << self.shift, "g * x")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return g x, exactly."""
        x, gate = inputs
        y = self.outputs[0]
        q = fixed.requantize(gate * x, self.multiplier, self.shift)
        return (fixed.saturate(q, y.qmin, y.qmax),)

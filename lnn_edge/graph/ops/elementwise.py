"""Operators that treat every element alike: format change, joining, time gate, mix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.rescale import AbstractRescale, quantize_factors

Q15_ONE = 1 << 15


@dataclass(frozen=True, eq=False)
class Requantize(AbstractRescale):
    """y = x in another format, and in another shape of the same size.

    y_i = saturate(requantize(x_i - zx, multiplier, shift) + zy); arithmetic of AbstractRescale.
    """

    kind: ClassVar[str] = "requantize"

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor) -> Requantize:
        """Take the factors from the scales."""
        return cls(name, (x,), (y,), *quantize_factors(x, y))

    def check(self) -> None:
        """Check sizes and the range of the shifted value."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(x.size == y.size, f"sizes of {x.shape} and {y.shape} differ")
        self.check_factors()
        if max(len(set(t.scales)) for t in (x, y)) > 1:
            self.check_in_step()


@dataclass(frozen=True, eq=False)
class Concat(AbstractOp):
    """y = the inputs joined along their last axis; y carries each channel's scale and zero point.

    Parts are vectors, or rows of shape (..., channels), which are joined row by row.
    """

    kind: ClassVar[str] = "concat"
    channel_scales: ClassVar[tuple[str, ...]] = ("x", "y")
    channel_zero_points: ClassVar[tuple[str, ...]] = ("x", "y")

    @classmethod
    def join(cls, name: str, parts: tuple[QTensor, ...], output: str) -> Concat:
        """Build the output's format from the parts; rows of one scale keep it as one."""
        rows, channels = parts[0].shape[:-1], sum(t.shape[-1] for t in parts)
        scales = _each(*((t.scales, t.shape[-1]) for t in parts))
        zeros = _each(*((t.zero_points, t.shape[-1]) for t in parts))
        is_one = bool(rows) and len({*scales}) == len({*zeros}) == 1
        y = QTensor(
            output,
            (*rows, channels),
            parts[0].dtype,
            scales[0] if is_one else scales,
            zeros[0] if is_one else zeros,
            min(t.qmin for t in parts),
            max(t.qmax for t in parts),
        )
        return cls(name, parts, (y,))

    def check(self) -> None:
        """Check that parts have one dtype and the output's rows, and fill it."""
        y = self.outputs[0]
        self.require(
            all(t.shape[:-1] == y.shape[:-1] and t.dtype == y.dtype for t in self.inputs)
            and y.shape[-1] == sum(t.shape[-1] for t in self.inputs),
            f"parts {[(t.shape, t.dtype) for t in self.inputs]} do not make {y.shape} {y.dtype}",
        )
        low, high = min(t.qmin for t in self.inputs), max(t.qmax for t in self.inputs)
        self.require(
            y.qmin <= low and high <= y.qmax,
            f"values in [{low}, {high}] are copied to [{y.qmin}, {y.qmax}]",
        )
        channels = y.shape[-1]
        self.require(
            _each((y.scales, channels)) == _each(*((t.scales, t.shape[-1]) for t in self.inputs))
            and _each((y.zero_points, channels))
            == _each(*((t.zero_points, t.shape[-1]) for t in self.inputs)),
            f"{y.name} needs the scale and zero point of each channel of its parts",
        )

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the parts joined along the last axis."""
        return (array_namespace(*inputs).concat(inputs, axis=-1),)


def _each(*parts: tuple[tuple[Any, ...], int]) -> tuple[Any, ...]:
    """Return one value for each channel of tensors, given the values and channels of each."""
    spread: list[Any] = np.concatenate([np.broadcast_to(v, (n,)) for v, n in parts]).tolist()
    return tuple(spread)


@dataclass(frozen=True, eq=False)
class TimeGate(AbstractOp):
    """y = a * dt + b for vectors a, b and a scalar dt of run time, rounded once.

    y = saturate((((a * dt) << s1) * m1 + (b << s2) * m2 + 2**31) >> 32)   (64-bit sum, proved)

    All zero points are 0. Source: Hasani et al. 2022, eq. 2, the argument of the time gate.
    """

    kind: ClassVar[str] = "time_gate"
    multipliers: tuple[int, int]
    shifts: tuple[int, int]

    @classmethod
    def quantize(cls, name: str, a: QTensor, b: QTensor, dt: QTensor, y: QTensor) -> TimeGate:
        """Take the factors from the scales."""
        m1, s1 = fixed.quantize_multiplier(a.scales[0] * dt.scales[0] / y.scales[0])
        m2, s2 = fixed.quantize_multiplier(b.scales[0] / y.scales[0])
        return cls(name, (a, b, dt), (y,), (m1, m2), (s1, s2))

    def check(self) -> None:
        """Check shapes, zero points and both products, whose sum then fits 64 bits."""
        a, b, dt = self.inputs
        y = self.outputs[0]
        self.require(
            a.shape == b.shape == y.shape and dt.size == 1,
            "a, b and y must have one shape, dt one element",
        )
        self.require(all(t.zero_points == (0,) for t in (*self.inputs, y)), "zero points must be 0")
        for multiplier, shift in zip(self.multipliers, self.shifts, strict=True):
            self.require_factor(multiplier, shift)
        self.require_bound(a.magnitude * dt.magnitude << self.shifts[0], "a * dt")
        self.require_bound(b.magnitude << self.shifts[1], "b")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return a * dt + b, exactly; dt has a trailing axis of 1."""
        a, b, dt = inputs
        y = self.outputs[0]
        (m1, m2), (s1, s2) = self.multipliers, self.shifts
        return (
            fixed.saturate(fixed.requantize_sum((a * dt, m1, s1), (b, m2, s2)), y.qmin, y.qmax),
        )


@dataclass(frozen=True, eq=False)
class AbstractSum(AbstractOp):
    """y = a + sign b, rounded once.

    y = saturate(((a << s1) * m1 + sign (b << s2) * m2 + 2**31) >> 32)   (64-bit sum, proved)

    All zero points are 0; a rectifier is the output's qmin = 0.
    """

    sign: ClassVar[int]
    multipliers: tuple[int, int]
    shifts: tuple[int, int]

    @classmethod
    def quantize(cls, name: str, a: QTensor, b: QTensor, y: QTensor) -> Self:
        """Take the factors from the scales."""
        m1, s1 = fixed.quantize_multiplier(a.scales[0] / y.scales[0])
        m2, s2 = fixed.quantize_multiplier(b.scales[0] / y.scales[0])
        return cls(name, (a, b), (y,), (m1, m2), (s1, s2))

    def check(self) -> None:
        """Check shapes, zero points and both products, whose sum then fits 64 bits."""
        tensors = (*self.inputs, self.outputs[0])
        self.require(len({t.shape for t in tensors}) == 1, "all shapes must be alike")
        self.require(all(t.zero_points == (0,) for t in tensors), "zero points must be 0")
        for tensor, multiplier, shift in zip(
            self.inputs, self.multipliers, self.shifts, strict=True
        ):
            self.require_factor(multiplier, shift)
            self.require_bound(tensor.magnitude << shift, "shifted input")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return a + sign b, exactly."""
        (a, b), y = inputs, self.outputs[0]
        terms = zip((a, self.sign * b), self.multipliers, self.shifts, strict=True)
        return (fixed.saturate(fixed.requantize_sum(*terms), y.qmin, y.qmax),)


@dataclass(frozen=True, eq=False)
class Add(AbstractSum):
    """y = a + b; arithmetic of AbstractSum."""

    kind: ClassVar[str] = "add"
    sign: ClassVar[int] = 1


@dataclass(frozen=True, eq=False)
class Subtract(AbstractSum):
    """y = a - b; arithmetic of AbstractSum."""

    kind: ClassVar[str] = "subtract"
    sign: ClassVar[int] = -1


def require_gate(op: AbstractOp, gate: QTensor) -> None:
    """Raise GraphError unless a tensor of an operator is a gate: Q15 in [0, 32768]."""
    op.require(
        gate.qmin >= 0 and gate.qmax <= Q15_ONE and gate.scales == (1 / Q15_ONE,),
        f"gate [{gate.qmin}, {gate.qmax}] must be Q15 in [0, {Q15_ONE}]",
    )


def _check_gated(op: AbstractOp) -> None:
    """Check the formats of a, b, a gate in Q15, and y."""
    a, b, gate = op.inputs
    y = op.outputs[0]
    op.require(a.shape == b.shape == gate.shape == y.shape, "all shapes must be alike")
    op.require(a.scales == b.scales, "a and b need the same scale")
    op.require(all(t.zero_points == (0,) for t in (*op.inputs, y)), "zero points must be 0")
    require_gate(op, gate)


@dataclass(frozen=True, eq=False)
class Mix(AbstractOp):
    """y = a + g * (b - a), g in [0, 1] as Q15 in [0, 32768].

    y = saturate(requantize((a << 15) + g * (b - a), multiplier, shift)); the sum is a convex
    combination of a << 15 and b << 15, so |sum| <= 2**15 * max(|a|, |b|).
    """

    kind: ClassVar[str] = "mix"
    multiplier: int
    shift: int

    @classmethod
    def quantize(cls, name: str, a: QTensor, b: QTensor, gate: QTensor, y: QTensor) -> Mix:
        """Take the factor from the scales of a (and b) and y."""
        pair = fixed.quantize_multiplier(a.scales[0] / y.scales[0] / Q15_ONE)
        return cls(name, (a, b, gate), (y,), *pair)

    def check(self) -> None:
        """Check formats and prove product and sum."""
        a, b, gate = self.inputs
        _check_gated(self)
        self.require_factor(self.multiplier, self.shift)
        spread = max(b.qmax - a.qmin, a.qmax - b.qmin)
        self.require_bound(gate.qmax * spread, "g * (b - a)")
        self.require_bound(max(a.magnitude, b.magnitude) << (15 + self.shift))

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the mix, exactly."""
        a, b, gate = inputs
        y = self.outputs[0]
        acc = (a << 15) + gate * (b - a)
        q = fixed.requantize(acc, self.multiplier, self.shift)
        return (fixed.saturate(q, y.qmin, y.qmax),)


@dataclass(frozen=True, eq=False)
class GatedSum(AbstractOp):
    """y = a + g * b, g in [0, 1] as Q15 in [0, 32768].

    y = saturate(requantize((a << 15) + g * b, multiplier, shift))

    All zero points are 0. Source: Hasani et al. 2022, the cell without the gate on f1.
    """

    kind: ClassVar[str] = "gated_sum"
    multiplier: int
    shift: int

    @classmethod
    def quantize(cls, name: str, a: QTensor, b: QTensor, gate: QTensor, y: QTensor) -> GatedSum:
        """Take the factor from the scales of a (and b) and y."""
        pair = fixed.quantize_multiplier(a.scales[0] / y.scales[0] / Q15_ONE)
        return cls(name, (a, b, gate), (y,), *pair)

    def check(self) -> None:
        """Check formats and prove the sum."""
        a, b, gate = self.inputs
        _check_gated(self)
        self.require_factor(self.multiplier, self.shift)
        total = (a.magnitude << 15) + gate.qmax * b.magnitude
        self.require_bound(total << self.shift, "a + g * b")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return a + g * b, exactly."""
        a, b, gate = inputs
        y = self.outputs[0]
        q = fixed.requantize((a << 15) + gate * b, self.multiplier, self.shift)
        return (fixed.saturate(q, y.qmin, y.qmax),)

"""Exponential relaxation: the exponent -dt (|x| + rate), and offset minus amplitude times decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import INT32_LIMIT, Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Q15_ONE

FRACTION_BITS = 16


@dataclass(frozen=True, eq=False)
class Decay(AbstractOp):
    """y = -dt * (|x| + rate), rounded once; dt of run time (uint16), or a constant in the factor.

    y = saturate(-requantize((|x| + rate) * dt, multiplier, shift))   (dt = 1 without that input)

    All zero points are 0. Source: Hasani et al. 2022, the exponent of the pure solution.

    Attributes:
        rate: (H,) int32, at least 0, in units of x.
    """

    kind: ClassVar[str] = "decay"
    rate: np.ndarray
    multiplier: int
    shift: int

    @classmethod
    def quantize(
        cls, name: str, x: QTensor, dt: QTensor | float, y: QTensor, rate: np.ndarray
    ) -> Decay:
        """Quantize |rate| (H,) in 1 / s; take the factor from the scales and a constant dt."""
        inputs = (x,) if isinstance(dt, float) else (x, dt)
        unit = dt if isinstance(dt, float) else dt.scales[0]
        steps = np.floor(np.abs(rate) / x.scales[0] + 0.5).astype(np.int32)
        pair = fixed.quantize_multiplier(x.scales[0] * unit / y.scales[0])
        return cls(name, inputs, (y,), steps, *pair)

    def check(self) -> None:
        """Check shapes and zero points, prove the product."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(x.shape == y.shape and len(x.shape) == 1, "x and y must be vectors alike")
        self.require(all(t.size == 1 for t in self.inputs[1:]), "dt must be one value")
        self.require(all(t.qmin >= 0 for t in self.inputs[1:]), "dt must not be negative")
        self.require(all(t.zero_points == (0,) for t in (*self.inputs, y)), "zero points must be 0")
        self.require(
            self.rate.shape == x.shape and self.rate.dtype == np.int32 and self.rate.min() >= 0,
            f"rate must be int32 of shape {x.shape}, at least 0",
        )
        self.require_factor(self.multiplier, self.shift)
        dt = self.inputs[1].magnitude if len(self.inputs) > 1 else 1
        self.require_bound((x.magnitude + int(self.rate.max())) * dt << self.shift, "product")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return -dt * (|x| + rate), exactly; dt has a trailing axis of 1."""
        y = self.outputs[0]
        acc = abs(inputs[0]) + fixed.like(inputs[0], self.rate.astype(np.int64))
        for dt in inputs[1:]:
            acc = acc * dt
        q = fixed.requantize(acc, self.multiplier, self.shift)
        return (fixed.saturate(-q, y.qmin, y.qmax),)


@dataclass(frozen=True, eq=False)
class Relax(AbstractOp):
    """y = A - A * e * f per channel, e in [0, 1] as Q15 in [0, 32768], rounded once.

    y = saturate((e * f * multiplier + (offset << 16) + 2**31) >> 32)   (64-bit sum, proved)

    All zero points are 0. Source: Hasani et al. 2022, the pure solution.

    Attributes:
        multiplier: (H,) int32, -A in steps of the product times 2**-32.
        offset: (H,) int32, A in 2**-16 steps of y.
    """

    kind: ClassVar[str] = "relax"
    multiplier: np.ndarray
    offset: np.ndarray

    @classmethod
    def quantize(
        cls, name: str, e: QTensor, f: QTensor, y: QTensor, amplitude: np.ndarray
    ) -> Relax:
        """Quantize A (H,); a factor or offset that 32 bits cannot hold is refused by check."""
        factor = -amplitude * (e.scales[0] * f.scales[0] / y.scales[0]) * 2.0**32
        offset = amplitude / y.scales[0] * (1 << FRACTION_BITS)
        low, high = -INT32_LIMIT, INT32_LIMIT - 1
        columns = (np.clip(np.floor(v + 0.5), low, high).astype(np.int32) for v in (factor, offset))
        return cls(name, (e, f), (y,), *columns)

    def check(self) -> None:
        """Check formats, prove the product; the sum stays below 2**62 + 2**47 + 2**31."""
        (e, f), y = self.inputs, self.outputs[0]
        self.require(e.shape == f.shape == y.shape and len(y.shape) == 1, "all must be alike")
        self.require(all(t.zero_points == (0,) for t in (e, f, y)), "zero points must be 0")
        self.require(
            e.qmin >= 0 and e.qmax <= Q15_ONE and e.scales == (1 / Q15_ONE,),
            f"decay [{e.qmin}, {e.qmax}] must be Q15 in [0, {Q15_ONE}]",
        )
        for values in (self.multiplier, self.offset):
            self.require(
                values.shape == y.shape
                and values.dtype == np.int32
                and int(np.abs(values.astype(np.int64)).max()) < INT32_LIMIT - 1,
                f"multiplier and offset must be int32 of shape {y.shape}, inside their range",
            )
        self.require_bound(e.magnitude * f.magnitude, "e * f")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return A - A e f, exactly."""
        (e, f), y = inputs, self.outputs[0]
        multiplier, offset = (
            fixed.like(e, v.astype(np.int64)) for v in (self.multiplier, self.offset)
        )
        q = (e * f * multiplier + (offset << FRACTION_BITS) + (1 << 31)) >> 32
        return (fixed.saturate(q, y.qmin, y.qmax),)

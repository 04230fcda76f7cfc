"""A factor and an offset per element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn_edge import fixed
from lnn_edge.fixed import INT32_LIMIT, Array
from lnn_edge.ir import AbstractOp, QTensor

FRACTION_BITS = 16


@dataclass(frozen=True, eq=False)
class Affine(AbstractOp):
    """y_i = a_i x_i + b_i for the first elements of a vector x, rounded once.

    y_i = saturate(((x_i << shift) * multiplier_i + (offset_i << 16) + 2**31) >> 32), i < y.size
    (64-bit sum, proved); zero points are 0.

    Attributes:
        multiplier: (O,) int32, a_i of either sign.
        offset: (O,) int32, b_i in 2**-16 steps of y.
        shift: Of all factors, see fixed.requantize.
    """

    kind: ClassVar[str] = "affine"
    multiplier: np.ndarray
    offset: np.ndarray
    shift: int

    @classmethod
    def quantize(
        cls, name: str, x: QTensor, y: QTensor, factor: np.ndarray, offset: np.ndarray
    ) -> Affine:
        """Quantize real factors and offsets (O,); what does not fit is refused by check."""
        real = factor * x.scales[0] / y.scales[0]
        _, shift = fixed.quantize_multiplier(max(float(np.abs(real).max()), 2.0**-31))
        columns = real * 2.0 ** (32 - shift), offset / y.scales[0] * (1 << FRACTION_BITS)
        low, high = -INT32_LIMIT, INT32_LIMIT - 1
        a, b = (np.clip(np.floor(v + 0.5), low, high).astype(np.int32) for v in columns)
        return cls(name, (x,), (y,), a, b, shift)

    def check(self) -> None:
        """Check shapes and constants, prove the shifted value and the 64-bit sum."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            len(x.shape) == len(y.shape) == 1 and y.size <= x.size,
            f"needed vectors, the output no longer than the input; given {x.shape}, {y.shape}",
        )
        self.require(len(x.scales) == len(y.scales) == 1, "input and output need one scale each")
        self.require(x.zero_points == y.zero_points == (0,), "zero points must be 0")
        self.require(y.dtype in ("int8", "int16"), f"output {y.dtype}, needed int8 or int16")
        for values in (self.multiplier, self.offset):
            self.require(
                values.shape == y.shape
                and values.dtype == np.int32
                and int(np.abs(values.astype(np.int64)).max()) < INT32_LIMIT - 1,
                f"multiplier and offset must be int32 of shape {y.shape}, inside their range",
            )
        self.require(0 <= self.shift <= 30, f"shift {self.shift}, needed 0 to 30")
        self.require_bound(x.magnitude << self.shift, "shifted input")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return a x + b, exactly."""
        y = self.outputs[0]
        x = inputs[0][..., : y.size] << self.shift
        multiplier, offset = (
            fixed.like(x, v.astype(np.int64)) for v in (self.multiplier, self.offset)
        )
        q = (x * multiplier + (offset << FRACTION_BITS) + (1 << 31)) >> 32
        return (fixed.saturate(q, y.qmin, y.qmax),)

    def real(self, *inputs: Array) -> tuple[Array, ...]:
        """Return a x + b."""
        x, y = self.inputs[0], self.outputs[0]
        unit = y.scales[0] / x.scales[0] * 2.0 ** (self.shift - 32)
        factor = fixed.like(inputs[0], self.multiplier * unit)
        offset = fixed.like(inputs[0], self.offset * (y.scales[0] * 2.0**-FRACTION_BITS))
        return (factor * inputs[0][..., : y.size] + offset,)

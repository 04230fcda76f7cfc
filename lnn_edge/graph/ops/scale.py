"""A factor and an offset for each channel: normalization that no matrix absorbs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor

LARGEST_WEIGHT = 1 << 14
LARGEST_BIAS = 1 << 29


@dataclass(frozen=True, eq=False)
class Scale(AbstractOp):
    """y_c = g_c x_c + b_c, c the place on the last axis, shapes alike.

    acc_c = weight_c * (x_c - zx_c) + bias_c                                (int32, proved)
    y_c   = saturate(requantize(acc_c, multiplier_c, shift_c) + zy, qmin, qmax)

    A rectifier is the output's qmin = zero_point.

    Attributes:
        weight: (C,) int16 in [-2**14, 2**14].
        bias: (C,) int32, in units of x.scale g_c / weight_c.
        multiplier: (C,) int32, shift: (C,) int8: the factor from that unit to y.scale.
    """

    kind: ClassVar[str] = "scale"
    channel_scales: ClassVar[tuple[str, ...]] = ("x0", "y0")
    channel_zero_points: ClassVar[tuple[str, ...]] = ("x0",)
    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray

    @classmethod
    def quantize(
        cls, name: str, x: QTensor, y: QTensor, gain: np.ndarray, offset: np.ndarray
    ) -> Scale:
        """Quantize real gains (C,) and offsets (C,).

        The weight is +-2**14, less where |offset| exceeds what x adds to it: then the offset
        decides the unit. So y is off by 2**-14 of it at most, besides its rounding.
        """
        channels = x.shape[-1:]
        to = np.broadcast_to(y.scales, channels)
        folded = np.broadcast_to(gain, channels) * np.broadcast_to(x.scales, channels)
        offset = np.broadcast_to(offset, channels)
        unit = np.maximum(np.abs(folded) / LARGEST_WEIGHT, np.abs(offset) / LARGEST_BIAS)
        unit = np.maximum(unit, to * 2.0**-30)  # a channel of nothing still needs one
        pairs = [fixed.quantize_multiplier(f) for f in (unit / to).tolist()]
        multiplier, shift = np.array(pairs, np.int64).T
        # The integers mean the rounded multiplier: weights and biases are rounded against it.
        unit = fixed.real_multiplier(multiplier.astype(float), shift.astype(float)) * to
        weight, bias = (np.floor(v / unit + 0.5) for v in (folded, offset))
        return cls(
            name,
            (x,),
            (y,),
            weight.clip(-LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int16),
            bias.astype(np.int32),
            multiplier.astype(np.int32),
            shift.astype(np.int8),
        )

    @cached_property
    def _wide(self) -> tuple[np.ndarray, ...]:
        constants = (self.weight, self.folded_bias, self.multiplier, self.shift)
        return tuple(v.astype(np.int64) for v in constants)

    @property
    def zero_points_of_x(self) -> np.ndarray:
        """Zero point of each channel, (C,) int64."""
        x = self.inputs[0]
        return np.broadcast_to(np.asarray(x.zero_points, np.int64), x.shape[-1:]).copy()

    @property
    def folded_bias(self) -> np.ndarray:
        """Bias with the input's zero points folded in, as the C adds it, (C,) int64."""
        folded: np.ndarray = self.bias - self.weight.astype(np.int64) * self.zero_points_of_x
        return folded

    def check(self) -> None:
        """Check shapes and formats, prove the accumulators."""
        x, y = self.inputs[0], self.outputs[0]
        constants = (self.weight, self.bias, self.multiplier, self.shift)
        self.require(x.shape == y.shape, f"shapes {x.shape} and {y.shape} differ")
        self.require(
            all(v.shape == x.shape[-1:] for v in constants)
            and [v.dtype for v in constants] == [np.int16, np.int32, np.int32, np.int8],
            f"weight, bias, multiplier and shift must be int16, int32, int32 and int8 of shape "
            f"{x.shape[-1:]}",
        )
        weight = np.abs(self.weight.astype(np.int64))
        self.require(int(weight.max()) <= LARGEST_WEIGHT, f"weights beyond {LARGEST_WEIGHT}")
        for pick in (np.min, np.max):
            self.require_factor(int(pick(self.multiplier)), int(pick(self.shift)))
        # C adds the raw input to the folded bias, so the proof covers that form of the sum.
        reach = weight * max(abs(x.qmin), abs(x.qmax)) + np.abs(self.folded_bias)
        self.require_bound(int((reach << self.shift.astype(np.int64)).max()))

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return g x + b, exactly."""
        (x,), y = inputs, self.outputs[0]
        weight, bias, multiplier, shift = (fixed.like(x, v) for v in self._wide)
        q = fixed.requantize(weight * x + bias, multiplier, shift)
        return (fixed.saturate(q + y.zero_points[0], y.qmin, y.qmax),)

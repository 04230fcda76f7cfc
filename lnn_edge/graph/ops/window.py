"""From a slice of raw frames to a centred window: box decimation, mean removal, mean magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from array_api_compat import array_namespace

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor


@dataclass(frozen=True, eq=False)
class AbstractTimeReduction(AbstractOp):
    """Sums over time, times a rational factor: saturate(requantize(sum, multiplier, shift))."""

    multiplier: int
    shift: int

    def check_frames(self, shape: tuple[int, ...], terms: int) -> None:
        """Check that x is (T, C), y has `shape`, and prove a sum of `terms` values."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(len(x.shape) == 2, f"input must be (T, C), not {x.shape}")
        self.require(y.shape == shape, f"output must be {shape}, not {y.shape}")
        self.require(x.zero_points == (0,) == y.zero_points, "zero points must be 0")
        self.require_factor(self.multiplier, self.shift)
        self.require_bound((max(abs(x.qmin), abs(x.qmax)) * terms) << self.shift, "sum")

    def finish(self, total: Array) -> Array:
        """Requantize and saturate a sum."""
        y = self.outputs[0]
        q = fixed.requantize(total, self.multiplier, self.shift)
        return fixed.saturate(q, y.qmin, y.qmax)


def _sum(x: Array, axis: int) -> Array:
    return array_namespace(x).sum(x, axis=axis)


@dataclass(frozen=True, eq=False)
class Decimate(AbstractTimeReduction):
    """y[j] = mean of x[j * n : (j + 1) * n] over time, shapes (T, C) -> (T / n, C).

    A box filter of n samples: -3 dB at 0.443 fs / n, zeros at multiples of fs / n.
    """

    kind: ClassVar[str] = "decimate"
    factor: int

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor, factor: int) -> Decimate:
        """Take the multiplier from scales and factor."""
        pair = fixed.quantize_multiplier(x.scales[0] / y.scales[0] / factor)
        return cls(name, (x,), (y,), *pair, factor)

    def check(self) -> None:
        """Check shapes and prove the sum."""
        frames, channels = self.inputs[0].shape
        self.require(
            self.factor >= 1 and frames % self.factor == 0,
            f"{frames} frames are not a multiple of {self.factor}",
        )
        self.check_frames((frames // self.factor, channels), self.factor)

    def _blocks(self, x: Array) -> Array:
        frames, channels = self.outputs[0].shape
        return x.reshape(*x.shape[:-2], frames, self.factor, channels)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the block means (..., T / n, C), exactly."""
        return (self.finish(_sum(self._blocks(inputs[0]), -2)),)


@dataclass(frozen=True, eq=False)
class Center(AbstractTimeReduction):
    """y = x - mean over time, per channel, shapes (T, C) -> (T, C).

    The mean is requantized (rounded) in units of x first: y = saturate(x - mean).
    """

    kind: ClassVar[str] = "center"
    channel_scales: ClassVar[tuple[str, ...]] = ("x0", "y0")

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor) -> Center:
        """Take the multiplier 1 / T."""
        return cls(name, (x,), (y,), *fixed.quantize_multiplier(1 / x.shape[0]))

    def check(self) -> None:
        """Check that the formats agree and prove the sum."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(x.scales == y.scales, "input and output need the same scale")
        self.check_frames(x.shape, x.shape[0])

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return x - mean, exactly."""
        (x,), y = inputs, self.outputs[0]
        mean = fixed.requantize(_sum(x, -2), self.multiplier, self.shift)
        return (fixed.saturate(x - mean[..., None, :], y.qmin, y.qmax),)


@dataclass(frozen=True, eq=False)
class MeanAbs(AbstractTimeReduction):
    """y = mean of |x| over time, per channel, shapes (T, C) -> (C,)."""

    kind: ClassVar[str] = "mean_abs"

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor) -> MeanAbs:
        """Take the multiplier from scales and length."""
        pair = fixed.quantize_multiplier(x.scales[0] / y.scales[0] / x.shape[0])
        return cls(name, (x,), (y,), *pair)

    def check(self) -> None:
        """Check shapes and prove the sum."""
        frames, channels = self.inputs[0].shape
        self.check_frames((channels,), frames)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the mean magnitude (..., C), exactly."""
        return (self.finish(_sum(abs(inputs[0]), -2)),)


@dataclass(frozen=True, eq=False)
class MeanPool(AbstractTimeReduction):
    """y = mean over time, per channel, shapes (T, C) -> (C,); zero points allowed.

    y = saturate(requantize(sum(x) - T zx, multiplier, shift) + zy)
    """

    kind: ClassVar[str] = "mean_pool"

    @classmethod
    def quantize(cls, name: str, x: QTensor, y: QTensor) -> MeanPool:
        """Take the multiplier from scales and length."""
        pair = fixed.quantize_multiplier(x.scales[0] / y.scales[0] / x.shape[0])
        return cls(name, (x,), (y,), *pair)

    def check(self) -> None:
        """Check shapes and prove the sum."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(len(x.shape) == 2 and y.shape == x.shape[1:], f"{x.shape} to {y.shape}")
        self.require_factor(self.multiplier, self.shift)
        self.require_bound((x.magnitude * x.shape[0]) << self.shift, "sum")

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the mean (..., C), exactly."""
        x, y = self.inputs[0], self.outputs[0]
        total = _sum(inputs[0], -2) - x.shape[0] * x.zero_points[0]
        q = fixed.requantize(total, self.multiplier, self.shift) + y.zero_points[0]
        return (fixed.saturate(q, y.qmin, y.qmax),)

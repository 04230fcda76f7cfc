"""What linear and convolution share: rows of int8 weights, each with its own requantization."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor

Exact = tuple[np.ndarray, np.ndarray]
"""Weight (O, K) and bias (O,) before they are rounded to integers."""
Quantized = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Exact | None]
"""Weight, bias, multiplier and shift of rows, and what they were rounded from."""


@dataclass(frozen=True, eq=False)
class AbstractRowOp(AbstractOp):
    """Rows of weights over columns of input.

    acc_o = sum_k weight[o, k] * (x_k - zx_k) + bias_o                      (int32, proved)
    y_o   = saturate(requantize(acc_o, multiplier_o, shift_o) + zy, qmin, qmax)

    A ReLU is the output's qmin = zero_point. Scales of the input's channels are in the columns.

    Attributes:
        weight: (O, K) int8 in [-127, 127], symmetric per output channel.
        bias: (O,) int32, in units of input scale times weight scale.
        multiplier: (O,) int32, shift: (O,) int8: the factor x.scale * w_scale / y.scale.
        exact: What weight and bias were rounded from, where the operator was made of real ones. It
            is no part of the graph and of its file.
    """

    channel_scales: ClassVar[tuple[str, ...]] = ("x0",)
    channel_zero_points: ClassVar[tuple[str, ...]] = ("x0",)
    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    exact: Exact | None = field(default=None, kw_only=True, compare=False, repr=False)

    @abc.abstractmethod
    def columns(self, x: Array) -> Array:
        """Return what the rows multiply, (..., K), of x (..., *shape), zero points still in."""

    @property
    def rows(self) -> np.ndarray:
        """Weights over all columns, (O, K)."""
        return self.weight

    @cached_property
    def column_zero_points(self) -> np.ndarray:
        """Zero point of each of the K columns, (K,) int64."""
        x, columns = self.inputs[0], self.rows.shape[1]
        points = np.broadcast_to(np.asarray(x.zero_points, np.int64), (x.shape[-1],))
        return np.tile(points, columns // points.size)

    @property
    def folded_bias(self) -> np.ndarray:
        """Bias with the input's zero points folded in, as the C adds it, (O,) int32."""
        offset = self.rows.astype(np.int64) @ self.column_zero_points
        folded: np.ndarray = (self.bias - offset).astype(np.int32)
        return folded

    @cached_property
    def _wide_vectors(self) -> tuple[np.ndarray, ...]:
        return tuple(v.astype(np.int64) for v in (self.bias, self.multiplier, self.shift))

    @cached_property
    def _real_weight(self) -> np.ndarray:
        return self.rows.astype(np.float64)

    def check_rows(self) -> None:
        """Check formats and prove that no accumulator can overflow."""
        x, y, weight = self.inputs[0], self.outputs[0], self.weight
        rows = weight.shape[0]
        vectors = (self.bias, self.multiplier, self.shift)
        self.require(x.dtype in ("int8", "int16"), f"input must be int8 or int16, not {x.dtype}")
        self.require(y.dtype in ("int8", "int16"), f"output must be int8 or int16, not {y.dtype}")
        self.require(
            weight.dtype == np.int8 and int(weight.min()) >= -127,
            "weights must be int8 in [-127, 127]",
        )
        self.require(
            all(v.shape == (rows,) for v in vectors),
            f"bias, multiplier and shift need shape ({rows},)",
        )
        self.require(
            [v.dtype for v in vectors] == [np.int32, np.int32, np.int8],
            "bias and multiplier must be int32, shift int8",
        )
        self.require(
            int(self.multiplier.min()) > 0 and 0 <= int(self.shift.min()) <= self.shift.max() <= 30,
            "multipliers must be positive and shifts in [0, 30]",
        )
        # C adds the raw input to the folded bias, so the proof covers that form of the sum.
        sums = np.abs(weight.astype(np.int64)).sum(axis=1)
        raw = sums * max(abs(x.qmin), abs(x.qmax)) + np.abs(self.folded_bias.astype(np.int64))
        centered = sums * x.magnitude + np.abs(self.bias.astype(np.int64))
        self.require_bound(int((np.maximum(raw, centered) << self.shift.astype(np.int64)).max()))

    def accumulate(self, columns: Array) -> Array:
        """Return y of gathered columns.

        Args:
            columns: (..., K) int64, zero points still in.
        """
        centered = columns - fixed.like(columns, self.column_zero_points)
        bias, multiplier, shift = (fixed.like(columns, v) for v in self._wide_vectors)
        y = self.outputs[0]
        q = fixed.requantize(fixed.dot(centered, self._real_weight) + bias, multiplier, shift)
        return fixed.saturate(q + y.zero_points[0], y.qmin, y.qmax)


def quantize_rows(x: QTensor, y: QTensor, weight: np.ndarray, bias: np.ndarray) -> Quantized:
    """Quantize real rows, the scales of the input's channels folded into the columns.

    Args:
        x: Input; the last axis of its scales repeats along the columns.
        y: Output with one scale.
        weight: (O, K) real.
        bias: (O,) real.

    Returns:
        weight (O, K) int8, bias (O,) int32, multiplier (O,) int32, shift (O,) int8, and both before
        they are rounded.
    """
    scales = np.broadcast_to(np.asarray(x.scales), (x.shape[-1],))
    folded = weight * np.tile(scales, weight.shape[1] // scales.size)
    # A row of nothing but zeros still needs a scale that its bias fits.
    row_scale = np.maximum(np.abs(folded).max(axis=1) / 127, np.abs(bias) * 2.0**-22)
    row_scale = np.maximum(row_scale, y.scales[0] * 2.0**-16)
    pairs = [fixed.quantize_multiplier(s / y.scales[0]) for s in row_scale.tolist()]
    multiplier, shift = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    # The integers mean the rounded multiplier: weights and biases are rounded against it.
    unit = fixed.real_multiplier(multiplier.astype(float), shift.astype(float)) * y.scales[0]
    exact = folded / unit[:, None], bias / unit
    rows = np.clip(np.floor(exact[0] + 0.5), -127, 127).astype(np.int8)
    offset = np.floor(exact[1] + 0.5).astype(np.int32)
    return rows, offset, multiplier.astype(np.int32), shift.astype(np.int8), exact

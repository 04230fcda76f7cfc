"""Distance of a window to its running template, which follows the windows slowly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor

FRACTION_BITS = 7
EMPTY = -(1 << 15)


@dataclass(frozen=True, eq=False)
class TemplateDistance(AbstractOp):
    """Mean magnitude of x - s per segment of time and channel, and the template's next state.

    Shapes x (T, C), s (T, C) -> s' (T, C), y (S * C,). The state s is int16 with 7 fraction bits
    more than the int8 window: at a rate of 1/16 its dead zone is 1/16 of an LSB of x.

    d[t, c]  = (x << 7) - s, 0 where s = -2**15 (empty)
    y[j, c]  = saturate(requantize(sum_{t in segment j} |d[t, c]|, multiplier_j, shift_j))
    s'       = s + requantize(limit(d, -most, most), rate, 0); x << 7 where s is empty

    The limit lets one strange beat move the template no more than a slightly different one.

    Attributes:
        edges: (S + 1,) int32, ascending from 0 to T: segment j is [edges[j], edges[j + 1]).
        multiplier: (S,) int32; shift: (S,) int8: x.scale / 2**7 / length / y.scale.
        most: Largest |d| that moves the template.
        rate: Multiplier of the averaging rate.
    """

    kind: ClassVar[str] = "template_distance"
    edges: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    most: int
    rate: int

    @classmethod
    def quantize(
        cls,
        name: str,
        tensors: tuple[QTensor, QTensor, QTensor, QTensor],
        edges: Sequence[int],
        most: float,
        rate: float,
    ) -> TemplateDistance:
        """Build from real constants.

        Args:
            name: C identifier.
            tensors: x, s, s' and y.
            edges: Borders of the segments.
            most: In units of real x.
            rate: In (0, 0.5).
        """
        x, state, update, y = tensors
        fine = x.scales[0] / (1 << FRACTION_BITS)
        lengths = np.diff(edges).tolist()
        pairs = [fixed.quantize_multiplier(fine / n / y.scales[0]) for n in lengths]
        multiplier, shift = np.array(pairs, np.int64).T
        return cls(
            name,
            (x, state),
            (update, y),
            np.array(edges, np.int32),
            multiplier.astype(np.int32),
            shift.astype(np.int8),
            round(most / fine),
            fixed.quantize_multiplier(rate)[0],
        )

    def check(self) -> None:
        """Check formats and segments, prove the sums."""
        x, state = self.inputs
        update, y = self.outputs
        segments = len(self.edges) - 1
        self.require(
            x.dtype == "int8" and state.dtype == update.dtype == "int16",
            "the window must be int8 and the template int16",
        )
        self.require(
            len(x.shape) == 2 and x.shape == state.shape == update.shape,
            f"window {x.shape} and template {state.shape} differ",
        )
        self.require(y.shape == (segments * x.shape[1],), f"{segments} segments, output {y.shape}")
        self.require(
            self.edges[0] == 0 and self.edges[-1] == x.shape[0] and np.diff(self.edges).min() > 0,
            f"edges {self.edges.tolist()} must ascend from 0 to {x.shape[0]}",
        )
        self.require(
            all(t.zero_points[0] == 0 for t in (x, state, update, y)), "zero points must be 0"
        )
        fine = x.scales[0] / (1 << FRACTION_BITS)
        self.require(state.scales[0] == update.scales[0] == fine, "template scale")
        top = max(-x.qmin, x.qmax) << FRACTION_BITS
        self.require(
            state.qmin <= EMPTY and state.qmax >= top and update.qmin <= -top <= top <= update.qmax,
            f"the template must hold [-{top}, {top}] and {EMPTY}",
        )
        self.require(
            0 < self.rate < 1 << 31 and 0 < self.most < 1 << 31, "rate and limit must be positive"
        )
        self.require(
            [v.dtype for v in (self.edges, self.multiplier, self.shift)]
            == [np.int32, np.int32, np.int8]
            and self.multiplier.shape == self.shift.shape == (segments,),
            f"edges and multipliers must be int32, shifts int8, {segments} of each",
        )
        for multiplier, shift in zip(self.multiplier.tolist(), self.shift.tolist(), strict=True):
            self.require_factor(multiplier, shift)
        longest = int(np.diff(self.edges).max())
        self.require_bound((2 * top * longest) << int(self.shift.max()), "sum of magnitudes")

    def _difference(self, x: Array, state: Array) -> Array:
        wide = x << FRACTION_BITS
        return array_namespace(x).where(state == EMPTY, wide - wide, wide - state)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return (s', y), exactly."""
        x, state = inputs
        xp, y = array_namespace(x), self.outputs[1]
        difference = self._difference(x, state)
        segments = []
        for j, (first, last) in enumerate(zip(self.edges[:-1], self.edges[1:], strict=True)):
            total = xp.sum(abs(difference[..., int(first) : int(last), :]), axis=-2)
            mean = fixed.requantize(total, int(self.multiplier[j]), int(self.shift[j]))
            segments.append(fixed.saturate(mean, y.qmin, y.qmax))
        moved = state + fixed.requantize(
            fixed.saturate(difference, -self.most, self.most), self.rate, 0
        )
        update = xp.where(state == EMPTY, x << FRACTION_BITS, moved)
        return update, xp.concat(segments, axis=-1)

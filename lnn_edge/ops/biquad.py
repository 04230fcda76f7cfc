"""Causal recursive filter: second-order sections one after the other, their state in 32 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge import fixed
from lnn_edge.fixed import Array
from lnn_edge.ir import AbstractOp, QTensor

FRACTION_BITS = 12
COEFFICIENT_BITS = 29
EMPTY = -(1 << 31)
LIMIT = 1 << 29  # of every signal inside: four times full scale of int16


@dataclass(frozen=True, eq=False)
class Biquads(AbstractOp):
    """y = K second-order sections in a row on every channel, one frame a step.

    Signals v_0 = x << 12 and v_k, the output of section k, are int32 with 12 fraction bits more
    than x. Direct form I, so that neighbours share their delays:

    v_k[n] = limit((b0 v_j[n] + b1 v_j[n-1] + b2 v_j[n-2] - a1 v_k[n-1] - a2 v_k[n-2] + 2**28) >> 29)
             with j = k - 1, products summed in 64 bits and rounded once
    y[n]   = saturate(requantize(v_K[n], multiplier, shift))

    Shapes x (C,), state (C, K + 1, 2) -> state', y (C,); the state holds v_k[n-1] and v_k[n-2].
    A section integrates: with 12 fraction bits a high-pass of 0.5 Hz at 500 Hz ends within one
    LSB of x of its final value (docs/numerics.md, dead zones). Where state[c, 0, 0] is -2**31 the
    channel is new: its first sample is taken as if it had always been there, v_k = gain_k v_j.

    The error against the same filter in real numbers is at most half an LSB of y, plus the
    rounding of the sections (2**-13 of an LSB of x each, times the noise gain of the poles) and of
    the coefficients (2**-30); tested against scipy.signal.sosfilt.

    Attributes:
        coefficients: (K, 5) int32: b0, b1, b2, -a1, -a2 in units of 2**-29.
        gain: (K,) int32: gain of each section at 0 Hz in units of 2**-29.
        multiplier: Of the factor 2**-12 x.scale / y.scale.
        shift: Of the factor.
    """

    kind: ClassVar[str] = "biquads"
    coefficients: np.ndarray
    gain: np.ndarray
    multiplier: int
    shift: int

    @classmethod
    def quantize(
        cls, name: str, tensors: tuple[QTensor, QTensor, QTensor, QTensor], sos: np.ndarray
    ) -> Biquads:
        """Build from real sections.

        Args:
            name: C identifier.
            tensors: x, state, state' and y.
            sos: (K, 6) b0, b1, b2, 1, a1, a2, as scipy.signal gives them.
        """
        x, state, update, y = tensors
        real = np.concatenate((sos[:, :3], -sos[:, 4:]), axis=1)
        coefficients = np.floor(real * 2.0**COEFFICIENT_BITS + 0.5).astype(np.int32)
        gain = sos[:, :3].sum(axis=1) / sos[:, 3:].sum(axis=1)
        factor = fixed.quantize_multiplier(x.scales[0] / y.scales[0] / (1 << FRACTION_BITS))
        return cls(
            name,
            (x, state),
            (update, y),
            coefficients,
            np.floor(gain * 2.0**COEFFICIENT_BITS + 0.5).astype(np.int32),
            *factor,
        )

    @property
    def sections(self) -> int:
        """K."""
        return len(self.coefficients)

    def check(self) -> None:
        """Check formats and prove the 64-bit sums."""
        x, state = self.inputs
        update, y = self.outputs
        shape = (x.size, self.sections + 1, 2)
        self.require(
            x.dtype == "int16" and len(x.shape) == 1 and y.shape == x.shape,
            f"input {x.dtype} {x.shape}, output {y.shape}; needed int16 vectors of one length",
        )
        self.require(
            self.coefficients.shape == (self.sections, 5)
            and self.gain.shape == (self.sections,)
            and self.coefficients.dtype == self.gain.dtype == np.int32,
            "needed int32 coefficients (K, 5) and gains (K,)",
        )
        self.require(
            state.shape == update.shape == shape and state.dtype == update.dtype == "int32",
            f"state {state.dtype} {state.shape}, needed int32 {shape}",
        )
        self.require(
            state.qmin == EMPTY
            and update.qmin <= -LIMIT
            and min(update.qmax, state.qmax) >= LIMIT - 1,
            f"the state must hold [{-LIMIT}, {LIMIT - 1}] and {EMPTY}",
        )
        self.require(
            len(x.scales) == len(y.scales) == 1
            and state.scales == update.scales == (x.scales[0] / (1 << FRACTION_BITS),),
            "needed one scale each, the state's that of x / 2**12",
        )
        self.require(
            all(t.zero_points == (0,) for t in (x, state, update, y)), "zero points must be 0"
        )
        self.require_factor(self.multiplier, self.shift)
        self.require_bound(LIMIT << self.shift, "shifted output")
        largest = int(np.abs(self.coefficients.astype(np.int64)).sum(axis=1).max(initial=0))
        largest = max(largest, int(np.abs(self.gain.astype(np.int64)).max(initial=0)))
        total = largest * LIMIT + (1 << (COEFFICIENT_BITS - 1))
        self.require(total < 1 << 63, f"64-bit sum can reach {total}")

    def _signals(self, x: Array, state: Array) -> list[Array]:
        """Return v_0 to v_K of this step, (..., C) each."""
        xp = array_namespace(x)
        is_new = state[..., 0, 0] == EMPTY
        signals = [x << FRACTION_BITS]
        for k in range(self.sections):
            b0, b1, b2, a1, a2 = self.coefficients[k].tolist()
            entering = signals[k]
            total = (
                b0 * entering
                + b1 * state[..., k, 0]
                + b2 * state[..., k, 1]
                + a1 * state[..., k + 1, 0]
                + a2 * state[..., k + 1, 1]
            )
            total = xp.where(is_new, int(self.gain[k]) * entering, total)
            rounded = (total + (1 << (COEFFICIENT_BITS - 1))) >> COEFFICIENT_BITS
            signals.append(fixed.saturate(rounded, -LIMIT, LIMIT - 1))
        return signals

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return (state', y), exactly."""
        x, state = inputs
        xp, y = array_namespace(x), self.outputs[1]
        fresh = xp.stack(self._signals(x, state), axis=-1)
        is_new = (state[..., 0, 0] == EMPTY)[..., None]
        older = xp.where(is_new, fresh, state[..., 0])
        q = fixed.requantize(fresh[..., -1], self.multiplier, self.shift)
        return xp.stack((fresh, older), axis=-1), fixed.saturate(q, y.qmin, y.qmax)

    def real(self, *inputs: Array) -> tuple[Array, ...]:
        """Return (state', y) in real numbers, limited; new channels are the caller's."""
        x, state = inputs
        xp = array_namespace(x)
        most = LIMIT * self.inputs[1].scales[0]
        signals = [x]
        for k in range(self.sections):
            b0, b1, b2, a1, a2 = (self.coefficients[k] * 2.0**-COEFFICIENT_BITS).tolist()
            total = (
                b0 * signals[k]
                + b1 * state[..., k, 0]
                + b2 * state[..., k, 1]
                + a1 * state[..., k + 1, 0]
                + a2 * state[..., k + 1, 1]
            )
            signals.append(total.clip(-most, most))
        fresh = xp.stack(signals, axis=-1)
        return xp.stack((fresh, state[..., 0]), axis=-1), signals[-1]


def biquad_state(name: str, x: QTensor, sections: int) -> tuple[QTensor, QTensor]:
    """Return state and next state of a cascade on x; its initial value is EMPTY."""
    shape, scale = (x.size, sections + 1, 2), x.scales[0] / (1 << FRACTION_BITS)
    state = QTensor(f"{name}_state", shape, "int32", scale, role="state")
    return state, QTensor(f"{name}_update", shape, "int32", scale, 0, -LIMIT, LIMIT - 1)

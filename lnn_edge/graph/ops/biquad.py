"""Causal recursive filter: second-order sections one after the other, their state in 32 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.errors import QuantizationError
from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor, Run

FRACTION_BITS = 12
COEFFICIENT_BITS = 29
EMPTY = -(1 << 31)
HALF = 1 << (COEFFICIENT_BITS - 1)
LIMIT = 1 << 29  # of every signal inside: four times full scale of int16


@dataclass(frozen=True, eq=False)
class Biquads(AbstractOp):
    """y = K second-order sections in a row on every channel, one frame a step.

    Signals v_0 = x << 12 and v_k, the output of section k, are int32 with 12 fraction bits more
    than x. Direct form I, so that neighbours share their delays; what rounding cuts off is added
    in the next step (error feedback), with j = k - 1 and products summed in 64 bits:

    s      = b0 v_j[n] + b1 v_j[n-1] + b2 v_j[n-2] - a1 v_k[n-1] - a2 v_k[n-2] + r_k
    v_k[n] = limit(s >> 29),  r_k <- s - (s >> 29 << 29), a half where v_k is limited
    y[n]   = saturate(requantize(v_K[n], multiplier, shift))

    Shapes x (C,), state (C, K + 1, 3) -> state', y (C,); the state holds v_k[n-1], v_k[n-2] and
    r_k. A section integrates: without r_k a high-pass of 0.5 Hz at 500 Hz would stop 3 LSB of x
    short of its value (docs/numerics.md, dead zones). Where state[c, 0, 0] is -2**31 the channel is
    new: its first sample is taken as if it had always been there, v_k = gain_k v_j.

    The error against the same filter in floats is half an LSB of y, and less than 0.1 LSB of
    x that sections and coefficients add; tested against scipy.signal.sosfilt.

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
            sos: (K, 6) b0, b1, b2, 1, a1, a2, as scipy.signal gives them; the gain is dealt out
                among the sections, so that none of them is loud.

        Raises:
            QuantizationError: A coefficient, or the gain of a section at 0 Hz, is 4 or more.
        """
        x, state, update, y = tensors
        sos = _balanced(sos)
        real = np.concatenate((sos[:, :3], -sos[:, 4:]), axis=1)
        coefficients = np.floor(real * 2.0**COEFFICIENT_BITS + 0.5)
        # A high-pass has no gain at 0 Hz, whatever its coefficients are rounded to.
        total = np.floor(real[:, :3].sum(axis=1) * 2.0**COEFFICIENT_BITS + 0.5)
        coefficients[:, 1] = total - coefficients[:, 0] - coefficients[:, 2]
        gain = sos[:, :3].sum(axis=1) / sos[:, 3:].sum(axis=1)
        largest = float(max(np.abs(real).max(), np.abs(gain).max()))
        if not largest < 4:
            raise QuantizationError(
                f"{name}: coefficients and gains must be below 4, not {largest:.3g}; take "
                "a filter of lower order or a gain of 1"
            )
        factor = fixed.quantize_multiplier(x.scales[0] / y.scales[0] / (1 << FRACTION_BITS))
        return cls(
            name,
            (x, state),
            (update, y),
            coefficients.astype(np.int32),
            np.floor(gain * 2.0**COEFFICIENT_BITS + 0.5).astype(np.int32),
            *factor,
        )

    @property
    def sections(self) -> int:
        """K."""
        return len(self.coefficients)

    def check(self) -> None:
        """Check formats; five int32 coefficients times LIMIT stay below 2**63."""
        x, state = self.inputs
        update, y = self.outputs
        shape = (x.size, self.sections + 1, 3)
        self.require(
            x.dtype == "int16" and len(x.shape) == 1 and y.shape == x.shape,
            f"input and output must be int16 vectors of one length, not {x.dtype} "
            f"{x.shape} and {y.shape}",
        )
        self.require(
            self.coefficients.shape == (self.sections, 5)
            and self.gain.shape == (self.sections,)
            and self.coefficients.dtype == self.gain.dtype == np.int32,
            "coefficients must be int32 (K, 5) and gains int32 (K,)",
        )
        self.require(
            state.shape == update.shape == shape and state.dtype == update.dtype == "int32",
            f"state must be int32 {shape}, not {state.dtype} {state.shape}",
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
            "each tensor must have one scale, the state that of x / 2**12",
        )
        self.require(
            all(t.zero_points == (0,) for t in (x, state, update, y)), "zero points must be 0"
        )
        self.require_factor(self.multiplier, self.shift)
        self.require_bound(LIMIT << self.shift, "shifted output")

    def limits_of(self, update: QTensor) -> tuple[Run, ...]:
        """Return the limits of a channel: past inputs, then past outputs and residue of each."""
        x = self.inputs[0]
        own = (Run(-LIMIT, LIMIT - 1, 2), Run(0, (1 << COEFFICIENT_BITS) - 1, 1))
        past = Run(x.qmin << FRACTION_BITS, x.qmax << FRACTION_BITS, 2)
        return (past, Run(0, 0, 1), *own * self.sections)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return (state', y), exactly."""
        x, state = inputs
        xp, y = array_namespace(x), self.outputs[1]
        is_new = state[..., 0, 0] == EMPTY
        signals, residues = [x << FRACTION_BITS], [x * 0]
        for k in range(self.sections):
            b0, b1, b2, a1, a2 = self.coefficients[k].tolist()
            own = state[..., k + 1, :]
            total = (
                b0 * signals[k]
                + b1 * state[..., k, 0]
                + b2 * state[..., k, 1]
                + a1 * own[..., 0]
                + a2 * own[..., 1]
                + own[..., 2]
            )
            total = xp.where(is_new, int(self.gain[k]) * signals[k] + HALF, total)
            value = total >> COEFFICIENT_BITS
            limited = fixed.saturate(value, -LIMIT, LIMIT - 1)
            rest = total - (value << COEFFICIENT_BITS)
            signals.append(limited)
            residues.append(xp.where(is_new | (limited != value), HALF, rest))
        fresh = xp.stack(signals, axis=-1)
        older = xp.where(is_new[..., None], fresh, state[..., 0])
        update = xp.stack((fresh, older, xp.stack(residues, axis=-1)), axis=-1)
        q = fixed.requantize(signals[-1], self.multiplier, self.shift)
        return update, fixed.saturate(q, y.qmin, y.qmax)


def _balanced(sos: np.ndarray) -> np.ndarray:
    """Return the same filter with a largest gain of 1 in every section but the last."""
    z = np.exp(-1j * np.linspace(0, np.pi, 2048))
    powers = np.stack((np.ones_like(z), z, z * z))
    largest = np.abs((sos[:, :3] @ powers) / (sos[:, 3:] @ powers)).max(axis=1)
    balanced = sos.astype(float)
    balanced[:-1, :3] /= largest[:-1, None]
    balanced[-1, :3] *= np.prod(largest[:-1])
    return balanced


def biquad_state(name: str, x: QTensor, sections: int) -> tuple[QTensor, QTensor]:
    """Return state and next state of a cascade on x; its initial value is EMPTY."""
    shape, scale = (x.size, sections + 1, 3), x.scales[0] / (1 << FRACTION_BITS)
    state = QTensor(f"{name}_state", shape, "int32", scale, role="state")
    return state, QTensor(f"{name}_update", shape, "int32", scale, 0, -LIMIT, LIMIT - 1)

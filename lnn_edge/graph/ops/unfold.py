"""Membranes of liquid time-constant neurons: semi-implicit Euler steps.

Source: Hasani et al. 2021, algorithm 1 (fused semi-implicit Euler), written without 1 / dt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn_edge.errors import QuantizationError
from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.synapse import (
    GATE_ONE,
    SHARE,
    AbstractSynapseOp,
    RealSynapses,
    quantize_synapses,
    totals_of,
)

ONE = {"int16": 32767, "int32": 32767 << 15}
"""What the largest membrane potential is, by dtype of the state."""
VIEW_SHIFT = {"int16": 0, "int32": 15}
"""Bits of the state that synapses do not see: they read 16."""
GAP_BITS = 30
"""Of the distance to the target, so that its product with dt / denominator has 63."""


@dataclass(frozen=True, eq=False)
class Membranes:
    """What a neuron does with its currents, as floats.

    Attributes:
        capacity: (N,) U cm; with a constant dt, U cm / dt.
        total: (N,) all conductances of a neuron.
        unfolds: Euler steps per time step, U.
    """

    capacity: np.ndarray
    total: np.ndarray
    unfolds: int


@dataclass(frozen=True, eq=False)
class Unfold(AbstractSynapseOp):
    """Semi-implicit Euler steps of the membranes, `unfolds` times.

    v' = (C v + dt n) / (C + dt d), written v' = v + (n - d v) dt / (C + dt d):

    view_i = (v_i + 2**(f - 1)) >> f                        f = VIEW_SHIFT: what synapses read
    n, d   = (num_j, den_j) + currents(view)
    gap    = (n ONE - d v_j + 2**(gap_bits - 1)) >> gap_bits            (64-bit sum, proved)
    r, z   = reciprocal(capacity_j + ((d dt) >> time_bits) + 1)         dt = 1 where it is constant
    s      = 47 + time_bits - gap_bits - z
    v_j   <- saturate(v_j + ((gap dt r + 2**(s - 1)) >> s), -ONE, ONE)

    All neurons read the potentials before the step. r dt d never exceeds the denominator's one
    (d dt is rounded up there, r down), so v_j moves towards n / d and never past it: |v| stays
    within ONE. An inexact reciprocal changes how fast, not where to. The loop is inside the
    operator: see docs/adr/0006.

    Inputs: v (N,) int16 or int32; num, den (N,) int32; dt (1,) uint16 unless constant. Output: v'.

    Attributes:
        capacity: (N,) uint32, in 2**time_bits steps of d dt.
        time_bits: 0 to 31.
        gap_bits: 1 to 33.
        unfolds: At least 1.
    """

    kind: ClassVar[str] = "unfold"
    capacity: np.ndarray
    time_bits: int
    gap_bits: int
    unfolds: int

    @classmethod
    def quantize(
        cls,
        name: str,
        inputs: tuple[QTensor, ...],
        y: QTensor,
        synapses: RealSynapses,
        membranes: Membranes,
    ) -> Unfold:
        """Quantize real synapses and membranes; inputs are v, num, den and perhaps dt.

        A membrane gets the smallest capacity at least, less than 2**-13 of its conductances: one
        without inertia is as quick as that.

        Raises:
            QuantizationError: A capacity is negative.
        """
        if not (membranes.capacity >= 0).all():
            raise QuantizationError(f"{name}: a membrane's capacity is negative; clip cm at 0")
        constants = quantize_synapses(synapses, 32767)
        opened = int(totals_of(constants, y.size).max()) * GATE_ONE
        longest, step = (inputs[3].qmax, inputs[3].scales[0]) if inputs[3:] else (1, 1.0)
        capacity = membranes.capacity / (SHARE * membranes.total * step)
        largest = int(capacity.max()) + longest * (inputs[2].qmax + opened)
        gap = (inputs[1].magnitude + inputs[2].qmax + 2 * opened) * ONE[y.dtype]
        time_bits = max(0, largest.bit_length() - 31)
        gap_bits = gap.bit_length() - GAP_BITS
        least = 1 << max(0, 33 - (47 + time_bits - gap_bits))  # else the last shift has no place
        return cls(
            name,
            inputs,
            (y,),
            *constants,
            np.floor(capacity / 2.0**time_bits + 0.5).clip(least).astype(np.uint32),
            time_bits,
            gap_bits,
            membranes.unfolds,
        )

    @property
    def macs(self) -> int:
        """Three for each synapse and unfold."""
        return super().macs * self.unfolds

    @property
    def one(self) -> int:
        """Integer of the largest potential."""
        return ONE[self.outputs[0].dtype]

    @property
    def last_shift(self) -> int:
        """The shift s of a denominator that has no leading zeros."""
        return 47 + self.time_bits - self.gap_bits

    @property
    def denominators(self) -> tuple[int, int]:
        """The smallest that can arise before one is added, and the largest."""
        _, _, den, *elapsed = self.inputs
        opened = int(self.totals().max()) * GATE_ONE
        shortest, longest = (elapsed[0].qmin, elapsed[0].qmax) if elapsed else (1, 1)
        low = int(self.capacity.min()) + (shortest * den.qmin >> self.time_bits)
        high = int(self.capacity.max()) + (longest * (den.qmax + opened) >> self.time_bits) + 1
        return low, high

    @property
    def shifts(self) -> tuple[int, int]:
        """The least and the most that a step can be shifted by."""
        low, high = self.denominators
        least, most = (self.last_shift - 32 + d.bit_length() for d in (low + 1, high))
        return least, most

    def check(self) -> None:
        """Check formats and prove every 32- and 64-bit quantity."""
        v, num, den, *elapsed = self.inputs
        y = self.outputs[0]
        self.require(v.dtype in ONE, f"v must be int16 or int32, not {v.dtype}")
        self.require(
            (v.shape, v.dtype, v.scale) == (y.shape, y.dtype, y.scale) and len(v.shape) == 1,
            "v and v' must be alike",
        )
        self.require(
            v.zero_points == y.zero_points == (0,)
            and max(v.magnitude, -y.qmin, y.qmax) <= self.one <= min(-y.qmin, y.qmax),
            f"v must lie within {self.one}, v' reach it",
        )
        self.require(
            num.shape == den.shape == v.shape
            and num.dtype == den.dtype == "int32"
            and den.qmin >= 0
            and num.scales == den.scales == (SHARE,)
            and all(t.zero_points == (0,) for t in (num, den, *elapsed)),
            f"num and den must be int32 in steps of {SHARE}, den not negative; all around 0",
        )
        self.require(
            all(t.dtype == "uint16" and t.size == 1 for t in elapsed) and len(elapsed) < 2,
            "dt must be one uint16",
        )
        self.check_synapses(32767, v.size)
        self._check_membranes()

    def _check_membranes(self) -> None:
        _, num, den, *_ = self.inputs
        self.require(
            self.capacity.dtype == np.uint32 and self.capacity.shape == num.shape,
            f"capacity must be uint32 {num.shape}, not {self.capacity.dtype} {self.capacity.shape}",
        )
        self.require(self.unfolds >= 1, f"unfolds must be at least 1, not {self.unfolds}")
        self.require(
            0 <= self.time_bits <= 31 and 1 <= self.gap_bits <= 33,
            f"time_bits must be 0 to 31 and gap_bits 1 to 33, not {self.time_bits} and "
            f"{self.gap_bits}",
        )
        opened = int(self.totals().max()) * GATE_ONE
        most = max(num.magnitude, den.qmax) + opened
        self.require_bound(most, "sum of conductances")
        gap = (num.magnitude + den.qmax + 2 * opened) * self.one
        self.require(gap >> self.gap_bits < 1 << GAP_BITS, f"distance to the target can be {gap}")
        low, high = self.denominators
        self.require(
            1 <= low and high < 1 << 32,
            f"denominators must be in [1, 2**32 - 1], not [{low}, {high}]",
        )
        shortest, longest = self.shifts
        self.require(
            1 <= shortest and self.last_shift <= 62,
            f"shifts must be in [1, 62], not [{shortest}, {longest}]",
        )

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return v' (..., N), exactly."""
        v, num, den, *elapsed = inputs
        dt = elapsed[0] if elapsed else 1
        f, one = VIEW_SHIFT[self.outputs[0].dtype], self.one
        capacity = fixed.like(v, self.capacity.astype(np.int64))
        for _ in range(self.unfolds):
            n, d = self.currents((v + (1 << f >> 1)) >> f)
            n, d = num + n, den + d
            gap = (n * one - d * v + (1 << (self.gap_bits - 1))) >> self.gap_bits
            r, zeros = fixed.reciprocal(capacity + ((d * dt) >> self.time_bits) + 1)
            shift = self.last_shift - zeros
            moved = v + ((gap * (dt * r) + (1 << (shift - 1))) >> shift)
            v = fixed.saturate(moved, -one, one)
        return (v,)

"""Semi-implicit Euler steps of neurons that drive each other through conductance synapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn_edge import fixed
from lnn_edge.fixed import Array
from lnn_edge.formats import WIDE_BITS
from lnn_edge.ir import QTensor
from lnn_edge.ops.synapse import (
    AbstractSynapseOp,
    Conductances,
    Units,
    largest_sums_of,
    nearest,
    quantize_synapses,
)

VIEW_TOP = 32767
ERROR_LIMIT = 1 << 30
DENOMINATOR_LIMIT = 1 << 32


@dataclass(frozen=True, eq=False)
class Unfold(AbstractSynapseOp):
    """Steps of the semi-implicit solver for neurons that drive each other; the state is v (N,).

    v' = (C v + dt N) / (C + dt D) = v + dt (N - D v) / (C + dt D), `unfolds` times, with N and D
    the currents and conductances of the inputs (given) plus those of the neurons' own synapses.

    In each unfold, for all neurons, top = largest v:
    view = v where v is int16, (v + 2**14) >> 15 where it is int32: what the synapses read
    e    = (N * top - D * v + 2**(error_bits - 1)) >> error_bits                (64-bit sum, proved)
    d    = capacity + ((dt * D) >> time_bits) + 1                               (at least 1, uint32)
    r, z = reciprocal(d)
    v'   = saturate(v + ((e * dt * r + 2**(s - 1)) >> s)),  s = 47 + time_bits - error_bits - z

    dt is uint16, or 1 without that input: then it is part of capacity. r * D * dt never exceeds
    one, so v' lies between v and N / D, within the bound of all reversal potentials; it stands
    still only where N / D is reached, since e is exact. Source: Hasani et al. 2021, algorithm 1.

    Attributes:
        capacity: (N,) uint32, C in 2**time_bits steps of the conductance times those of dt.
        time_bits: Shift of dt * D.
        error_bits: Shift of N * top - D * v.
        unfolds: Repetitions.
    """

    kind: ClassVar[str] = "unfold"
    capacity: np.ndarray
    time_bits: int
    error_bits: int
    unfolds: int

    @classmethod
    def quantize(
        cls,
        name: str,
        inputs: tuple[QTensor, ...],
        y: QTensor,
        synapses: Conductances,
        capacity: np.ndarray,
        unfolds: int,
        units: Units,
    ) -> Unfold:
        """Quantize real constants.

        Args:
            name: C identifier.
            inputs: v, currents and conductances as Synapses makes them, and dt if it is an input.
            y: Next v.
            synapses: Among the neurons.
            capacity: C (N,); divided by dt where dt is constant.
            unfolds: Repetitions.
            units: Of the cell.

        Raises:
            QuantizationError: A slope does not fit.
        """
        v, currents, conductances, *times = inputs
        view = QTensor("view", v.shape, "int16", units.bound / VIEW_TOP, 0, -VIEW_TOP, VIEW_TOP)
        fields = quantize_synapses(name, view, synapses, units)
        most = int(largest_sums_of(fields["weight"], fields["rows"]).max())
        error = (currents.qmax + conductances.qmax + 2 * most) * v.qmax
        steps = capacity / (units.conductance * (times[0].scales[0] if times else 1.0))
        product = (conductances.qmax + most) * (times[0].qmax if times else 1)
        time_bits = max(0, (int(steps.max()) + product).bit_length() - 31)
        return cls(
            name,
            inputs,
            (y,),
            capacity=nearest(steps / 2.0**time_bits).astype(np.uint32),
            time_bits=time_bits,
            error_bits=max(1, error.bit_length() - 30),
            unfolds=unfolds,
            **fields,
        )

    @property
    def view_bits(self) -> int:
        """Bits that the state has more than its view."""
        return WIDE_BITS if self.inputs[0].dtype == "int32" else 0

    @property
    def shift(self) -> int:
        """The shift s of a denominator without leading zeros."""
        return 47 + self.time_bits - self.error_bits

    def check(self) -> None:
        """Check formats; prove sums, denominator and products."""
        self._check_formats()
        v, currents, conductances, *times = self.inputs
        self.check_synapses(v.size, VIEW_TOP)
        self.require(self.unfolds >= 1, f"unfolds {self.unfolds}, needed at least 1")
        self.require(0 <= self.time_bits <= 31, f"time_bits {self.time_bits}, needed 0 to 31")
        self.require(1 <= self.error_bits <= 32, f"error_bits {self.error_bits}, needed 1 to 32")
        most = int(self.largest_sums.max())
        current, conductance = currents.magnitude + most, conductances.qmax + most
        self.require_bound(max(current, conductance), "sum")
        error = (current + conductance) * v.qmax
        self.require(error >> self.error_bits < ERROR_LIMIT, f"error can reach {error}")
        low, high = (times[0].qmin, times[0].qmax) if times else (1, 1)
        least = int(self.capacity.min()) + (low * conductances.qmin >> self.time_bits)
        largest = int(self.capacity.max()) + (high * conductance >> self.time_bits) + 1
        self.require(
            1 <= least and largest < DENOMINATOR_LIMIT,
            f"denominator in [{least}, {largest}], needed 1 to {DENOMINATOR_LIMIT - 1}",
        )
        zeros = 32 - (least + 1).bit_length()
        self.require(
            self.shift <= 62 and self.shift - zeros >= 1,
            f"shift in [{self.shift - zeros}, {self.shift}], needed 1 to 62",
        )

    def _check_formats(self) -> None:
        v, currents, conductances, *times = self.inputs
        y, shape = self.outputs[0], (self.neurons,)
        self.require(
            all(t.shape == shape for t in (v, currents, conductances, y)),
            f"state and sums must have shape {shape}",
        )
        self.require(
            v.dtype == y.dtype
            and v.scales == y.scales
            and -v.qmin == v.qmax == y.qmax == -y.qmin == VIEW_TOP << self.view_bits
            and v.dtype in ("int16", "int32"),
            "the state must be int16 within +-32767, or int32 with 15 bits more",
        )
        self.require(
            currents.dtype == conductances.dtype == "int32" and conductances.qmin >= 0,
            "currents must be int32, conductances too and at least 0",
        )
        bound = v.scales[0] * v.qmax
        self.require(
            np.allclose(currents.scales, np.asarray(conductances.scales) * bound, 1e-9, 0),
            f"the scale of currents must be that of conductances times {bound}",
        )
        self.require(
            len(times) <= 1 and all(t.size == 1 and t.dtype == "uint16" for t in times),
            "dt must be one uint16 value",
        )
        self.require(
            not any(z for t in (*self.inputs, y) for z in t.zero_points), "zero points must be 0"
        )
        self.require(
            self.capacity.shape == shape and self.capacity.dtype == np.uint32,
            f"capacity must be uint32 of shape {shape}",
        )

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return v after all unfolds, exactly; dt has a trailing axis of 1."""
        v, currents, conductances, *times = inputs
        time = times[0] if times else 1
        for _ in range(self.unfolds):
            v = self._unfold(v, currents, conductances, time)
        return (v,)

    def _unfold(self, v: Array, currents: Array, conductances: Array, time: Array) -> Array:
        top = self.outputs[0].qmax
        view = (v + (1 << WIDE_BITS - 1)) >> WIDE_BITS if self.view_bits else v
        current, conductance = self.sums(view)
        current, conductance = currents + current, conductances + conductance
        half = 1 << (self.error_bits - 1)
        error = (current * top - conductance * v + half) >> self.error_bits
        capacity = fixed.like(v, self.capacity.astype(np.int64))
        factor, zeros = fixed.reciprocal(capacity + ((time * conductance) >> self.time_bits) + 1)
        shift = self.shift - zeros
        moved = v + ((error * (time * factor) + (1 << (shift - 1))) >> shift)
        return fixed.saturate(moved, -top, top)

    def real(self, *inputs: Array) -> tuple[Array, ...]:
        """Return v after all unfolds, in real numbers."""
        v, currents, conductances, *times = inputs
        state, unit = self.inputs[0], np.asarray(self.inputs[2].scales)
        bound = state.scales[0] * state.qmax
        step = self.inputs[3].scales[0] if times else 1.0
        capacity = fixed.like(v, self.capacity * 2.0**self.time_bits * unit * step)
        time, scale = times[0] if times else 1.0, fixed.like(v, unit)
        for _ in range(self.unfolds):
            current, conductance = self.real_sums(v * (VIEW_TOP / bound))
            numerator = capacity * v + time * (currents + current * scale * bound)
            v = numerator / (capacity + time * (conductances + conductance * scale))
        return (v,)

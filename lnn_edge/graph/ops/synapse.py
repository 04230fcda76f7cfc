"""Gated synapses of liquid time-constant neurons, only those that exist.

Source: Hasani et al. 2021, algorithm 1 (fused semi-implicit Euler), written without 1 / dt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lnn_edge.errors import QuantizationError
from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.lut import Lut

GATE_ONE = 1 << 15
ARGUMENT_BOUND = 12.0  # sigmoid(12) = 1 - 6.1e-6, below one step of a gate
ARGUMENT = QTensor("argument", (1,), "int16", ARGUMENT_BOUND / 32768)
TABLE_STEP_BITS = 8
TOTAL = 32767
"""All conductances of a neuron together, so that one of them fits int16 and sums times a gate 31
bits."""
SHARE = 1 / (TOTAL * GATE_ONE)  # scale of summed currents and conductances


@dataclass(frozen=True, eq=False)
class RealSynapses:
    """Synapses as floats, matrices (I, N) from input to neuron.

    Attributes:
        exists: Which synapses there are.
        slope: Argument of the gate per step of the input.
        offset: Argument of the gate at an input of 0.
        conductance: Of an open synapse, as a share of all conductances of its neuron.
        driven: Conductance times reversal potential in units of the largest potential.
    """

    exists: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    conductance: np.ndarray
    driven: np.ndarray


@dataclass(frozen=True, eq=False)
class AbstractSynapseOp(AbstractOp):
    """Sums over the synapses k of a neuron, starts[j] <= k < starts[j + 1].

    argument_k = saturate((x[source_k] slope_k + offset_k + 2**(shift - 1)) >> shift)    (int16)
    gate_k     = interpolate(argument_k, table)                         (Q15, fixed.interpolate)
    num_j += driven_k gate_k,   den_j += conductance_k gate_k            (int32, proved)

    Attributes:
        starts: (N + 1,) int32.
        source: (K,) int32 index into x.
        slope: (K,) int16, in steps of the argument per step of x, times 2**shift.
        offset: (K,) int32, likewise.
        conductance: (K,) int16, 0 to TOTAL.
        driven: (K,) int16, no larger in magnitude than the conductance.
        shift: 1 to 30.
        table: uint16, the sigmoid over the argument's range.
    """

    starts: np.ndarray
    source: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    conductance: np.ndarray
    driven: np.ndarray
    shift: int
    table: np.ndarray

    @property
    def macs(self) -> int:
        """Three for each synapse: argument, current, conductance."""
        return 3 * len(self.source)

    def check_synapses(self, view: int, neurons: int) -> None:
        """Check formats and prove arguments and sums.

        Args:
            view: Largest magnitude of what the synapses read.
            neurons: N.
        """
        per_synapse = {"source": np.int32, "slope": np.int16, "offset": np.int32}
        per_synapse |= {"conductance": np.int16, "driven": np.int16}
        count = len(self.source)
        for name, dtype in per_synapse.items():
            array = getattr(self, name)
            self.require(
                array.shape == (count,) and array.dtype == dtype,
                f"{name} must be {np.dtype(dtype)} ({count},), not {array.dtype} {array.shape}",
            )
        self.require(
            self.starts.dtype == np.int32
            and self.starts.shape == (neurons + 1,)
            and self.starts[0] == 0
            and self.starts[-1] == count
            and bool((np.diff(self.starts) >= 0).all()),
            f"starts must be int32 and ascend from 0 to {count} over {neurons} neurons",
        )
        self.require(
            bool(((self.source >= 0) & (self.source < self.inputs[0].size)).all()),
            f"a synapse reads beyond the {self.inputs[0].size} elements of {self.inputs[0].name}",
        )
        self.require(1 <= self.shift <= 30, f"shift must be 1 to 30, not {self.shift}")
        wide = np.abs(self.slope.astype(np.int64)) * view + np.abs(self.offset.astype(np.int64))
        self.require_bound(int(wide.max(initial=0)) + (1 << (self.shift - 1)), "argument")
        driven, conductance = (a.astype(np.int64) for a in (self.driven, self.conductance))
        self.require(
            bool((conductance >= np.abs(driven)).all()),
            "a driven conductance exceeds the conductance: the potentials would have no bound",
        )
        gate = QTensor("gate", (1,), "uint16", 1 / GATE_ONE, 0, 0, GATE_ONE)
        # the table's own proof
        Lut(self.name, (ARGUMENT,), (gate,), self.table, TABLE_STEP_BITS, "sigmoid")

    def totals(self) -> np.ndarray:
        """Return the conductance of each neuron with all its synapses open, (N,) int64."""
        sums = np.concatenate(([0], np.cumsum(self.conductance.astype(np.int64))))
        totals: np.ndarray = sums[self.starts[1:]] - sums[self.starts[:-1]]
        return totals

    def currents(self, x: Array) -> tuple[Array, Array]:
        """Return num and den (..., N) of what the synapses read, (..., I) int64."""
        read = x[..., self.source]
        slope, offset, table = (fixed.like(x, a) for a in self._wide_constants)
        argument = (read * slope + offset + (1 << (self.shift - 1))) >> self.shift
        argument = fixed.saturate(argument, ARGUMENT.qmin, ARGUMENT.qmax)
        gate = fixed.interpolate(argument, table, ARGUMENT.qmin, TABLE_STEP_BITS)
        sums = fixed.dot(gate, self._real_weights)
        neurons = len(self.starts) - 1
        return sums[..., :neurons], sums[..., neurons:]

    @cached_property
    def _wide_constants(self) -> tuple[np.ndarray, ...]:
        return tuple(a.astype(np.int64) for a in (self.slope, self.offset, self.table))

    @cached_property
    def _real_weights(self) -> np.ndarray:
        both = [self._placed(a) for a in (self.driven, self.conductance)]
        return np.concatenate(both).astype(np.float64)

    def _placed(self, values: np.ndarray) -> np.ndarray:
        """Return (N, K): the value of each synapse in the row of its neuron."""
        neurons = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        placed = np.zeros((len(self.starts) - 1, len(values)), np.int64)
        placed[neurons, np.arange(len(values))] = values
        return placed


@dataclass(frozen=True, eq=False)
class Synapses(AbstractSynapseOp):
    """num, den = leak + currents(x): what inputs and leak do to each neuron, once per step.

    Inputs: x (I,) int16. Outputs: num (N,), den (N,) int32 in steps of SHARE, |num| <= den.

    Attributes:
        leak: (2, N) int32, what num and den start from.
    """

    kind: ClassVar[str] = "synapses"
    channel_scales: ClassVar[tuple[str, ...]] = ("x0",)
    leak: np.ndarray

    @classmethod
    def quantize(cls, name: str, x: QTensor, synapses: RealSynapses, leak: np.ndarray) -> Synapses:
        """Quantize real synapses; leak (2, N) are current and conductance in shares."""
        constants = quantize_synapses(synapses, x.magnitude)
        base = np.floor(leak / SHARE + 0.5).astype(np.int32)
        base[0] = base[0].clip(-base[1], base[1])
        neurons = base.shape[1]
        made = _sums(constants, neurons, base[1])
        shut = int(base[1].min())
        num = QTensor(f"{name}_num", (neurons,), "int32", SHARE, 0, -made, made)
        den = QTensor(f"{name}_den", (neurons,), "int32", SHARE, 0, shut, made)
        return cls(name, (x,), (num, den), *constants, base)

    def check(self) -> None:
        """Check formats and prove the sums."""
        x, (num, den) = self.inputs[0], self.outputs
        self.require(x.dtype == "int16" and not any(x.zero_points), "x must be int16 around 0")
        self.require(num.shape == den.shape and len(num.shape) == 1, "num and den must be alike")
        self.require(
            num.dtype == den.dtype == "int32"
            and num.scales == den.scales == (SHARE,)
            and num.zero_points == den.zero_points == (0,),
            f"num and den must be int32 around 0, in steps of {SHARE}",
        )
        self.check_synapses(x.magnitude, num.size)
        self.require(
            self.leak.dtype == np.int32 and self.leak.shape == (2, num.size),
            f"leak must be int32 (2, {num.size}), not {self.leak.dtype} {self.leak.shape}",
        )
        current, conductance = self.leak.astype(np.int64)
        self.require(bool((np.abs(current) <= conductance).all()), "leak exceeds its conductance")
        total = int((self.totals() * GATE_ONE + conductance).max())
        self.require_bound(total, "sum of conductances")
        self.require(
            total <= den.qmax
            and den.qmin <= int(conductance.min())
            and num.qmin <= -total
            and total <= num.qmax,
            f"sums up to {total} leave the ranges of {num.name} and {den.name}",
        )

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return num and den (..., N), exactly."""
        num, den = self.currents(inputs[0])
        current, conductance = (fixed.like(num, a.astype(np.int64)) for a in self.leak)
        return num + current, den + conductance


Constants = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, np.ndarray
]


def quantize_synapses(real: RealSynapses, view: int) -> Constants:
    """Return the fields of AbstractSynapseOp; view is the largest magnitude that they read."""
    neuron, source = np.nonzero(real.exists.T)
    place = source, neuron
    starts = np.concatenate(([0], np.cumsum(real.exists.sum(axis=0))))
    slope, offset = (a[place] / ARGUMENT.scales[0] for a in (real.slope, real.offset))
    shift = _argument_shift(slope, offset, view)
    conductance, driven = (
        np.floor(a[place] * TOTAL + 0.5) for a in (real.conductance, real.driven)
    )
    gate = QTensor("gate", (1,), "uint16", 1 / GATE_ONE, 0, 0, GATE_ONE)
    table = Lut.quantize("table", ARGUMENT, gate, "sigmoid", TABLE_STEP_BITS).table
    return (
        starts.astype(np.int32),
        source.astype(np.int32),
        np.floor(np.ldexp(slope, shift) + 0.5).astype(np.int16),
        np.floor(np.ldexp(offset, shift) + 0.5).astype(np.int32),
        conductance.astype(np.int16),
        driven.clip(-conductance, conductance).astype(np.int16),
        shift,
        table,
    )


def _argument_shift(slope: np.ndarray, offset: np.ndarray, view: int) -> int:
    """Return the largest shift with which slopes fit int16 and arguments 31 bits.

    Raises:
        QuantizationError: There is none: an argument is beyond all use.
    """
    steepest = np.abs(slope).max(initial=0.0)
    widest = (np.abs(slope) * view + np.abs(offset)).max(initial=0.0)
    for shift in range(30, 0, -1):
        wide = np.ldexp(widest, shift) + view + (1 << shift) + 2
        if np.ldexp(steepest, shift) < 32767 and wide < fixed.INT32_LIMIT:
            return shift
    raise QuantizationError(
        f"a synapse's argument can reach {widest * ARGUMENT.scales[0]:.3g}; reduce sigma or scale "
        "the inputs"
    )


def totals_of(constants: Constants, neurons: int) -> np.ndarray:
    """Return the conductance of each neuron with all its synapses open, (N,) int64."""
    starts, conductance = constants[0], constants[4].astype(np.int64)
    owner = np.repeat(np.arange(neurons), np.diff(starts))
    return np.bincount(owner, conductance, neurons).astype(np.int64)


def _sums(constants: Constants, neurons: int, leak: np.ndarray) -> int:
    return int((totals_of(constants, neurons) * GATE_ONE + leak.astype(np.int64)).max())

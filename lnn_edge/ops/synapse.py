"""Conductance synapses of a sparse wiring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge import fixed
from lnn_edge.errors import QuantizationError
from lnn_edge.fixed import INT32_LIMIT, Array
from lnn_edge.ir import AbstractOp, QTensor
from lnn_edge.ops.elementwise import Q15_ONE
from lnn_edge.ops.lut import sigmoid

TABLE_BITS = 8  # 256 intervals over all int16 arguments
INT16_TOP = 32767
# largest conductance of a neuron, in steps: half of int32, and no single weight beyond int16
FULL = (1 << 30) - (1 << 16)


@dataclass(frozen=True)
class Conductances:
    """Real synapses from S sources to N neurons, all (S, N); no synapse where weight is 0.

    Attributes:
        weight: Largest conductance, at least 0.
        current: Weight times reversal potential.
        slope: Of the sigmoid's argument, slope * source + offset.
        offset: Of the argument.
    """

    weight: np.ndarray
    current: np.ndarray
    slope: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class Units:
    """What integers of a cell's synapses mean.

    Attributes:
        conductance: (N,) real value of one step of each neuron's conductances.
        bound: Largest potential; currents are in steps of conductance times bound.
        argument: Real value of one step of the sigmoid's argument.
    """

    conductance: np.ndarray
    bound: float
    argument: float

    @classmethod
    def of(cls, largest: np.ndarray, bound: float, argument: float) -> Units:
        """Return units in which the largest conductances (N,) of the neurons use their range."""
        return cls(np.where(largest > 0, largest, 1.0) / FULL, bound, argument)


@dataclass(frozen=True, eq=False)
class AbstractSynapseOp(AbstractOp):
    """Sums over the synapses that exist, neuron after neuron (compressed sparse rows).

    argument = saturate_int16((source * slope + offset + 2**(slope_bits - 1)) >> slope_bits)
    open     = interpolate(argument, table), a sigmoid in Q15, [0, 32768]
    currents_j += current * open,  conductances_j += weight * open    (int32, proved)

    |current| <= weight holds for every synapse, so |currents| <= conductances for every sum.

    Attributes:
        rows: (N + 1,) int32, synapses of neuron j are rows[j] to rows[j + 1] - 1.
        source: (S,) uint16, where a synapse reads.
        slope: (S,) int16.
        offset: (S,) int32, zero points of the sources folded in.
        weight: (S,) int16, at least 0, in 2**15 steps of the conductance.
        current: (S,) int16, in 2**15 steps of the current.
        table: (257,) uint16, sigmoid at every 2**8th argument.
        slope_bits: Fraction bits of slope and offset.
        argument_scale: Real value of one step of the argument.
    """

    rows: np.ndarray
    source: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    weight: np.ndarray
    current: np.ndarray
    table: np.ndarray
    slope_bits: int
    argument_scale: float

    @property
    def neurons(self) -> int:
        """Number of neurons N."""
        return len(self.rows) - 1

    def check_synapses(self, sources: int, largest: int) -> None:
        """Check the rows, and prove the arguments of sources within +-largest."""
        vectors = (self.source, self.slope, self.offset, self.weight, self.current)
        count = int(self.rows[-1])
        self.require(
            self.rows.dtype == np.int32
            and self.rows[0] == 0
            and np.diff(self.rows).min() >= 0
            and 0 < count
            and all(v.shape == (count,) for v in vectors),
            "rows must ascend from 0 to the number of synapses, at least 1",
        )
        self.require(
            [v.dtype for v in vectors] == [np.uint16, np.int16, np.int32, np.int16, np.int16],
            "needed uint16 source, int32 offset, int16 slope, weight and current",
        )
        self.require(int(self.source.max()) < sources, f"a source is none of {sources}")
        weight = self.weight.astype(np.int64)
        self.require(
            bool((np.abs(self.current.astype(np.int64)) <= weight).all()),
            "a current is above its weight, or a weight below 0",
        )
        self.require(
            self.table.shape == (257,)
            and self.table.dtype == np.uint16
            and int(self.table.max()) <= Q15_ONE,
            f"table must be 257 uint16 values in [0, {Q15_ONE}]",
        )
        self.require(
            1 <= self.slope_bits <= 30 and self.argument_scale > 0,
            f"slope_bits {self.slope_bits}, needed 1 to 30; argument_scale positive",
        )
        product = np.abs(self.slope.astype(np.int64)) * largest
        reach = product + np.abs(self.offset.astype(np.int64)) + (1 << (self.slope_bits - 1))
        self.require_bound(int(reach.max()), "argument")

    @property
    def largest_sums(self) -> np.ndarray:
        """Largest conductance of each neuron, (N,) int64."""
        return largest_sums_of(self.weight, self.rows)

    def sums(self, source: Array) -> tuple[Array, ...]:
        """Return currents and conductances (..., N) of sources (..., M), exactly."""
        read = source[..., fixed.like(source, self.source.astype(np.int64))]
        slope, offset, weight, current, table = (
            fixed.like(source, v.astype(np.int64))
            for v in (self.slope, self.offset, self.weight, self.current, self.table)
        )
        half = 1 << (self.slope_bits - 1)
        argument = (read * slope + offset + half) >> self.slope_bits
        argument = fixed.saturate(argument, -(1 << 15), (1 << 15) - 1)
        openness = fixed.interpolate(argument, table, -(1 << 15), TABLE_BITS)
        return tuple(_row_sums(openness * v, self.rows) for v in (current, weight))

    def real_sums(self, source: Array) -> tuple[Array, ...]:
        """Return the same of real sources in steps, with the sigmoid itself."""
        read = source[..., fixed.like(source, self.source.astype(np.int64))]
        unit = 2.0**-self.slope_bits * self.argument_scale
        slope, offset = (fixed.like(source, v * unit) for v in (self.slope, self.offset))
        weight, current = (
            fixed.like(source, v * float(Q15_ONE)) for v in (self.weight, self.current)
        )
        openness = sigmoid(read * slope + offset)
        return tuple(_row_sums(openness * v, self.rows) for v in (current, weight))


def _row_sums(values: Array, rows: np.ndarray) -> Array:
    """Return the sum of each row's values, (..., S) -> (..., N)."""
    totals = array_namespace(values).cumulative_sum(values, axis=-1, include_initial=True)
    ends = totals[..., fixed.like(values, rows.astype(np.int64))]
    return ends[..., 1:] - ends[..., :-1]


def largest_sums_of(weight: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return each row's conductance with all synapses open, (N,) int64."""
    sums: np.ndarray = _row_sums(weight.astype(np.int64) * Q15_ONE, rows)
    return sums


def nearest(values: np.ndarray) -> np.ndarray:
    """Return the nearest integers, ties up."""
    rounded: np.ndarray = np.floor(values + 0.5).astype(np.int64)
    return rounded


def quantize_synapses(
    name: str, x: QTensor, synapses: Conductances, units: Units
) -> dict[str, Any]:
    """Return the fields of AbstractSynapseOp.

    Raises:
        QuantizationError: There is no synapse, or one is too steep.
    """
    if not synapses.weight.any():
        raise QuantizationError(f"{name}: no synapse has a weight; the neurons hear nothing")
    target, source = np.nonzero(synapses.weight.T)
    columns = (synapses.weight, synapses.current, synapses.slope, synapses.offset)
    weight, current, slope, offset = (v[source, target] for v in columns)
    scale, point = (np.broadcast_to(v, x.shape)[source] for v in (x.scales, x.zero_points))
    per_step = slope * scale / units.argument
    reach = np.abs(per_step) * max(abs(x.qmin), abs(x.qmax))
    # an argument beyond int16 for every source may as well be just beyond
    start = np.clip(offset / units.argument - per_step * point, -reach - 65536, reach + 65536)
    bits = _slope_bits(name, np.abs(per_step).max(), (reach + np.abs(start)).max())
    steps = units.conductance[target] * Q15_ONE
    weights = nearest(weight / steps)
    currents = np.clip(nearest(current / (steps * units.bound)), -weights, weights)
    entries = (np.arange(257) << TABLE_BITS) - (1 << 15)
    counts = np.bincount(target, minlength=synapses.weight.shape[1])
    return {
        "rows": np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
        "source": source.astype(np.uint16),
        "slope": nearest(per_step * 2.0**bits).astype(np.int16),
        "offset": nearest(start * 2.0**bits).astype(np.int32),
        "weight": weights.astype(np.int16),
        "current": currents.astype(np.int16),
        "table": nearest(sigmoid(entries * units.argument) * Q15_ONE).astype(np.uint16),
        "slope_bits": bits,
        "argument_scale": units.argument,
    }


def _slope_bits(name: str, slope: float, argument: float) -> int:
    """Return the most fraction bits with which slopes fit int16 and arguments int32."""
    for bits in range(30, 0, -1):
        if slope * 2**bits < INT16_TOP and (argument + 2) * 2**bits < INT32_LIMIT:
            return bits
    raise QuantizationError(f"{name}: a sigmoid is too steep for integers; reduce its sigma")


@dataclass(frozen=True, eq=False)
class Synapses(AbstractSynapseOp):
    """Currents and conductances of the inputs' synapses, and of the leak; x (I,) -> (N,), (N,).

    currents_j = leak_current_j + sum current * open,  conductances_j = leak_j + sum weight * open

    Both outputs are int32; each neuron has a scale of its own, the scale of its currents is that of
    its conductances times the bound of the neurons' potential.

    Source: Hasani et al. 2021, algorithm 1, the part that does not depend on the state.

    Attributes:
        leak: (N,) int32, conductance of the leak, at least 0.
        leak_current: (N,) int32, leak times resting potential; at most leak.
    """

    kind: ClassVar[str] = "synapses"
    leak: np.ndarray
    leak_current: np.ndarray

    @classmethod
    def quantize(
        cls,
        name: str,
        x: QTensor,
        synapses: Conductances,
        leak: tuple[np.ndarray, np.ndarray],
        units: Units,
    ) -> Synapses:
        """Quantize real constants.

        Args:
            name: C identifier; the outputs are called after it.
            x: Inputs, int8 or int16.
            synapses: From the inputs.
            leak: Conductance and current of the leak, (N,) each.
            units: Of the cell.

        Raises:
            QuantizationError: A slope does not fit.
        """
        fields = quantize_synapses(name, x, synapses, units)
        least = nearest(leak[0] / units.conductance)
        current = np.clip(nearest(leak[1] / (units.conductance * units.bound)), -least, least)
        high = int((least + largest_sums_of(fields["weight"], fields["rows"])).max())
        scales = units.conductance * units.bound, units.conductance
        outputs = tuple(
            QTensor(f"{name}_{what}", least.shape, "int32", tuple(scale.tolist()), 0, low, high)
            for what, scale, low in zip(
                ("current", "conductance"), scales, (-high, int(least.min())), strict=True
            )
        )
        return cls(
            name,
            (x,),
            outputs,
            leak=least.astype(np.int32),
            leak_current=current.astype(np.int32),
            **fields,
        )

    def check(self) -> None:
        """Check formats, prove arguments and sums."""
        (x,), (currents, conductances) = self.inputs, self.outputs
        self.require(x.dtype in ("int8", "int16") and len(x.shape) == 1, "x must be a short vector")
        self.check_synapses(x.size, max(abs(x.qmin), abs(x.qmax)))
        shape = (self.neurons,)
        self.require(
            currents.shape == conductances.shape == shape
            and currents.dtype == conductances.dtype == "int32",
            f"both outputs must be int32 of shape {shape}",
        )
        self.require(
            self.leak.shape == self.leak_current.shape == shape
            and self.leak.dtype == self.leak_current.dtype == np.int32
            and bool((np.abs(self.leak_current.astype(np.int64)) <= self.leak).all()),
            f"leaks must be int32 of shape {shape}, no current above its conductance",
        )
        self.require(
            currents.zero_points == conductances.zero_points == (0,), "zero points must be 0"
        )
        low, high = int(self.leak.min()), int((self.leak + self.largest_sums).max())
        self.require_bound(high, "sum")
        self.require(
            currents.qmin <= -high
            and high <= currents.qmax
            and conductances.qmin <= low
            and high <= conductances.qmax,
            f"currents within +-{high} or conductances in [{low}, {high}] leave their tensor",
        )

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return currents and conductances, exactly."""
        currents, conductances = self.sums(inputs[0])
        leak, leak_current = (
            fixed.like(inputs[0], v.astype(np.int64)) for v in (self.leak, self.leak_current)
        )
        return currents + leak_current, conductances + leak

    def real(self, *inputs: Array) -> tuple[Array, ...]:
        """Return currents and conductances in real numbers."""
        x, tensor = inputs[0], self.inputs[0]
        scale, point = (
            fixed.like(x, np.asarray(v, float)) for v in (tensor.scales, tensor.zero_points)
        )
        triples = zip(
            self.real_sums(x / scale + point),
            (self.leak_current, self.leak),
            self.outputs,
            strict=True,
        )
        return tuple(
            (total + fixed.like(x, leak.astype(float))) * fixed.like(x, np.asarray(y.scales))
            for total, leak, y in triples
        )

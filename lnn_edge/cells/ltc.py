"""Liquid time-constant cell (Hasani et al. 2021) on a wiring, its solver fused into the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.cells.cfc import SIGMOID_BOUND, LoweredCell, Tap, no_tap
from lnn_edge.cells.wirings import Wiring
from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.formats import Ranges, integrating, symmetric
from lnn_edge.ir import AbstractOp, QTensor, State
from lnn_edge.ops.affine import Affine
from lnn_edge.ops.elementwise import Concat
from lnn_edge.ops.synapse import Conductances, Synapses, Units
from lnn_edge.ops.unfold import Unfold

Positivity = Literal["softplus", "clip"]

STATE_ERROR = 1e-3  # of the bound: how far from its target an integer state may stand still
ARGUMENT = SIGMOID_BOUND / 32768

INITIAL = {  # uniform, as in ncps
    "gleak": (0.001, 1.0),
    "vleak": (-0.2, 0.2),
    "cm": (0.4, 0.6),
    "w": (0.001, 1.0),
    "sigma": (3.0, 8.0),
    "mu": (0.3, 0.8),
}


@dataclass(frozen=True)
class LtcConfig:
    """How the cell's equation is solved.

    Attributes:
        unfolds: Steps of the solver in one step of the cell.
        positivity: What makes w, sensory_w, cm and gleak positive: "softplus" (ncps LTC), or
            "clip" (values below zero count as zero; ncps LTCCell after its weight constraints).
        epsilon: Added to the denominator; integers do without, theirs is proved positive.
    """

    unfolds: int = 6
    positivity: Positivity = "softplus"
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        """Refuse what cannot be computed.

        Raises:
            UsageError: There is no unfold, or positivity or epsilon are unknown or negative.
        """
        if self.unfolds < 1:
            raise UsageError(f"LTC unfolds is {self.unfolds}, needed is at least 1")
        if self.positivity not in get_args(Positivity):
            raise UsageError(
                f"LTC positivity is {self.positivity!r}, needed is one of {get_args(Positivity)}"
            )
        if not 0 <= self.epsilon < 1:
            raise UsageError(f"LTC epsilon is {self.epsilon}, needed is 0 to below 1")


@dataclass(frozen=True)
class SynapseTensors:
    """Synapses from S sources to N neurons, all (S, N), their weights 0 where there is none.

    Attributes:
        weight: Largest conductance w, positive.
        current: w * erev, the current that it drives.
        sigma: Slope of its sigmoid.
        mu: Middle of its sigmoid.
    """

    weight: Tensor
    current: Tensor
    sigma: Tensor
    mu: Tensor

    def sums(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return currents and conductances into each neuron, (B, N) each, of sources (B, S)."""
        openness = torch.sigmoid(self.sigma * (source[..., None] - self.mu))
        return (openness * self.current).sum(-2), (openness * self.weight).sum(-2)


@dataclass(frozen=True)
class Terms:
    """The parameters as the equation has them: positive, and masked by the wiring."""

    cm: Tensor  # (N,)
    gleak: Tensor  # (N,)
    sensory: SynapseTensors
    recurrent: SynapseTensors


class Ltc(nn.Module):
    """LTC cell: cm dv/dt = gleak (vleak - v) + sum_i a_i (erev_i - v).

    a_i = w_i sigmoid(sigma_i (u_i - mu_i)), u_i an input x input_w + input_b or a neuron v_i
    N = gleak vleak + sum_i a_i erev_i,  D = gleak + sum_i a_i, over the synapses of the wiring
    v' = (cm U v + dt N) / (cm U + dt D), U = unfolds times in a step
    y = v[:O] output_w + output_b

    This is the published solver multiplied through by dt: with dt = 0 nothing changes.

    Args:
        wiring: Synapses; their signs are the first reversal potentials erev.
        config: How it is solved.

    Source: Hasani et al. 2021, AAAI 35, eq. 1 and algorithm 1; names as in ncps LTCCell.
    """

    cm: Tensor
    gleak: Tensor
    vleak: Tensor

    def __init__(self, wiring: Wiring, config: LtcConfig = LtcConfig()) -> None:
        super().__init__()
        self.config = config
        self.output_size = wiring.output_size
        units, inputs = wiring.units, wiring.input_size
        for name in ("gleak", "vleak", "cm"):
            self.register_parameter(name, _uniform(name, units))
        for prefix, signs in (("", wiring.adjacency), ("sensory_", wiring.sensory)):
            for name in ("sigma", "mu", "w"):
                self.register_parameter(prefix + name, _uniform(name, *signs.shape))
            erev = torch.from_numpy(signs).to(torch.get_default_dtype())
            self.register_parameter(f"{prefix}erev", nn.Parameter(erev))
            self.register_buffer(f"{prefix}sparsity_mask", erev.abs())
        self.input_w, self.input_b = _affine(inputs)
        self.output_w, self.output_b = _affine(wiring.output_size)

    @property
    def units(self) -> int:
        """Number of neurons N."""
        return len(self.cm)

    @property
    def input_size(self) -> int:
        """Number of inputs I."""
        return len(self.input_w)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (B, N)."""
        return self.cm.new_zeros(batch, self.units)

    def step(self, x: Tensor, v: Tensor, dt: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Return output (B, O) and state (B, N) of x (B, I), v (B, N), dt (B, 1) in seconds."""
        return self._step(self.terms(), x, v, dt)

    def forward(self, x: Tensor, dt: Tensor, v: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Scan `step` over time.

        Args:
            x: (B, T, I).
            dt: (B, T, 1) seconds.
            v: (B, N) state before the first step.
            tap: Sees nothing: all integer formats follow from the parameters.

        Returns:
            Outputs of each step (B, T, O), and the last state (B, N).
        """
        terms, outputs = self.terms(), []
        for t in range(x.shape[1]):
            output, v = self._step(terms, x[:, t], v, dt[:, t])
            outputs.append(output)
        return torch.stack(outputs, 1), v

    def lower(
        self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges, prefix: str = ""
    ) -> LoweredCell:
        """Lower one step to integer operators.

        No range is calibrated: v stays within the largest potential, its own format follows from
        the slowest neuron at the shortest dt (formats.integrating). Unlike in the torch module,
        epsilon counts as 0.

        Args:
            parts: int8 or int16 vectors of one dtype that make up x, in the order of x.
            dt: Elapsed time, uint16; or the constant, in seconds, which becomes part of cm.
            ranges: Not read.
            prefix: Goes before the name of every operator and tensor.

        Raises:
            QuantizationError: A constant dt is not positive, a sigmoid is too steep, or all
                potentials are zero.
            GraphError: A denominator can be zero.
        """
        if not isinstance(dt, QTensor):
            dt = float(dt)  # 1 means 1.0
        if isinstance(dt, float) and not (dt > 0 and math.isfinite(dt)):
            raise QuantizationError(f"constant dt is {dt} s, needed is a positive, finite one")
        return _Lowering(self, prefix).lower(parts, dt)

    def terms(self) -> Terms:
        """Return the parameters as the equation has them."""
        return Terms(
            self._positive(self.cm),
            self._positive(self.gleak),
            self._synapses("sensory_"),
            self._synapses(""),
        )

    def _positive(self, value: Tensor) -> Tensor:
        if self.config.positivity == "softplus":
            return functional.softplus(value)
        return value.clamp(min=0)

    def _synapses(self, prefix: str) -> SynapseTensors:
        w, erev, sigma, mu, mask = (
            getattr(self, prefix + name) for name in ("w", "erev", "sigma", "mu", "sparsity_mask")
        )
        weight = self._positive(w) * mask
        return SynapseTensors(weight, weight * erev, sigma, mu)

    def _step(self, terms: Terms, x: Tensor, v: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        currents, conductances = terms.sensory.sums(x * self.input_w + self.input_b)
        currents = currents + terms.gleak * self.vleak
        conductances = conductances + terms.gleak + self.config.epsilon
        capacity = terms.cm * self.config.unfolds
        for _ in range(self.config.unfolds):
            current, conductance = terms.recurrent.sums(v)
            numerator = capacity * v + dt * (currents + current)
            v = numerator / (capacity + dt * (conductances + conductance))
        return v[..., : self.output_size] * self.output_w + self.output_b, v


def _uniform(name: str, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(*INITIAL[name]))


def _affine(size: int) -> tuple[nn.Parameter, nn.Parameter]:
    return nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))


class _Lowering:
    """One cell on its way to integers, its parameters in double precision."""

    def __init__(self, cell: Ltc, prefix: str) -> None:
        self.prefix = prefix
        self.unfolds = cell.config.unfolds
        self.output_w, self.output_b = _array(cell.output_w), _array(cell.output_b)
        terms = cell.terms()
        self.capacity = _array(terms.cm) * self.unfolds
        self.leak = _array(terms.gleak), _array(terms.gleak * cell.vleak)
        factor, offset = _array(cell.input_w)[:, None], _array(cell.input_b)[:, None]
        self.sensory = _conductances(terms.sensory, factor, offset)
        self.recurrent = _conductances(terms.recurrent, 1.0, 0.0)
        self.bound = max(
            float(cell.vleak.detach().abs().max()),
            *(_largest_potential(s) for s in (self.sensory, self.recurrent)),
        )

    def lower(self, parts: tuple[QTensor, ...], dt: QTensor | float) -> LoweredCell:
        """See Ltc.lower."""
        if self.bound == 0:
            raise QuantizationError(
                "LTC: all vleak and erev are zero, so is the state; train first"
            )
        ops: list[AbstractOp] = []
        if len(parts) > 1:
            ops.append(Concat.join(self._name("cell_input"), parts, self._name("x")))
            parts = ops[-1].outputs
        weights = self.sensory.weight.sum(0) + self.recurrent.weight.sum(0)
        units = Units.of(self.leak[0] + weights, self.bound, ARGUMENT)
        given = Synapses.quantize(self._name("sensory"), parts[0], self.sensory, self.leak, units)
        v, v_next = self._state("v", dt), self._state("v_next", dt)
        capacity, times = (
            (self.capacity, (dt,)) if isinstance(dt, QTensor) else (self.capacity / dt, ())
        )
        inputs = (v, *given.outputs, *times)
        solve = Unfold.quantize(
            self._name("unfold"), inputs, v_next, self.recurrent, capacity, self.unfolds, units
        )
        show = self._output(v_next)
        return LoweredCell((*ops, given, solve, show), (State(v, v_next, 0),), show.outputs[0])

    def _name(self, name: str) -> str:
        return self.prefix + name

    def _state(self, name: str, dt: QTensor | float) -> QTensor:
        """Return the state's format; a = C / (C + dt D), slowest with all synapses closed."""
        low = dt if isinstance(dt, float) else float(dt.dequantize(np.int64(dt.qmin))[0])
        total = np.maximum(self.capacity + low * self.leak[0], np.finfo(float).tiny)
        retention = float((self.capacity / total).max())
        error = STATE_ERROR * self.bound
        return integrating(self._name(name), self.capacity.shape, self.bound, retention, error)

    def _output(self, v: QTensor) -> Affine:
        bound = np.abs(self.output_w) * self.bound + np.abs(self.output_b)
        y = symmetric(self._name("y"), bound.shape, "int16", float(bound.max()) or 1.0)
        return Affine.quantize(self._name("output"), v, y, self.output_w, self.output_b)


def _conductances(
    synapses: SynapseTensors, factor: np.ndarray | float, offset: np.ndarray | float
) -> Conductances:
    """Return synapses whose sources are mapped by source * factor + offset, in real numbers."""
    sigma, mu = _array(synapses.sigma), _array(synapses.mu)
    return Conductances(
        _array(synapses.weight), _array(synapses.current), sigma * factor, sigma * (offset - mu)
    )


def _largest_potential(synapses: Conductances) -> float:
    """Return the largest |erev| of synapses that exist."""
    exists = synapses.weight > 0
    return float(np.abs(synapses.current[exists] / synapses.weight[exists]).max(initial=0.0))


def _array(value: Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().double().numpy()
    return array

"""Liquid time-constant cell (Hasani et al. 2021) on a wiring, its solver fused into the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Concat
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.ops.synapse import RealSynapses, Synapses
from lnn_edge.graph.ops.unfold import ONE, Membranes, Unfold
from lnn_edge.graph.scales import Ranges, integrating_dtype, symmetric
from lnn_edge.graph.stage import State
from lnn_edge.nn.cell import LoweredCell, Tap, linear_op, no_tap
from lnn_edge.nn.cells.ltc_compiled import compiled_scan
from lnn_edge.nn.cells.ltc_scan import scan
from lnn_edge.nn.cells.wirings import Wiring

Positivity = Literal["softplus", "clip"]

INITIAL = {  # uniform, as in ncps
    "gleak": (0.001, 1.0),
    "vleak": (-0.2, 0.2),
    "cm": (0.4, 0.6),
    "w": (0.001, 1.0),
    "sigma": (3.0, 8.0),
    "mu": (0.3, 0.8),
}


CROWDED = 2.0**-7


@dataclass(frozen=True)
class LtcConfig:
    """How the cell's equation is solved.

    Attributes:
        unfolds: Steps of the solver in one step of the cell.
        positivity: What makes w, sensory_w, cm and gleak positive: "softplus" (ncps LTC), or
            "clip" (values below zero count as zero; ncps LTCCell after its weight constraints).
            A value below zero still learns, if what it learns is to rise.
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
            raise UsageError(f"LTC unfolds must be at least 1, not {self.unfolds}")
        if self.positivity not in get_args(Positivity):
            raise UsageError(
                f"LTC positivity must be one of {get_args(Positivity)}, not {self.positivity!r}"
            )
        if not 0 <= self.epsilon < 1:
            raise UsageError(f"LTC epsilon must be 0 to below 1, not {self.epsilon}")


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
class Parts:
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
    erev: Tensor
    sensory_erev: Tensor
    sparsity_mask: Tensor
    sensory_sparsity_mask: Tensor

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
        return self._step(self.parts(), x, v, dt)

    def forward(self, x: Tensor, dt: Tensor, v: Tensor, tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Scan `step` over time, see ltc_scan.

        Args:
            x: (B, T, I).
            dt: (B, T, 1) seconds.
            v: (B, N) state before the first step.
            tap: Sees nothing: all integer formats follow from the parameters.

        Returns:
            Outputs of each step (B, T, O), and the last state (B, N).
        """
        parts = self.parts()
        batch, steps = x.shape[:2]
        inputs = (
            (x * self.input_w + self.input_b).transpose(0, 1),
            v,
            dt.transpose(0, 1).expand(steps, batch, 1),
            parts.cm * self.config.unfolds,
        )
        leak = torch.cat((parts.gleak * self.vleak, parts.gleak + self.config.epsilon))
        wires = (
            _wires(parts.sensory, self.sensory_sparsity_mask),
            _wires(parts.recurrent, self.sparsity_mask),
        )
        states = compiled_scan(self.config.unfolds, inputs, leak, *wires)
        if states is None:
            states = scan(self.config.unfolds, inputs, leak, *wires)
        outputs = states[..., : self.output_size] * self.output_w + self.output_b
        return outputs.transpose(0, 1), states[-1]

    def lower(
        self, parts: tuple[QTensor, ...], dt: QTensor | float, ranges: Ranges, prefix: str = ""
    ) -> LoweredCell:
        """Lower one step to integer operators, see lnn_edge.graph.ops.synapse.

        v integrates: int16 or int32 by formats.integrating_dtype, for the smallest dt and every
        synapse shut. It cannot leave the largest |vleak| or |erev|, since v' is a convex
        combination of them and v; so its range is static.

        Args:
            parts: int16 vectors that make up x, in the order of x.
            dt: Elapsed time, uint16; or the constant, in seconds, which folds into cm.
            ranges: Not needed.
            prefix: Goes before the name of every operator and tensor.

        Raises:
            QuantizationError: A constant dt is not positive, v never leaves 0, or an argument of a
                synapse has no format.
        """
        if isinstance(dt, float | int) and not (dt > 0 and math.isfinite(dt)):
            raise QuantizationError(f"a constant dt must be positive and finite, not {dt} s")
        return _Lowering(self, self.parts(), self._bound(), prefix).lower(parts, dt)

    def _bound(self) -> float:
        """Return the largest |v| that can be reached from 0."""
        pairs = ((self.erev, self.sparsity_mask), (self.sensory_erev, self.sensory_sparsity_mask))
        reached = [self.vleak, *(erev * mask for erev, mask in pairs)]
        bound = max(float(value.detach().abs().max()) for value in reached)
        if not bound > 0:
            raise QuantizationError("LTC: vleak and every erev are 0, so v stays 0; train first")
        return bound

    def parts(self) -> Parts:
        """Return the parameters as the equation has them."""
        return Parts(
            self._positive(self.cm),
            self._positive(self.gleak),
            self._synapses("sensory_"),
            self._synapses(""),
        )

    def _positive(self, value: Tensor) -> Tensor:
        if self.config.positivity == "softplus":
            return functional.softplus(value)
        return cast("Tensor", _Clip.apply(value))  # type: ignore[no-untyped-call]

    def _synapses(self, prefix: str) -> SynapseTensors:
        w, erev, sigma, mu, mask = (
            getattr(self, prefix + name) for name in ("w", "erev", "sigma", "mu", "sparsity_mask")
        )
        weight = self._positive(w) * mask
        return SynapseTensors(weight, weight * erev, sigma, mu)

    def _step(self, parts: Parts, x: Tensor, v: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        currents, conductances = parts.sensory.sums(x * self.input_w + self.input_b)
        currents = currents + parts.gleak * self.vleak
        conductances = conductances + parts.gleak + self.config.epsilon
        capacity = parts.cm * self.config.unfolds
        for _ in range(self.config.unfolds):
            current, conductance = parts.recurrent.sums(v)
            numerator = capacity * v + dt * (currents + current)
            v = numerator / (capacity + dt * (conductances + conductance))
        return v[..., : self.output_size] * self.output_w + self.output_b, v


class _Clip(torch.autograd.Function):
    """max(x, 0), whose gradient is that of x, but for one that would lower what is below 0.

    So gradient steps are those of projected gradient descent: nothing is stuck at 0.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Clip."""
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of x."""
        (x,) = ctx.saved_tensors
        return torch.where((x >= 0) | (gradient < 0), gradient, 0)


def _wires(synapses: SynapseTensors, mask: Tensor) -> tuple[Tensor, ...]:
    """Return synapses as ltc_scan.make_wires takes them."""
    offset = -synapses.sigma * synapses.mu
    return mask != 0, synapses.sigma, offset, synapses.current, synapses.weight


def _uniform(name: str, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(*INITIAL[name]))


def _affine(size: int) -> tuple[nn.Parameter, nn.Parameter]:
    return nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))


@dataclass(frozen=True)
class _Lowering:
    """One cell on its way to integers; potentials are in units of `bound`."""

    cell: Ltc
    parts: Parts
    bound: float
    prefix: str

    def lower(self, inputs: tuple[QTensor, ...], dt: QTensor | float) -> LoweredCell:
        """See Ltc.lower."""
        if len(inputs) == 1:
            return self._lower(inputs[0], dt)
        join = Concat.join(self._name("cell_input"), inputs, self._name("x"))
        cell = self._lower(join.outputs[0], dt)
        return LoweredCell((join, *cell.ops), cell.states, cell.output)

    def _name(self, name: str) -> str:
        return self.prefix + name

    def _lower(self, x: QTensor, dt: QTensor | float) -> LoweredCell:
        cell, neurons = self.cell, self.cell.units
        dtype = integrating_dtype(self._slowest(dt))
        one = ONE[dtype]
        v, v_next = (
            QTensor(self._name(name), (neurons,), dtype, self.bound / one, 0, -one, one)
            for name in ("v", "v_next")
        )
        gain = _array(cell.input_w) * np.asarray(x.scales)
        inputs = self._synapses(self.parts.sensory, gain, _array(cell.input_b))
        sensory = Synapses.quantize(self._name("sensory"), x, inputs, self._leak())
        view = np.full(neurons, self.bound / ONE["int16"])
        elapsed, constant = ((dt,), 1.0) if isinstance(dt, QTensor) else ((), float(dt))
        unfold = Unfold.quantize(
            self._name("unfold"),
            (v, *sensory.outputs, *elapsed),
            v_next,
            self._synapses(self.parts.recurrent, view, np.zeros(neurons)),
            Membranes(self._capacity / constant, self._total, cell.config.unfolds),
        )
        ops, output = self._output(v_next)
        return LoweredCell((sensory, unfold, *ops), (State(v, v_next, 0),), output)

    @property
    def _capacity(self) -> np.ndarray:
        return _array(self.parts.cm) * self.cell.config.unfolds

    @property
    def _total(self) -> np.ndarray:
        """Return all conductances of each neuron, (N,), of which its synapses are shares.

        Sums are proved for the largest share of inputs and of neurons, even if they are two
        different neurons: where both are nearly whole, a little more than all leaves room for
        their rounding.
        """
        parts, leak = self.parts, self.parts.gleak + self.cell.config.epsilon
        driven, recurrent = parts.sensory.weight.sum(0) + leak, parts.recurrent.weight.sum(0)
        total: np.ndarray = _array(driven + recurrent)
        largest = [float((_array(part) / total).max()) for part in (driven, recurrent)]
        return total * (1 + CROWDED) if sum(largest) > 2 - CROWDED else total

    def _slowest(self, dt: QTensor | float) -> float:
        """Return the smallest share of its distance that v goes in a step of the solver."""
        least = max(dt.qmin, 1) * dt.scales[0] if isinstance(dt, QTensor) else dt
        leak = _array(self.parts.gleak) * least
        whole = self._capacity + leak
        return float(np.where(whole > 0, leak / np.where(whole > 0, whole, 1.0), 1.0).min())

    def _leak(self) -> np.ndarray:
        """Return current and conductance of the leak, (2, N), as shares."""
        gleak = _array(self.parts.gleak)
        current = gleak * _array(self.cell.vleak) / self.bound
        pair = np.stack((current, gleak + self.cell.config.epsilon))
        shares: np.ndarray = pair / self._total
        return shares

    def _synapses(
        self, synapses: SynapseTensors, gain: np.ndarray, shift: np.ndarray
    ) -> RealSynapses:
        """Return synapses from sources that are shift + gain times an integer, both (S,)."""
        sigma, mu = _array(synapses.sigma), _array(synapses.mu)
        weight = _array(synapses.weight) / self._total
        return RealSynapses(
            weight > 0,
            sigma * gain[:, None],
            sigma * (shift[:, None] - mu),
            weight,
            _array(synapses.current) / self._total / self.bound,
        )

    def _output(self, v: QTensor) -> tuple[tuple[AbstractOp, ...], QTensor]:
        """Return the operators of the output map, and what they make."""
        cell, size = self.cell, self.cell.output_size
        motor = symmetric(self._name("motor"), (size,), "int16", self.bound)
        pick = Slice.quantize(self._name("pick_motor"), v, motor)
        weight, bias = cell.output_w.detach(), cell.output_b.detach()
        if bool((weight == 1).all()) and not bool(bias.any()):
            return (pick,), motor
        bound = float((weight.abs() * self.bound + bias.abs()).max())
        output = symmetric(self._name("output"), (size,), "int16", bound)
        return (
            pick,
            linear_op(self._name("map_output"), (torch.diag(weight), bias), motor, output),
        ), output


def _array(value: Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().double().numpy()
    return array

"""Liquid time-constant cell (Hasani et al. 2021) on a wiring, its solver fused into the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.cells.cfc import Tap, no_tap
from lnn_edge.cells.wirings import Wiring
from lnn_edge.errors import UsageError

Positivity = Literal["softplus", "clip"]

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
class Synapses:
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
    sensory: Synapses
    recurrent: Synapses


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
        return self._step(self.parts(), x, v, dt)

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
        parts, outputs = self.parts(), []
        for t in range(x.shape[1]):
            output, v = self._step(parts, x[:, t], v, dt[:, t])
            outputs.append(output)
        return torch.stack(outputs, 1), v

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
        return value.clamp(min=0)

    def _synapses(self, prefix: str) -> Synapses:
        w, erev, sigma, mu, mask = (
            getattr(self, prefix + name) for name in ("w", "erev", "sigma", "mu", "sparsity_mask")
        )
        weight = self._positive(w) * mask
        return Synapses(weight, weight * erev, sigma, mu)

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


def _uniform(name: str, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(*INITIAL[name]))


def _affine(size: int) -> tuple[nn.Parameter, nn.Parameter]:
    return nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))

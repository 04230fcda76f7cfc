"""LTC cell over a whole sequence, with its gradient by hand: what training runs.

The synapses of an Euler step are one array (S, B, N): source, sequence, neuron. It is made, bent
and summed in few passes, in memory that is used again: how open they were is computed once more on
the way back. Same results as Ltc.step after step, up to the rounding of floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 64  # of a sequence whose input synapses are summed at a time


@dataclass(frozen=True)
class Wires:
    """Synapses from S sources to N neurons, (S, N) each.

    Attributes:
        sigma: Slopes.
        offset: Minus sigma times mu.
        current: Of an open synapse.
        conductance: Of an open synapse.
    """

    sigma: Tensor
    offset: Tensor
    current: Tensor
    conductance: Tensor

    def open(self, source: Tensor, out: Tensor) -> Tensor:
        """Return how open synapses are, (S, B, N), of sources (B, S)."""
        columns = source.t()[..., None]
        torch.addcmul(self.offset[:, None], self.sigma[:, None], columns, out=out)
        return out.sigmoid_()

    def work(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return memory for all synapses of so many sequences, three times."""
        size = (3, len(self.sigma), rows, self.sigma.shape[1])
        first, second, third = self.sigma.new_empty(size)
        return first, second, third

    def sums(self, opened: Tensor, work: Tensor) -> tuple[Tensor, Tensor]:
        """Return current and conductance into each neuron, (B, N) each."""
        current = torch.mul(opened, self.current[:, None], out=work).sum(0)
        return current, torch.mul(opened, self.conductance[:, None], out=work).sum(0)

    def back(
        self,
        source: Tensor,
        into: tuple[Tensor, Tensor],
        totals: Wires,
        memory: tuple[Tensor, Tensor, Tensor],
    ) -> Tensor:
        """Return dL/d(source) (B, S) of dL/d(sums), and add dL/d(wires) to totals."""
        opened, work, back = memory
        self.open(source, opened)
        totals.current.add_(torch.mul(opened, into[0], out=work).sum(1))
        totals.conductance.add_(torch.mul(opened, into[1], out=work).sum(1))
        torch.mul(into[0], self.current[:, None], out=back)
        back.addcmul_(into[1], self.conductance[:, None])
        torch.ops.aten.sigmoid_backward.grad_input(back, opened, grad_input=back)
        totals.offset.add_(back.sum(1))
        totals.sigma.add_(torch.mul(back, source.t()[..., None], out=work).sum(1))
        return torch.mul(back, self.sigma[:, None], out=work).sum(2).t()

    def zeros(self) -> Wires:
        """Return zeros of the same shapes."""
        return Wires(*(torch.zeros_like(v) for v in vars(self).values()))


class InputSums(torch.autograd.Function):
    """Current and conductance from inputs, (M, N) each of inputs (M, S), for all steps at once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *wires: Tensor) -> tuple[Tensor, Tensor]:
        """Sum, some rows at a time."""
        ctx.save_for_backward(x, *wires)
        made, sums = Wires(*wires), []
        memory = made.work(min(ROWS, len(x)))
        for start in range(0, len(x), ROWS):
            rows = x[start : start + ROWS]
            opened, work, _ = (m[:, : len(rows)] for m in memory)
            sums.append(made.sums(made.open(rows, opened), work))
        currents, conductances = zip(*sums, strict=True)
        return torch.cat(currents), torch.cat(conductances)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        """Go back, some rows at a time."""
        x, *wires = ctx.saved_tensors
        made = Wires(*wires)
        totals, into_x = made.zeros(), torch.empty_like(x)
        memory = made.work(min(ROWS, len(x)))
        for start in range(0, len(x), ROWS):
            rows = slice(start, start + ROWS)
            into = grads[0][rows], grads[1][rows]
            opened, work, back = (m[:, : len(into[0])] for m in memory)
            into_x[rows] = made.back(x[rows], into, totals, (opened, work, back))
        return (into_x, *vars(totals).values())


class LtcScan(torch.autograd.Function):
    """Potentials (T, B, N) after each step, and their gradient.

    Inputs: unfolds; currents and conductances from inputs and leak, (T, B, N) each; potentials
    (B, N); dt (T, B, 1); capacity (N,); wires among the neurons, see Wires.
    """

    @staticmethod
    def forward(
        ctx: Any,
        unfolds: int,
        currents: Tensor,
        conductances: Tensor,
        v: Tensor,
        dt: Tensor,
        capacity: Tensor,
        *wires: Tensor,
    ) -> Tensor:
        """Scan."""
        made, kept, results = Wires(*wires), [], []
        opened, work, _ = made.work(len(v))
        for t in range(len(dt)):
            for _ in range(unfolds):
                current, conductance = made.sums(made.open(v, opened), work)
                current += currents[t]
                conductance += conductances[t]
                denominator = torch.addcmul(capacity, dt[t], conductance)
                kept.append((v, current, conductance, denominator))
                v = torch.addcmul(capacity * v, dt[t], current).div_(denominator)
            results.append(v)
        states = torch.stack(results)
        ctx.unfolds, ctx.kept = unfolds, kept
        ctx.save_for_backward(dt, capacity, states, *wires)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Go back in time."""
        dt, capacity, states, *wires = ctx.saved_tensors
        made = Wires(*wires)
        totals = made.zeros()
        into_currents, into_conductances = torch.zeros_like(states), torch.zeros_like(states)
        into_dt, into_capacity = torch.zeros_like(dt), torch.zeros_like(capacity)
        delta, memory = torch.zeros_like(states[0]), made.work(states.shape[1])
        for t in range(len(states) - 1, -1, -1):
            delta, after = delta + grads[0][t], states[t]
            steps = ctx.kept[t * ctx.unfolds :][: ctx.unfolds]
            for v, current, conductance, denominator in reversed(steps):
                into = delta / denominator
                pull = torch.addcmul(current, after, conductance, value=-1)
                into_dt[t] += (into * pull).sum(1, keepdim=True)
                into_capacity += (into * (v - after)).sum(0)
                to_current = into * dt[t]
                to_conductance = -after * to_current
                into_currents[t] += to_current
                into_conductances[t] += to_conductance
                pair = to_current, to_conductance
                back = made.back(v, pair, totals, memory)
                delta = torch.addcmul(back, into, capacity)
                after = v
        grounds = into_currents, into_conductances
        return (None, *grounds, delta, into_dt, into_capacity, *vars(totals).values())


def input_sums(x: Tensor, wires: Wires) -> tuple[Tensor, Tensor]:
    """Return current and conductance from inputs, (M, N) each of inputs (M, S)."""
    pair: tuple[Tensor, Tensor] = InputSums.apply(  # type: ignore[no-untyped-call]
        x, *vars(wires).values()
    )
    return pair


def scan(
    unfolds: int,
    grounds: tuple[Tensor, Tensor],
    v: Tensor,
    dt: Tensor,
    capacity: Tensor,
    wires: Wires,
) -> Tensor:
    """Return the potentials after each step; see LtcScan."""
    states: Tensor = LtcScan.apply(  # type: ignore[no-untyped-call]
        unfolds, *grounds, v, dt, capacity, *vars(wires).values()
    )
    return states

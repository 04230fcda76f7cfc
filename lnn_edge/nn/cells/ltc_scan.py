"""LTC cell over a whole sequence, with its gradient by hand: what training runs.

The synapses of an Euler step are one array: (S, B, N), source, sequence and neuron, where most of
them exist, else (B, K), only those that do. It is made, bent and summed in few passes, in memory
that is used again: how open they were is computed once more on the way back. Currents and
conductances lie side by side, (B, 2N). Same results as Ltc.step after step, up to the rounding of
floats.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 64  # of a sequence whose input synapses are summed at a time
FEW = 0.5  # part of all synapses up to which only those that exist are visited
Memory = tuple[Tensor, Tensor, Tensor]


class Wires(Protocol):
    """Synapses from S sources to N neurons."""

    def work(self, rows: int) -> Memory:
        """Return memory for all synapses of that many sequences, three times."""

    def open(self, source: Tensor, out: Tensor) -> Tensor:
        """Return how open synapses are, of sources (B, S)."""

    def sums(self, opened: Tensor, work: Tensor) -> Tensor:
        """Return currents and conductances into the neurons, (B, 2N)."""

    def back(self, source: Tensor, into: Tensor, memory: Memory) -> Tensor:
        """Return dL/d(source) (B, S) of dL/d(sums), and note dL/d(synapses)."""

    def gradients(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return all that was noted, (S, N) of sigma, offset, current and conductance."""


def make_wires(exists: Tensor, *matrices: Tensor) -> Wires:
    """Return synapses in the form that is faster.

    Args:
        exists: (S, N) which there are.
        matrices: (S, N) sigma, offset (minus sigma times mu), and current and conductance of an
            open synapse.
    """
    few = int(exists.sum()) <= FEW * exists.numel()
    return FewWires(exists, *matrices) if few else AllWires(*matrices)


class AllWires:
    """Wires as matrices."""

    def __init__(self, sigma: Tensor, offset: Tensor, current: Tensor, conductance: Tensor) -> None:
        self.sigma, self.offset = sigma, offset
        self.current, self.conductance = current, conductance
        self.totals = tuple(torch.zeros_like(v) for v in (sigma, offset, current, conductance))

    def work(self, rows: int) -> Memory:
        """Return three (S, B, N)."""
        first, second, third = self.sigma.new_empty(3, len(self.sigma), rows, self.sigma.shape[1])
        return first, second, third

    def open(self, source: Tensor, out: Tensor) -> Tensor:
        """Return sigmoid(sigma source + offset), (S, B, N)."""
        columns = source.t()[..., None]
        torch.addcmul(self.offset[:, None], self.sigma[:, None], columns, out=out)
        return out.sigmoid_()

    def sums(self, opened: Tensor, work: Tensor) -> Tensor:
        """Sum over the sources."""
        current = torch.mul(opened, self.current[:, None], out=work).sum(0)
        conductance = torch.mul(opened, self.conductance[:, None], out=work).sum(0)
        return torch.cat((current, conductance), 1)

    def back(self, source: Tensor, into: Tensor, memory: Memory) -> Tensor:
        """Go back through sums, sigmoid and product."""
        opened, work, back = memory
        sigma, offset, current, conductance = self.totals
        into = into.view(len(into), 2, -1).transpose(0, 1)
        self.open(source, opened)
        current.add_(torch.mul(opened, into[0], out=work).sum(1))
        conductance.add_(torch.mul(opened, into[1], out=work).sum(1))
        torch.mul(into[0], self.current[:, None], out=back)
        back.addcmul_(into[1], self.conductance[:, None])
        torch.ops.aten.sigmoid_backward.grad_input(back, opened, grad_input=back)
        offset.add_(back.sum(1))
        sigma.add_(torch.mul(back, source.t()[..., None], out=work).sum(1))
        return torch.mul(back, self.sigma[:, None], out=work).sum(2).t()

    def gradients(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the totals."""
        sigma, offset, current, conductance = self.totals
        return sigma, offset, current, conductance


class FewWires:
    """Wires as a list of K synapses; sums and gradients of sources are products with matrices."""

    def __init__(
        self, exists: Tensor, sigma: Tensor, offset: Tensor, current: Tensor, conductance: Tensor
    ) -> None:
        self.shape = exists.shape
        self.place = self.source, target = exists.nonzero(as_tuple=True)
        self.sigma, self.offset = sigma[self.place], offset[self.place]
        count, (sources, neurons) = len(target), self.shape
        row = torch.arange(count, device=sigma.device)
        self.into_sums = sigma.new_zeros(count, 2 * neurons)
        self.into_sums[row, target] = current[self.place]
        self.into_sums[row, neurons + target] = conductance[self.place]
        self.into_source = sigma.new_zeros(count, sources)
        self.into_source[row, self.source] = self.sigma
        self.ends = row, target
        self.total_sums = torch.zeros_like(self.into_sums)
        self.total_offset = self.total_sigma = sigma.new_zeros(0, count)  # not summed over B

    def work(self, rows: int) -> Memory:
        """Return three (B, K)."""
        if len(self.total_sigma) < rows:
            self.total_offset, self.total_sigma = self.sigma.new_zeros(2, rows, len(self.sigma))
        first, second, third = self.sigma.new_empty(3, rows, len(self.sigma))
        return first, second, third

    def open(self, source: Tensor, out: Tensor) -> Tensor:
        """Return sigmoid(sigma source + offset), (B, K)."""
        read = source.index_select(1, self.source)
        return torch.addcmul(self.offset, self.sigma, read, out=out).sigmoid_()

    def sums(self, opened: Tensor, work: Tensor) -> Tensor:
        """Sum over the synapses of each neuron."""
        return opened @ self.into_sums

    def back(self, source: Tensor, into: Tensor, memory: Memory) -> Tensor:
        """Go back through sums, sigmoid and product."""
        opened, _, back = memory
        read = source.index_select(1, self.source)
        torch.addcmul(self.offset, self.sigma, read, out=opened).sigmoid_()
        self.total_sums.addmm_(opened.t(), into)
        torch.mm(into, self.into_sums.t(), out=back)
        torch.ops.aten.sigmoid_backward.grad_input(back, opened, grad_input=back)
        self.total_offset[: len(back)].add_(back)
        self.total_sigma[: len(back)].addcmul_(back, read)
        return back @ self.into_source

    def gradients(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Put the totals into matrices."""
        row, target = self.ends
        neurons = self.shape[1]
        current, conductance = (self.total_sums[row, target + start] for start in (0, neurons))
        return (
            self._placed(self.total_sigma.sum(0)),
            self._placed(self.total_offset.sum(0)),
            self._placed(current),
            self._placed(conductance),
        )

    def _placed(self, values: Tensor) -> Tensor:
        matrix = values.new_zeros(self.shape)
        matrix[self.place] = values
        return matrix


class InputSums(torch.autograd.Function):
    """Currents and conductances from inputs, (M, 2N) of (M, S), for all steps at once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, exists: Tensor, *matrices: Tensor) -> Tensor:
        """Sum, some rows at a time."""
        ctx.save_for_backward(x, exists, *matrices)
        made, sums = make_wires(exists, *matrices), []
        for rows in x.split(ROWS):  # type: ignore[no-untyped-call]
            opened, work, _ = made.work(len(rows))
            sums.append(made.sums(made.open(rows, opened), work))
        return torch.cat(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Go back, some rows at a time."""
        x, exists, *matrices = ctx.saved_tensors
        made, into_x = make_wires(exists, *matrices), torch.empty_like(x)
        grad = grads[0].contiguous()
        memory = made.work(min(ROWS, len(x)))
        for start in range(0, len(x), ROWS):
            rows = slice(start, start + ROWS)
            if len(x[rows]) < ROWS <= len(x):
                memory = made.work(len(x[rows]))
            into_x[rows] = made.back(x[rows], grad[rows], memory)
        return (into_x, None, *made.gradients())


class LtcScan(torch.autograd.Function):
    """Potentials (T, B, N) after each step, and their gradient.

    Inputs: unfolds; currents and conductances from inputs and leak, (T, B, 2N); potentials (B, N);
    dt (T, B, 1); capacity (N,); wires among the neurons, see make_wires.
    """

    @staticmethod
    def forward(
        ctx: Any,
        unfolds: int,
        ground: Tensor,
        v: Tensor,
        dt: Tensor,
        capacity: Tensor,
        exists: Tensor,
        *matrices: Tensor,
    ) -> Tensor:
        """Scan."""
        made, kept, results = make_wires(exists, *matrices), [], []
        opened, work, _ = made.work(len(v))
        size = v.shape[1]
        for base, elapsed in zip(ground.unbind(0), dt.unbind(0), strict=True):
            for _ in range(unfolds):
                both = made.sums(made.open(v, opened), work).add_(base)
                denominator = torch.addcmul(capacity, elapsed, both[:, size:])
                kept.append((v, both, denominator))
                v = (capacity * v).addcmul_(elapsed, both[:, :size]).div_(denominator)
            results.append(v)
        states = torch.stack(results)
        ctx.unfolds, ctx.kept = unfolds, kept
        ctx.save_for_backward(dt, capacity, states, exists, *matrices)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Go back in time."""
        dt, capacity, states, exists, *matrices = ctx.saved_tensors
        made = make_wires(exists, *matrices)
        steps, batch, size = states.shape
        into_ground = states.new_zeros(steps, batch, 2 * size)
        into_dt = torch.zeros_like(dt)
        into_capacity, delta = torch.zeros_like(states[0]), torch.zeros_like(states[0])
        into_both, memory = states.new_empty(batch, 2 * size), made.work(batch)
        into_current, into_conductance = into_both[:, :size], into_both[:, size:]
        has_dt = ctx.needs_input_grad[3]
        for t in range(steps - 1, -1, -1):
            delta, after, elapsed, ground = delta + grads[0][t], states[t], dt[t], into_ground[t]
            for v, both, denominator in reversed(ctx.kept[t * ctx.unfolds :][: ctx.unfolds]):
                into = delta / denominator
                if has_dt:
                    pull = torch.addcmul(both[:, :size], after, both[:, size:], value=-1)
                    into_dt[t] += (into * pull).sum(1, keepdim=True)
                into_capacity.addcmul_(into, v - after)
                torch.mul(into, elapsed, out=into_current)
                torch.mul(into_current, after, out=into_conductance).neg_()
                ground.add_(into_both)
                delta = made.back(v, into_both, memory).addcmul(into, capacity)
                after = v
        return (
            None,
            into_ground,
            delta,
            into_dt,
            into_capacity.sum(0),
            None,
            *made.gradients(),
        )


def scan(
    unfolds: int,
    inputs: tuple[Tensor, ...],
    leak: Tensor,
    sensory: tuple[Tensor, ...],
    recurrent: tuple[Tensor, ...],
) -> Tensor:
    """Return the potentials (T, B, N) after each step; for the arguments see ltc_compiled."""
    x, v, dt, capacity = inputs
    sums = InputSums.apply(x.flatten(0, 1), *sensory) + leak  # type: ignore[no-untyped-call]
    ground = sums.reshape(*x.shape[:2], -1)
    states: Tensor = LtcScan.apply(  # type: ignore[no-untyped-call]
        unfolds, ground, v, dt, capacity, *recurrent
    )
    return states

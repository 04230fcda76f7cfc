"""LTC cell over a whole sequence in C, see ltc_scan.c; only synapses that exist are visited."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lnn_edge.nn.cells.compiled_scan import Scans, find_scans, total_of

Wires = tuple[Tensor, ...]
"""Which synapses exist, and their sigma, offset, current and conductance, (S, N) each."""


class CompiledLtcScan(torch.autograd.Function):
    """Potentials (T, B, N) after each step.

    Inputs: wiring, see _wiring; inputs of synapses (T, B, I); potentials (B, N); dt (T, B, 1);
    capacity (N,); current and conductance of the leak (2N,); factors of all synapses (K, 4), those
    from inputs first.
    """

    @staticmethod
    def forward(
        ctx: Any, scans: Scans, sizes: tuple[int, ...], wiring: Tensor, *inputs: Tensor
    ) -> Tensor:
        """Scan."""
        given = tuple(v.contiguous() for v in inputs)
        states = given[0].new_empty(*inputs[0].shape[:2], inputs[1].shape[1])
        kept = scans.kept("ltc", sizes, states)
        scans.run("ltc_forward", sizes, (*given, states, kept), wiring)
        ctx.scans, ctx.sizes = scans, sizes
        ctx.save_for_backward(wiring, *given, states, kept)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Go back in time."""
        wiring, *given, states, kept = ctx.saved_tensors
        scans, sizes = ctx.scans, ctx.sizes
        x, v, dt, capacity, leak, factors = given
        into = tuple(torch.empty_like(a) for a in (x, v, dt))
        lengths = [len(capacity), len(leak), factors.numel()]
        into_cell = x.new_empty(scans.blocks(sizes[0]), sum(lengths))
        arrays = (*given, states, kept, grads[0].contiguous(), *into, into_cell)
        scans.run("ltc_backward", sizes, arrays, wiring)
        *rest, into_factors = torch.split(total_of(into_cell), lengths)
        return (None, None, None, *into, *rest, into_factors.view_as(factors))


def compiled_scan(
    unfolds: int,
    inputs: tuple[Tensor, ...],
    leak: Tensor,
    sensory: Wires,
    recurrent: Wires,
) -> Tensor | None:
    """Return the potentials (T, B, N) after each step; None where torch must scan.

    Args:
        unfolds: Steps of the solver in one of the cell.
        inputs: x (T, B, I), v (B, N), dt (T, B, 1), capacity (N,).
        leak: Current and conductance (2N,).
        sensory: Synapses from the inputs.
        recurrent: Synapses among the neurons.
    """
    x, v, *_ = inputs
    scans = find_scans("LTC", len(v), *inputs, leak, *sensory[1:], *recurrent[1:])
    if scans is None:
        return None
    ends, factors = zip(*(_listed(*wires) for wires in (sensory, recurrent)), strict=True)
    counts = tuple(len(f) for f in factors)
    sizes = (len(v), len(x), x.shape[2], v.shape[1], unfolds, *counts)
    states: Tensor = CompiledLtcScan.apply(  # type: ignore[no-untyped-call]
        scans, sizes, torch.cat(ends), *inputs, leak, torch.cat(factors)
    )
    return states


def _listed(exists: Tensor, *matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the synapses of each neuron begin (N + 1,) and their sources, and factors."""
    target, source = exists.t().nonzero(as_tuple=True)
    begin = torch.cat((target.new_zeros(1), exists.sum(0).cumsum(0)))
    return torch.cat((begin, source)), torch.stack([m[source, target] for m in matrices], 1)

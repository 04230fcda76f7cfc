"""CfC cell over a whole sequence in C, see cfc_scan.c; the same function as cfc_scan.CfcScan."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lnn_edge.nn.cells.cfc_scan import Form
from lnn_edge.nn.cells.compiled_scan import Scans, find_scans, refuse, total_of

_MODES = ("default", "no_gate", "pure")
_ACTIVATIONS = ("tanh", "relu", "silu", "gelu")
_MOST_LAYERS = 16


class CompiledCfcScan(torch.autograd.Function):
    """States (T, B, H); inputs as CfcScan has them, the weights in one vector."""

    @staticmethod
    def forward(
        ctx: Any,
        scans: Scans,
        sizes: tuple[int, ...],
        scale: Tensor,
        x: Tensor,
        h: Tensor,
        dt: Tensor,
        weights: Tensor,
    ) -> Tensor:
        """Scan."""
        given = tuple(v.contiguous() for v in (x, h, dt, scale, weights))
        states = x.new_empty(*x.shape[:2], h.shape[1])
        kept = scans.kept("cfc", sizes, x)
        scans.run("cfc_forward", sizes, (*given, states, kept))
        ctx.scans, ctx.sizes = scans, sizes
        ctx.save_for_backward(*given, kept)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Go back in time."""
        x, h, dt, scale, weights, kept = ctx.saved_tensors
        scans, sizes = ctx.scans, ctx.sizes
        into_x = torch.empty_like(x) if ctx.needs_input_grad[3] else None
        into_h, into_dt = torch.empty_like(h), torch.empty_like(dt)
        into = weights.new_zeros(scans.blocks(sizes[0]), len(weights))
        given = (x, h, dt, scale, weights, None, kept, grads[0].contiguous())
        scans.run("cfc_backward", sizes, (*given, into_x, into_h, into_dt, into))
        return (None, None, None, into_x, into_h, into_dt, total_of(into))


def compiled_scan(
    form: Form, x: Tensor, h: Tensor, dt: Tensor, weights: tuple[Tensor, ...]
) -> Tensor | None:
    """Return the states (T, B, H), see CfcScan; None where torch must scan."""
    extra = 2 if form.mode == "pure" else 0
    layers = (len(weights) - 3 - extra) // 2
    scans = find_scans("CfC", x.shape[1], x, h, dt, *weights)
    activation = "tanh" if form.activation == "lecun_tanh" else form.activation
    if scans is None:
        return None
    if activation not in _ACTIVATIONS or layers > _MOST_LAYERS:
        refuse("CfC", f"{layers} layers of {activation}")
        return None
    sizes = (
        *(x.shape[1], x.shape[0], x.shape[2], h.shape[1]),
        *(layers, len(weights[0]) if layers else 0),
        *(_MODES.index(form.mode), _ACTIVATIONS.index(activation)),
        *(int(form.head == "tanh"), int(form.is_folded)),
    )
    states: Tensor = CompiledCfcScan.apply(  # type: ignore[no-untyped-call]
        scans,
        sizes,
        x.new_tensor([form.head_scale]),
        *(x, h, dt),
        torch.cat([w.reshape(-1) for w in weights]),
    )
    return states

"""CfC cell over a whole sequence, with its gradient by hand: what training runs.

One step is a few products and functions on preallocated arrays; what does not wait for the state
(the input's part, the factors of the gradient, the gradients of all weights) is done for all steps
at once. Same results as Cfc.step after step, up to the rounding of floats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

LECUN_IN, LECUN_OUT = 0.666, 1.7159


@dataclass(frozen=True)
class Scale:
    """out f(in x): f is tanh for lecun_tanh, whose factors go into the weights around it."""

    inside: float = 1.0
    outside: float = 1.0


SCALES = {"lecun_tanh": Scale(LECUN_IN, LECUN_OUT)}


def _tanh_into(pre: Tensor, out: Tensor) -> Tensor:
    return torch.tanh(pre, out=out)


def _relu_into(pre: Tensor, out: Tensor) -> Tensor:
    return torch.clamp(pre, min=0, out=out)


def _silu_into(pre: Tensor, out: Tensor) -> Tensor:
    return out.copy_(functional.silu(pre))


def _gelu_into(pre: Tensor, out: Tensor) -> Tensor:
    return out.copy_(functional.gelu(pre))


_INTO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "lecun_tanh": _tanh_into,
    "tanh": _tanh_into,
    "relu": _relu_into,
    "silu": _silu_into,
    "gelu": _gelu_into,
}


def scale_of(activation: str) -> Scale:
    """Return the factors around an activation's bare function."""
    return SCALES.get(activation, Scale())


def _slopes(activation: str, pres: list[Tensor]) -> list[Tensor]:
    """Return f' over all steps where it does not follow from f alone; else nothing."""
    if activation == "silu":
        return [s + p * s * (1 - s) for p in pres for s in (torch.sigmoid(p),)]
    if activation == "gelu":
        return [
            0.5 * (1 + torch.erf(p * 0.7071067811865476))
            + p * torch.exp(-0.5 * p * p) * 0.3989422804014327
            for p in pres
        ]
    return []


@dataclass(frozen=True)
class Form:
    """What the scan must know of a cell beside its weights.

    Attributes:
        mode: "default", "no_gate" or "pure".
        activation: Of the backbone.
        head: "tanh" (with lecun_tanh's factor outside) or "linear".
        head_scale: Factor outside the head's function.
        is_folded: Whether a constant dt is in the weights: three heads instead of four.
    """

    mode: str
    activation: str
    head: str
    head_scale: float
    is_folded: bool


Step = Callable[[int, Tensor], None]
"""Writes one step's part of the gradient, of its index and dL/dh (B, H)."""
Finish = Callable[[Tensor], list[Tensor]]
"""Gives dL/d(dt), and in mode pure dL/d(|w_tau|, A), of dL/dh (T, B, H)."""


CHUNK = 32  # steps whose gradients stay in the cache until they are summed


class CfcScan(torch.autograd.Function):
    """States (T, B, H) of a CfC cell, and their gradient.

    Inputs: x (T, B, I); h (B, H); dt (T, B, 1), its sign in it; of the first product the parts of
    input (·, I) and state (·, H) and the bias; weight and bias of every product after it, the
    heads' last; in mode pure |w_tau| and A, (H,) each.
    """

    @staticmethod
    def forward(ctx: Any, form: Form, x: Tensor, h: Tensor, dt: Tensor, *weights: Tensor) -> Tensor:
        """Scan."""
        drive, recur, bias, *more = weights
        products = more[:-2] if form.mode == "pure" else more
        steps, batch = x.shape[:2]
        states = x.new_empty(steps, batch, h.shape[1])
        first = torch.addmm(bias, x.flatten(0, 1), drive.t()).view(steps, batch, -1)
        pres = [first, *(b.repeat(steps, batch, 1) for b in products[1::2])]
        has_pres = form.activation in ("silu", "gelu")  # other slopes follow from the values
        acts = [torch.empty_like(p) for p in pres[:-1]] if has_pres else pres[:-1]
        sums, values = ([v.unbind(0) for v in group] for group in (pres, acts))
        turned = [w.t() for w in (recur, *products[::2])]
        bare, combine, extra = _INTO[form.activation], _COMBINE[form.mode], more[len(products) :]
        times, results = dt.unbind(0), states.unbind(0)
        state = h
        for t in range(steps):
            sums[0][t].addmm_(state, turned[0])
            for layer, value in enumerate(values):
                sums[layer + 1][t].addmm_(bare(sums[layer][t], value[t]), turned[layer + 1])
            state = combine(form, sums[-1][t], times[t], results[t], *extra)
        ctx.form, ctx.layers = form, len(acts)
        kept = (*pres[:-1], *acts) if has_pres else acts
        ctx.save_for_backward(x, h, dt, states, pres[-1], *weights, *kept)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Go back in time chunk by chunk, and add each chunk to the gradients of the weights."""
        form: Form = ctx.form
        x, h, dt, states, heads, *rest = ctx.saved_tensors
        count = 3 + 2 * ctx.layers + (2 if form.mode == "pure" else 0)
        weights, kept = rest[:count], rest[count:]
        pres, acts = kept[: ctx.layers], kept[len(kept) - ctx.layers :]
        delta = torch.empty_like(states).copy_(grads[0])
        before = torch.cat((h[None], states[:-1]))
        into = [torch.zeros_like(w) for w in weights]
        into_x, into_dt = torch.empty_like(x), torch.empty_like(dt)
        for start in range((len(x) - 1) // CHUNK * CHUNK, -1, -CHUNK):
            span = slice(start, start + CHUNK)
            back, extras = _back_in_time(
                form,
                weights,
                heads[span],
                dt[span],
                pres and [p[span] for p in pres],
                [a[span] for a in acts],
                delta,
                start,
            )
            _add_products(into, [x[span], before[span], *(a[span] for a in acts)], back)
            torch.matmul(back[0], weights[0], out=into_x[span])
            into_dt[span] = extras[0]
            for total, extra in zip(into[count - len(extras) + 1 :], extras[1:], strict=True):
                total += extra
        into_h = back[0][0] @ weights[1]
        return (None, into_x, into_h, into_dt, *into)


def _back_in_time(
    form: Form,
    weights: list[Tensor],
    heads: Tensor,
    dt: Tensor,
    pres: list[Tensor],
    acts: list[Tensor],
    delta: Tensor,
    start: int,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return dL/d(every product) of a chunk of steps, and dL/d(dt, |w_tau|, A).

    delta (T, B, H) is dL/dh and gets what the chunk adds to the steps before.
    """
    products = weights[3::2] if form.mode != "pure" else weights[3:-2:2]
    extra = weights[-2:] if form.mode == "pure" else []
    back = [torch.empty_like(value) for value in (*acts, heads)]
    rows = [value.unbind(0) for value in back]
    slopes = _slopes(form.activation, pres)
    steep = [value.unbind(0) for value in (slopes or acts)]
    bend = _BACK["known" if slopes else form.activation]
    into_heads, finish = _HEADS_BACK[form.mode](form, heads, dt, back[-1], *extra)
    deltas, recur = delta[max(start - 1, 0) : start + len(heads)].unbind(0), weights[1]
    offset = min(start, 1)
    for t in range(len(heads) - 1, -1, -1):
        into_heads(t, deltas[t + offset])
        for layer in range(len(acts) - 1, -1, -1):
            torch.mm(rows[layer + 1][t], products[layer], out=rows[layer][t])
            bend(rows[layer][t], steep[layer][t])
        if t + offset:
            deltas[t + offset - 1].addmm_(rows[0][t], recur)
    return back, finish(delta[start : start + len(heads)])


def _add_products(into: list[Tensor], inputs: list[Tensor], back: list[Tensor]) -> None:
    """Add a chunk to the gradients of weights and biases, in the order of CfcScan's inputs."""
    flat_in, flat = [v.flatten(0, 1) for v in inputs], [v.flatten(0, 1) for v in back]
    turned = [v.t() for v in flat]
    into[0].addmm_(turned[0], flat_in[0])
    into[1].addmm_(turned[0], flat_in[1])
    into[2] += flat[0].sum(0)
    for layer in range(1, len(back)):
        into[2 * layer + 1].addmm_(turned[layer], flat_in[layer + 1])
        into[2 * layer + 2] += flat[layer].sum(0)


def _gated(form: Form, head: Tensor, dt: Tensor, out: Tensor) -> Tensor:
    """Write h' of the heads' products (B, 3H or 4H); their functions' values replace them."""
    size = out.shape[1]
    if form.head == "tanh":
        head[:, : 2 * size].tanh_()
    f1, f2, gate = head[:, :size], head[:, size : 2 * size], head[:, -size:]
    if not form.is_folded:
        torch.addcmul(gate, head[:, 2 * size : 3 * size], dt, out=gate)
    gate.sigmoid_()
    if form.mode == "no_gate":
        torch.addcmul(f1, f2, gate, out=out)
    else:
        torch.lerp(f1, f2, gate, out=out)
    return out if form.head_scale == 1 else out.mul_(form.head_scale)


def _gated_back(form: Form, heads: Tensor, dt: Tensor, back: Tensor) -> tuple[Step, Finish]:
    """Return what turns dL/dh of a step into dL/d(heads' products), and what ends it."""
    size = heads.shape[2] // (3 if form.is_folded else 4)
    f1, f2, gate = heads[..., :size], heads[..., size : 2 * size], heads[..., -size:]
    lever = (f2 if form.mode == "no_gate" else f2 - f1).unbind(0)
    gates, both, times = gate.unbind(0), heads[..., : 2 * size].unbind(0), dt.unbind(0)
    to_f1, to_f2 = (back[..., a : a + size].unbind(0) for a in (0, size))
    to_both, to_gate = back[..., : 2 * size].unbind(0), back[..., -size:].unbind(0)
    to_time = back[..., 2 * size : 3 * size].unbind(0)
    has_tanh, scale = form.head == "tanh", form.head_scale

    def step(t: int, delta: Tensor) -> None:
        if scale != 1:
            delta = delta * scale
        torch.mul(delta, gates[t], out=to_f2[t])
        if form.mode == "no_gate":
            to_f1[t].copy_(delta)
        else:
            torch.sub(delta, to_f2[t], out=to_f1[t])
        if has_tanh:
            _tanh_back(to_both[t], both[t])
        torch.mul(delta, lever[t], out=to_gate[t])
        _sigmoid_back(to_gate[t], gates[t])
        if not form.is_folded:
            torch.mul(to_gate[t], times[t], out=to_time[t])

    def finish(_delta: Tensor) -> list[Tensor]:
        if form.is_folded:
            return [torch.zeros_like(dt)]
        time_a = heads[..., 2 * size : 3 * size]
        return [(back[..., -size:] * time_a).sum(-1, keepdim=True)]

    return step, finish


def _pure(
    form: Form, head: Tensor, dt: Tensor, out: Tensor, rate: Tensor, amplitude: Tensor
) -> Tensor:
    decay = torch.exp(-dt * (rate + head.abs()))
    return torch.sub(amplitude, amplitude * decay * head, out=out)


def _pure_back(
    form: Form, heads: Tensor, dt: Tensor, back: Tensor, rate: Tensor, amplitude: Tensor
) -> tuple[Step, Finish]:
    """Return what turns dL/dh of a step into dL/df, and what ends it."""
    size = heads.abs()
    decay = torch.exp(-dt * (rate + size))
    driven = amplitude * decay
    slopes, rows = (driven * (dt * size - 1)).unbind(0), back.unbind(0)

    def step(t: int, delta: Tensor) -> None:
        torch.mul(delta, slopes[t], out=rows[t])

    def finish(delta: Tensor) -> list[Tensor]:
        pulled = delta * driven * heads
        to_dt = (pulled * (rate + size)).sum(-1, keepdim=True)
        to_rate = (pulled * dt).sum((0, 1))
        return [to_dt, to_rate, (delta * (1 - decay * heads)).sum((0, 1))]

    return step, finish


def _tanh_back(delta: Tensor, value: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(delta, value, grad_input=delta)


def _sigmoid_back(delta: Tensor, value: Tensor) -> None:
    torch.ops.aten.sigmoid_backward.grad_input(delta, value, grad_input=delta)


def _relu_back(delta: Tensor, value: Tensor) -> None:
    torch.ops.aten.threshold_backward.grad_input(delta, value, 0, grad_input=delta)


_BACK: dict[str, Callable[[Tensor, Tensor], object]] = {
    "tanh": _tanh_back,
    "lecun_tanh": _tanh_back,
    "relu": _relu_back,
    "known": Tensor.mul_,
}
"""Multiply dL/df in place by f', of f's value or of f' itself."""
_COMBINE: dict[str, Callable[..., Tensor]] = {
    "default": _gated,
    "no_gate": _gated,
    "pure": _pure,
}
_HEADS_BACK: dict[str, Callable[..., tuple[Step, Finish]]] = {
    "default": _gated_back,
    "no_gate": _gated_back,
    "pure": _pure_back,
}


def scan(form: Form, *inputs: Tensor) -> Tensor:
    """Return the states (T, B, H); for the inputs see CfcScan."""
    states: Tensor = CfcScan.apply(form, *inputs)  # type: ignore[no-untyped-call]
    return states

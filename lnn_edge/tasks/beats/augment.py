"""Random changes of a batch that beats may undergo in the field."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lnn_edge.tasks.beats.augmentation import BeatAugmentation


def augment_beats(inputs: Mapping[str, Tensor], plan: BeatAugmentation) -> dict[str, Tensor]:
    """Return changed inputs of a batch of beats.

    Args:
        inputs: window (B, T, frames, leads), rhythm (B, T, F), shape (B, T, S * leads),
            dt (B, T, 1).
        plan: How much.
    """
    window, rhythm, shape, dt = (inputs[n] for n in ("window", "rhythm", "shape", "dt"))
    batch, steps = window.shape[:2]
    lead = _lead_faults(batch, window.shape[-1], plan).to(window.device)
    window = _distort(window, plan) * lead[:, None, None]
    drift = torch.randn_like(shape[:, :1])
    shape = shape + plan.beat_shape * torch.randn_like(shape) + plan.shape * drift
    lost = (lead == 0).repeat(1, shape.shape[-1] // lead.shape[-1])[:, None]
    shape = torch.where(lost, 0.0, shape)
    rhythm = rhythm + plan.rhythm * torch.randn_like(rhythm)
    dt = dt * torch.exp(plan.dt * torch.randn_like(dt[:, :1]))
    if plan.shuffle_dt:
        dt = dt[:, torch.randperm(steps)]
    return {"window": window, "rhythm": rhythm, "shape": shape, "dt": dt}


def _distort(window: Tensor, plan: BeatAugmentation) -> Tensor:
    """Change gain, drift, noise and alignment."""
    batch, steps, frames, leads = window.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device=window.device)

    def uniform() -> Tensor:
        return torch.rand(batch, 1, 1, leads, device=window.device)

    gain = plan.amplitude * normal(batch, 1, 1, leads)
    gain = gain + plan.beat_amplitude * normal(batch, steps, 1, leads)
    time = torch.linspace(-1, 1, frames, device=window.device)[:, None]
    drift = plan.slope * uniform() * normal(batch, steps, 1, leads) * time
    noise = plan.noise * uniform() * torch.randn_like(window)
    shift = int(torch.randint(-plan.shift, plan.shift + 1, ()))
    return torch.roll(window * torch.exp(gain) + noise + drift, shift, 2)


def _lead_faults(batch: int, leads: int, plan: BeatAugmentation) -> Tensor:
    """Return a factor (B, leads): 0 for a lost second lead, -1 for one upside down."""
    factor = torch.ones(batch, leads)
    if leads == 1:
        return factor
    factor[torch.rand(batch) < plan.drop_second, 1] = 0
    factor[torch.rand(batch) < plan.flip_second, 1] *= -1
    return factor

"""Random changes of a batch that a recording may undergo in the field."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lnn_edge.tasks.beats.front_end import CHANNELS
from lnn_edge.train.recipe import (
    Augmentation,
    BeatAugmentation,
    LeadAugmentation,
    MotionAugmentation,
)


def augment(inputs: Mapping[str, Tensor], plan: Augmentation) -> dict[str, Tensor]:
    """Return changed inputs of a batch; randomness comes from torch's current generator."""
    if isinstance(plan, MotionAugmentation):
        return {"window": augment_motion(inputs["window"], plan)}
    if isinstance(plan, LeadAugmentation):
        return {"window": augment_leads(inputs["window"], plan)}
    return augment_beats(inputs, plan)


def augment_leads(window: Tensor, plan: LeadAugmentation) -> Tensor:
    """Return changed magnitudes (B, T, columns, leads, bins)."""
    batch, steps, columns, leads, bins = window.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device=window.device)

    def kept(probability: float, *shape: int) -> Tensor:
        return (torch.rand(*shape, device=window.device) >= probability).to(window)

    gain = torch.exp(plan.amplitude * normal(batch, 1, 1, leads, 1))
    gain = gain * torch.exp(plan.bins * normal(batch, 1, 1, 1, bins))
    gain = gain * kept(plan.drop_lead, batch, 1, 1, leads, 1)
    return window * gain * kept(plan.drop_column, batch, steps, columns, 1, 1)


def augment_motion(window: Tensor, plan: MotionAugmentation) -> Tensor:
    """Return changed windows (B, T, frames, C); each three channels are one sensor's axes."""
    batch, channels = window.shape[0], window.shape[-1]

    def normal() -> Tensor:
        return torch.randn(batch, 1, 1, channels, device=window.device)

    turn = _rotations(batch, plan.rotation).to(window.device)
    sensors = window.reshape(*window.shape[:-1], -1, 3)
    window = torch.einsum("btfsc,bdc->btfsd", sensors, turn).flatten(-2)
    window = window * torch.exp(plan.amplitude * normal()) + plan.offset * normal()
    return window + plan.noise * torch.randn_like(window)


def _rotations(batch: int, deviation: float) -> Tensor:
    """Return matrices (B, 3, 3) about random axes (Rodrigues' formula)."""
    x, y, z = functional.normalize(torch.randn(batch, 3), dim=1).T
    zero = torch.zeros(batch)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(batch, 3, 3)
    angle = deviation * torch.randn(batch, 1, 1)
    return torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * cross @ cross


def augment_beats(inputs: Mapping[str, Tensor], plan: BeatAugmentation) -> dict[str, Tensor]:
    """Return changed inputs of a batch of beats.

    Args:
        inputs: window (B, T, frames, leads), rhythm (B, T, F), shape (B, T, S * leads),
            dt (B, T, 1).
        plan: How much.
    """
    window, rhythm, shape, dt = (inputs[n] for n in ("window", "rhythm", "shape", "dt"))
    batch, steps = window.shape[:2]
    lead = _lead_faults(batch, plan).to(window.device)
    window = _distort(window, plan) * lead[:, None, None]
    drift = torch.randn_like(shape[:, :1])
    shape = shape + plan.beat_shape * torch.randn_like(shape) + plan.shape * drift
    lost = (lead == 0).repeat(1, shape.shape[-1] // CHANNELS)[:, None]
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


def _lead_faults(batch: int, plan: BeatAugmentation) -> Tensor:
    """Return a factor (B, leads): 0 for a lost second lead, -1 for one upside down."""
    factor = torch.ones(batch, CHANNELS)
    factor[torch.rand(batch) < plan.drop_second, 1] = 0
    factor[torch.rand(batch) < plan.flip_second, 1] *= -1
    return factor

"""Random changes of a batch that motion may undergo in the field."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from lnn_edge.tasks.activity.augmentation import MotionAugmentation
from lnn_edge.tasks.activity.spectrum import MEAN, SPECTRUM


def augment_motion(window: Tensor, plan: MotionAugmentation) -> Tensor:
    """Return changed windows (B, T, frames, C).

    Each three channels are the axes of one sensor and turn together; what is left over stays.
    """
    batch, channels = window.shape[0], window.shape[-1]

    def normal() -> Tensor:
        return torch.randn(batch, 1, 1, channels, device=window.device)

    window = _turned(window, plan.rotation)
    window = window * torch.exp(plan.amplitude * normal()) + plan.offset * normal()
    return window + plan.noise * torch.randn_like(window)


def augment_measured(inputs: Mapping[str, Tensor], plan: MotionAugmentation) -> dict[str, Tensor]:
    """Return changed means (B, T, C) and logarithmic spectra (B, T, C, bands)."""
    mean, spectrum = inputs[MEAN], inputs[SPECTRUM]
    mean = _turned(mean, plan.rotation) + plan.offset * torch.randn_like(mean[:, :1])
    spectrum = spectrum + plan.amplitude * torch.randn_like(spectrum[:, :1])
    measured = {MEAN: mean, SPECTRUM: spectrum}
    return {name: x + plan.noise * torch.randn_like(x) for name, x in measured.items()}


def _turned(x: Tensor, deviation: float) -> Tensor:
    """Return x (B, ..., C), each three channels turned, all of a sequence alike."""
    turning = x.shape[-1] - x.shape[-1] % 3
    turn = _rotations(len(x), deviation).to(x.device)
    if not turning:
        return x
    sensors = x[..., :turning].reshape(*x.shape[:-1], -1, 3)
    turned = torch.einsum("b...sc,bdc->b...sd", sensors, turn).flatten(-2)
    return torch.cat((turned, x[..., turning:]), -1)


def _rotations(batch: int, deviation: float) -> Tensor:
    """Return matrices (B, 3, 3) about random axes (Rodrigues' formula)."""
    x, y, z = functional.normalize(torch.randn(batch, 3), dim=1).T
    zero = torch.zeros(batch)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(batch, 3, 3)
    angle = deviation * torch.randn(batch, 1, 1)
    return torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * cross @ cross

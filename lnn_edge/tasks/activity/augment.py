"""Random changes of a batch that motion may undergo in the field."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lnn_edge.tasks.activity.augmentation import MotionAugmentation


def augment_motion(window: Tensor, plan: MotionAugmentation) -> Tensor:
    """Return changed windows (B, T, frames, C).

    Each three channels are the axes of one sensor and turn together; what is left over stays.
    """
    batch, channels = window.shape[0], window.shape[-1]
    turning = channels - channels % 3

    def normal() -> Tensor:
        return torch.randn(batch, 1, 1, channels, device=window.device)

    turn = _rotations(batch, plan.rotation).to(window.device)
    if turning:
        sensors = window[..., :turning].reshape(*window.shape[:-1], -1, 3)
        turned = torch.einsum("btfsc,bdc->btfsd", sensors, turn).flatten(-2)
        window = torch.cat((turned, window[..., turning:]), -1)
    window = window * torch.exp(plan.amplitude * normal()) + plan.offset * normal()
    return window + plan.noise * torch.randn_like(window)


def _rotations(batch: int, deviation: float) -> Tensor:
    """Return matrices (B, 3, 3) about random axes (Rodrigues' formula)."""
    x, y, z = functional.normalize(torch.randn(batch, 3), dim=1).T
    zero = torch.zeros(batch)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(batch, 3, 3)
    angle = deviation * torch.randn(batch, 1, 1)
    return torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * cross @ cross

"""Random changes of a batch that the spectra of an ECG may undergo in the field."""

from __future__ import annotations

import torch
from torch import Tensor

from lnn_edge.tasks.findings.augmentation import LeadAugmentation


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

"""What training minimises: one class per decision, or several findings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lnn_edge.train.recipe import Training

FUSION = 3  # class F
Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(labels: Tensor, plan: Training) -> Loss:
    """Return the loss of a batch of scores (B, T, C) and labels.

    Args:
        labels: Of all examples, to weight what is rare: classes (D,), or findings (D, C) in 1, 0
            and -1 for unknown.
        plan: Weights and smoothing.
    """
    return (_findings_loss if labels.ndim == 2 else _class_loss)(labels, plan)


def unlearned(labels: Tensor, plan: Training, count: int) -> tuple[int, ...]:
    """Return the classes, of so many, that no label tells of, so that their scores mean nothing.

    Args:
        labels: See make_loss.
        plan: Whether fusion beats count as another class.
        count: Of classes.
    """
    if labels.ndim == 2:
        told = (labels > 0).any(0)
    else:
        merged = _merge_fusion(labels) if plan.merge_fusion else labels
        told = torch.bincount(merged[merged >= 0], minlength=count) > 0
    return tuple(index for index in range(count) if not told[index])


def _findings_loss(labels: Tensor, plan: Training) -> Loss:
    """Binary cross entropy of the known findings; one present weighs (absent / present) ** power.

    A finding that nobody has looked for in any record is learned as absent, so that its score is
    low and nobody takes it for a discovery.
    """
    nobody_looked = (labels < 0).all(0)
    present, absent = ((labels == v).sum(0).clamp(min=1) for v in (1, 0))
    weight = (absent / present) ** plan.class_weight_power

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        scores, labels = scores[:, plan.burn_in :], labels[:, plan.burn_in :]
        known = ((labels >= 0) | nobody_looked).float()
        target = labels.clamp(min=0) * (1 - plan.label_smoothing) + plan.label_smoothing / 2
        each = functional.binary_cross_entropy_with_logits(
            scores, target.float(), pos_weight=weight, reduction="none"
        )
        return (each * known).sum() / known.sum().clamp(min=1)

    return loss


def _class_loss(labels: Tensor, plan: Training) -> Loss:
    """Cross entropy, classes weighted; a label below 0 has no weight."""
    weights = _class_weights(labels, plan)

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        scores, labels = scores[:, plan.burn_in :], labels[:, plan.burn_in :]
        target = labels.clamp(min=0)
        weight = weights[target] * (labels >= 0)
        target = _merge_fusion(target) if plan.merge_fusion else target
        each = functional.cross_entropy(
            scores.flatten(0, 1),
            target.flatten(),
            reduction="none",
            label_smoothing=plan.label_smoothing,
        )
        return (each * weight.flatten()).sum() / weight.sum()

    return loss


def _merge_fusion(labels: Tensor) -> Tensor:
    return torch.where(labels == FUSION, torch.zeros_like(labels), labels)


def _class_weights(labels: Tensor, plan: Training) -> Tensor:
    counts = torch.bincount(labels.clamp(min=0), minlength=FUSION + 1).clamp(min=1)
    weights = (counts.sum() / counts) ** plan.class_weight_power
    if plan.merge_fusion:
        weights[FUSION] = weights[0]
    weights[FUSION] *= plan.fusion_weight
    return weights / weights[0]

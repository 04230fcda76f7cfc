"""What training minimises: one class per decision, several findings, or errors of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.files.names import shown
from lnn_edge.train.recipe import Training

Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(labels: Tensor, plan: Training, classes: Sequence[str]) -> Loss:
    """Return the loss of a batch of scores (B, T, C) and labels.

    Args:
        labels: Of all examples, to weight what is rare: classes (D,); findings (D, C) in 1, 0
            and -1 for unknown; or floats (D, values) of mean 0 and variance 1, NaN for unknown.
        plan: Weights and smoothing.
        classes: Names.

    Raises:
        UsageError: The plan names something else than a class.
    """
    each = _loss_of_each(labels, plan, classes)
    if not plan.record_share:
        return each
    whole = _loss_of_each(labels, replace(plan, burn_in=0), classes)

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        mean = scores[:, plan.burn_in :].mean(1, keepdim=True)
        share = plan.record_share
        return (1 - share) * each(scores, labels) + share * whole(mean, labels[:, -1:])

    return loss


def _loss_of_each(labels: Tensor, plan: Training, classes: Sequence[str]) -> Loss:
    """Return the loss of every decision by itself; see make_loss."""
    if labels.is_floating_point():
        return partial(_squared_error, burn_in=plan.burn_in)
    if labels.ndim == 2:
        return _findings_loss(labels, plan)
    return _class_loss(labels, plan, classes)


def unlearned(labels: Tensor, plan: Training, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes without any label, so that their scores mean nothing.

    Args:
        labels: See make_loss.
        plan: Which classes count as another one.
        classes: Names.
    """
    if labels.is_floating_point():
        return ()
    if labels.ndim == 2:
        told = (labels > 0).any(0)
    else:
        merged = counted_as(plan, classes)[labels[labels >= 0]]
        told = torch.bincount(merged, minlength=len(classes)) > 0
    return tuple(name for name, is_told in zip(classes, told.tolist(), strict=True) if not is_told)


def counted_as(plan: Training, classes: Sequence[str]) -> Tensor:
    """Return as what each class counts, (C,).

    Args:
        plan: Which classes count as another one.
        classes: Names.

    Raises:
        UsageError: The plan names something else than a class.
    """
    indices = torch.arange(len(classes))
    for name, other in plan.merge.items():
        indices[_index("merge", name, classes)] = _index("merge", other, classes)
    return indices


def _squared_error(values: Tensor, labels: Tensor, burn_in: int) -> Tensor:
    """Return the mean squared error of values (B, T, V) whose label is known."""
    values, labels = values[:, burn_in:], labels[:, burn_in:]
    known = torch.isfinite(labels)
    error = (values - torch.where(known, labels, 0)) * known
    return error.square().sum() / known.sum().clamp(min=1)


def _findings_loss(labels: Tensor, plan: Training) -> Loss:
    """Binary cross entropy of the known findings; one present weighs (absent / present) ** power.

    A label missing from every record is trained as absent, so that its score stays low and is
    not taken for a finding.
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


def _class_loss(labels: Tensor, plan: Training, classes: Sequence[str]) -> Loss:
    """Cross entropy, classes weighted; a label below 0 has no weight."""
    weights = _class_weights(labels, plan, classes)
    merged = counted_as(plan, classes).to(labels.device)

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        scores, labels = scores[:, plan.burn_in :], labels[:, plan.burn_in :]
        target = labels.clamp(min=0)
        weight = weights[target] * (labels >= 0)
        each = functional.cross_entropy(
            scores.flatten(0, 1),
            merged[target].flatten(),
            reduction="none",
            label_smoothing=plan.label_smoothing,
        )
        return (each * weight.flatten()).sum() / weight.sum()

    return loss


def _class_weights(labels: Tensor, plan: Training, classes: Sequence[str]) -> Tensor:
    """Return the weight of each class, (C,); that of the first is 1."""
    counts = torch.bincount(labels.clamp(min=0), minlength=len(classes)).clamp(min=1)
    weights = (counts.sum() / counts) ** plan.class_weight_power
    weights = weights[counted_as(plan, classes).to(weights.device)]
    for name, factor in plan.class_weights.items():
        weights[_index("class_weights", name, classes)] *= factor
    return weights / weights[0]


def _index(key: str, name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise UsageError(
            f"[training] {key} names {shown(name)}; the classes of the network are "
            f"{', '.join(classes)}"
        )
    return classes.index(name)

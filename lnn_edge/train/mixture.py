"""Batches of a data set, with sequences of another one beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lnn_edge.errors import UsageError
from lnn_edge.graph.sim.predict import LabelledSignal
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.train.batches import Examples, make_examples
from lnn_edge.train.checkpoint import Preparing, prepare
from lnn_edge.train.losses import counted_as
from lnn_edge.train.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Mixture:
    """What batches are drawn from.

    Attributes:
        own: The recipe's data set; it alone says how many batches an epoch has.
        recipe: How many sequences of each, and how long.
        beside: The other data set; None where there is none.
        chances: With which a label of the other one is kept, by class.
    """

    own: Examples
    recipe: Recipe
    beside: Examples | None = None
    chances: Tensor | None = None

    @property
    def labels(self) -> Tensor:
        """Of all that is learned from."""
        others = () if self.beside is None else (self.beside.labels,)
        return torch.cat((self.own.labels, *others))

    def batch(self) -> tuple[dict[str, Tensor], Tensor]:
        """Return inputs (B, T, *shape) in real units and labels, those beside at the end."""
        plan = self.recipe.training
        inputs, labels = self.own.batch(plan.batch_size, plan.sequence_length, plan.splice)
        if self.beside is None:
            return inputs, labels
        count = self.recipe.beside.sequences
        others, told = self.beside.batch(count, plan.sequence_length, plan.splice)
        if self.chances is not None:
            is_kept = torch.rand(told.shape) < self.chances[told.clamp(min=0)]
            told = torch.where(is_kept, told, -1)
        joined = {name: torch.cat((x, others[name])) for name, x in inputs.items()}
        return joined, torch.cat((labels, told))


def make_mixture(
    network: AbstractStreamNet,
    own: Examples,
    beside: Sequence[LabelledSignal],
    recipe: Recipe,
    folder: Path,
    preparing: Preparing = prepare,
) -> Mixture:
    """Prepare what is learned beside a data set.

    Args:
        network: What is trained.
        own: The recipe's data set, as it is learned.
        beside: Recordings of the other one; none where the recipe names none.
        recipe: What to train and how.
        folder: For nameless files; see make_examples.
        preparing: How recordings are prepared.

    Raises:
        DataError: As make_examples has it.
        UsageError: The labels are no class a decision.
    """
    if not recipe.beside.dataset:
        return Mixture(own, recipe)
    if own.labels.is_floating_point() or own.labels.ndim > 1:
        raise UsageError("[beside] needs a task with one class a decision; leave it out")
    others = make_examples(network, beside, recipe, folder, preparing)
    as_which = counted_as(recipe.training, network.classes)
    chances = _chances(as_which, own.labels, others.labels) if recipe.beside.thin else None
    return Mixture(own, recipe, others, chances)


def _chances(as_which: Tensor, wanted: Tensor, given: Tensor) -> Tensor:
    """Return with which chance to keep a label, so that classes are as frequent as wanted.

    Args:
        as_which: As what each class counts, (C,).
        wanted: Labels; below 0 there is none.
        given: Labels that are thinned.
    """
    size = len(as_which)
    wanted, given = (torch.bincount(as_which[x[x >= 0]], minlength=size) for x in (wanted, given))
    ratio = torch.where(given > 0, wanted / given.clamp(min=1), 0.0)
    return (ratio / ratio.max())[as_which]

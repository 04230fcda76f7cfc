"""Batches of a data set, with sequences of another one beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lnn_edge.errors import UsageError
from lnn_edge.graph.sim.predict import LabelledSignal
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.augmentation import Prepared
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
        moves: By how much scores of the other one move in the loss, (C,); None is by nothing.
        copies: Changed copies of both, as the augmentation has them.
    """

    own: Examples
    recipe: Recipe
    beside: Examples | None = None
    moves: Tensor | None = None
    copies: tuple[Examples, ...] = ()

    @property
    def labels(self) -> Tensor:
        """Of all that is learned from."""
        others = () if self.beside is None else (self.beside.labels,)
        return torch.cat((self.own.labels, *others))

    def batch(self) -> tuple[dict[str, Tensor], Tensor]:
        """Return inputs (B, T, *shape) in real units and labels: own, those beside, copies."""
        plan = self.recipe.training
        counts = [(self.own, plan.batch_size)]
        if self.beside is not None:
            counts.append((self.beside, self.recipe.beside.sequences))
        if self.copies:
            sizes = torch.tensor([float(len(c.labels)) for c in self.copies])
            picks = torch.multinomial(sizes, self.recipe.augmentation.copies, replacement=True)
            drawn = torch.bincount(picks, minlength=len(self.copies)).tolist()
            counts += [(c, n) for c, n in zip(self.copies, drawn, strict=True) if n]
        parts = [each.batch(n, plan.sequence_length, plan.splice) for each, n in counts]
        inputs = {name: torch.cat([x[name] for x, _ in parts]) for name in parts[0][0]}
        return inputs, torch.cat([labels for _, labels in parts])

    def moved(self, scores: Tensor) -> Tensor:
        """Return a batch's scores (B, T, C) as the loss has them: those beside moved."""
        if self.moves is None:
            return scores
        first = self.recipe.training.batch_size
        last = first + self.recipe.beside.sequences
        is_beside = torch.zeros(len(scores), 1, 1, device=scores.device)
        is_beside[first:last] = 1
        return scores + is_beside * self.moves.to(scores.device)


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
        return Mixture(own, recipe, copies=_copies(network, (own,), recipe))
    if own.labels.is_floating_point() or own.labels.ndim > 1:
        raise UsageError("[beside] needs a task with one class a decision; leave it out")
    others = make_examples(network, beside, recipe, folder, preparing)
    as_which = counted_as(recipe.training, network.classes)
    moves = _moves(as_which, own.labels, others.labels) if recipe.beside.as_frequent else None
    return Mixture(own, recipe, others, moves, _copies(network, (own, others), recipe))


def _copies(
    network: AbstractStreamNet, examples: Sequence[Examples], recipe: Recipe
) -> tuple[Examples, ...]:
    """Return changed copies of examples, drawn by torch's current generator; () if there are none.

    What a copy does not change stays where it is.
    """
    plan = recipe.augmentation
    if not plan.copies:
        return ()
    made = []
    for each in examples:
        seed = int(torch.randint(1 << 31, ()))
        found = plan.copied(network.front, network.classes, _recordings(each), seed)
        values = {name: np.concatenate([x[name] for _, x in found]) for name in found[0][1]}
        labels = torch.from_numpy(np.concatenate([labels for labels, _ in found]))
        made.append(replace(each, labels=labels, values={**each.values, **values}))
    return tuple(made)


def _recordings(examples: Examples) -> list[Prepared]:
    rows = [slice(s, s + n) for s, n in zip(examples.starts, examples.counts, strict=True)]
    labels, values = examples.labels.numpy(), examples.values
    return [(labels[r], {name: x[r] for name, x in values.items()}) for r in rows]


def _moves(as_which: Tensor, wanted: Tensor, given: Tensor) -> Tensor:
    """Return log(share of a class in given / its share in wanted), (C,); 0 where one is 0.

    Args:
        as_which: As what each class counts, (C,).
        wanted: Labels; below 0 there is none.
        given: Those whose scores move.
    """
    size = len(as_which)
    wanted, given = (torch.bincount(as_which[x[x >= 0]], minlength=size) for x in (wanted, given))
    ratio = (given / given.sum()) / (wanted / wanted.sum())
    is_told = (wanted > 0) & (given > 0)
    return torch.where(is_told, torch.log(torch.where(is_told, ratio, 1.0)), 0.0)

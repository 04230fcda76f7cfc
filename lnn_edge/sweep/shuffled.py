"""The ablation that deals elapsed times out at random among the beats of a recording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.beats.augmentation import BeatAugmentation
from lnn_edge.train.recipe import Recipe


def is_shuffled(recipe: Recipe) -> bool:
    """Return whether a recipe asks for it, which only beats have."""
    plan = recipe.augmentation
    return isinstance(plan, BeatAugmentation) and plan.shuffle_dt


def shuffled(sequence: DecisionSequence, seed: int) -> DecisionSequence:
    """Return a sequence with its elapsed times in random order."""
    order = np.random.default_rng(seed).permutation(len(sequence.labels))
    return replace(sequence, values={**sequence.values, "dt": sequence.values["dt"][order]})

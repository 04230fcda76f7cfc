"""How many decisions a network makes alike in floating point and in integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lnn_edge.sweep.outcome import Outcome
from lnn_edge.tasks.task import Task


def alike(outcomes: Sequence[Outcome], task: Task) -> float | None:
    """Return the part of all decisions, labelled or not, that both forms make alike.

    A decision is the class of the largest score; of a task of several findings it is each of them
    by itself, present where its score is above 0.

    Args:
        outcomes: Of the folds, none of them failed.
        task: What is decided.

    Returns:
        None of a task of values, and where integers were not judged.
    """
    if task.is_value or any("integer" not in o.forms for o in outcomes):
        return None
    same = [
        _decided(a, task) == _decided(b, task)
        for o in outcomes
        for a, b in zip(o.forms["float"].scores, o.forms["integer"].scores, strict=True)
    ]
    return float(np.concatenate(same).mean())


def _decided(scores: np.ndarray, task: Task) -> np.ndarray:
    made: np.ndarray = scores > 0 if task.is_multi_label else scores.argmax(-1)
    return made

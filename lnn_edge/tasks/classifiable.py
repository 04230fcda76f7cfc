"""Decisions on a signal that has no flaws, judged apart from those that are unclassifiable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.graph.flaws import FLAWS
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.judge import Figures, judge
from lnn_edge.tasks.task import Task


@dataclass(frozen=True)
class Classifiable:
    """What a model decides where it finds nothing wrong with the signal.

    Attributes:
        decisions: All of them, also those without a label.
        unclassifiable: Those on a signal with flaws.
        flaws: How many have each flaw; one may have several.
        figures: Of the others; None where none of them has a label.
    """

    decisions: int
    unclassifiable: int
    flaws: dict[str, int]
    figures: Figures | None

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        return {
            "decisions": self.decisions,
            "unclassifiable": self.unclassifiable,
            "flaws": self.flaws,
            "figures": None if self.figures is None else self.figures.to_json(),
        }


def judge_classifiable(
    graph: QGraph,
    sequences: Sequence[DecisionSequence],
    scores: Sequence[np.ndarray],
    task: Task | None,
    resamples: int = 0,
) -> Classifiable | None:
    """Count what is unclassifiable and judge the rest; None of a model that tells no flaws.

    Args:
        graph: The model.
        sequences: Its decisions with labels, and with the output vector among their values.
        scores: (D, classes) of each.
        task: Of the model.
        resamples: Bootstrap samples of patients for the intervals.
    """
    output, name = graph.flaws, graph.output.name
    if output is None:
        return None
    bits = [s.values[name][:, output.first] for s in sequences]
    kept = [_part(s, b == 0) for s, b in zip(sequences, bits, strict=True)]
    left = [v[b == 0] for v, b in zip(scores, bits, strict=True)]
    try:
        figures = judge(kept, left, graph.classes, task, resamples)
    except DataError:  # none of them has a label
        figures = None
    told = np.concatenate(bits) if bits else np.zeros(0, np.int64)
    flaws = {flaw: int(np.count_nonzero(told & bit)) for flaw, bit in FLAWS.items()}
    return Classifiable(len(told), int(np.count_nonzero(told)), flaws, figures)


def _part(sequence: DecisionSequence, chosen: np.ndarray) -> DecisionSequence:
    """Return some of the decisions, without values."""
    stamps, labels = sequence.stamps[chosen], sequence.labels[chosen]
    return replace(sequence, stamps=stamps, labels=labels, values={})

"""A trained model's outputs in floating point, beside those of its integer model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.sim.predict import DecisionSequence, run_records
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.beats.find_beats import with_detector
from lnn_edge.tasks.judged_output import judged_output
from lnn_edge.tasks.predicted import Predicted
from lnn_edge.train.checkpoint import float_scores, load_trained


class FloatModel:
    """A trained model beside the integer one that was made of it.

    Args:
        folder: Of the trained model.
        graph: The integer model as it runs, with its detector where it has one.

    Raises:
        DataError: The folder holds no trained model, or one of other classes.
    """

    def __init__(self, folder: Path, graph: QGraph) -> None:
        self._folder, self._network = folder, load_trained(folder).network
        self._front = _front(self._network, graph)
        if self._network.classes != judged_output(graph).classes:
            raise DataError(_differ(folder))

    def beside(self, predicted: Predicted) -> Predicted:
        """Return what the integer model predicted, with the scores of this one beside.

        Raises:
            DataError: The two decide at different frames.
        """
        record = (predicted.fed.record.samples, predicted.fed.events)
        return replace(predicted, floats=self.scores(record, predicted.stamps))

    def scores(self, record: tuple[np.ndarray, np.ndarray], stamps: np.ndarray) -> np.ndarray:
        """Return the scores (D, classes) of one recording, float64.

        Args:
            record: Frames (N, C) int16 and stamps of events (M,).
            stamps: Frames at which the integer model decides.

        Raises:
            DataError: This one decides at others.
        """
        (scores,) = self.first_scores([record], [stamps])
        if len(scores) != len(stamps):
            raise DataError(_differ(self._folder))
        return scores

    def first_scores(
        self, records: Sequence[tuple[np.ndarray, np.ndarray]], stamps: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Return the same of starts of recordings, on which it decides at the first stamps.

        Raises:
            DataError: It decides at others.
        """
        runs = run_records(self._front, records, tuple(t.name for t in self._network.inputs))
        return [self._scores(*run, wanted) for run, wanted in zip(runs, stamps, strict=True)]

    def _scores(self, found: np.ndarray, values: Values, stamps: np.ndarray) -> np.ndarray:
        if not np.array_equal(found, stamps[: len(found)]):
            raise DataError(_differ(self._folder))
        if not len(found):
            return np.zeros((0, len(self._network.classes)))
        labels = np.full(len(found), -1, np.int64)
        (scores,) = float_scores(self._network, [DecisionSequence("", "", found, labels, values)])
        return scores


def _differ(folder: Path) -> str:
    return f"{folder} and the integer model in it differ; quantize it again"


def _front(network: AbstractStreamNet, graph: QGraph) -> Pipeline:
    """Return the network's front end; where the model finds beats itself, with its detector."""
    trigger = graph.deciding_trigger
    is_told = network.front.takes_events
    if is_told and isinstance(trigger, EventTrigger) and trigger.source is not None:
        assert graph.contract.sample_rate_hz is not None  # since it found them
        return with_detector(network.front, int(graph.contract.sample_rate_hz))
    return network.front

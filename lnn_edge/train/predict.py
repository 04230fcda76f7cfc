"""A trained model's outputs in floating point, beside those of its integer model."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import DecisionSequence, run_records
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.beats.find_beats import with_detector
from lnn_edge.tasks.predicted import Predicted
from lnn_edge.train.checkpoint import float_scores, load_trained


def with_floats(predicted: Predicted, folder: Path, graph: QGraph) -> Predicted:
    """Return what was predicted with the scores of the float model beside.

    Args:
        predicted: By the integer model.
        folder: Of the trained model.
        graph: The integer model as it ran, with its detector where it had one.

    Raises:
        DataError: The folder holds no trained model, or another one than the graph's.
    """
    network = _network(folder)
    names = tuple(t.name for t in network.inputs)
    fed = predicted.fed
    record = (fed.record.samples, fed.events)
    (run,) = run_records(_front(network, graph), [record], names)
    stamps, values = run
    if network.classes != graph.classes or not np.array_equal(stamps, predicted.stamps):
        raise DataError(f"{folder} and the integer model in it differ; quantize it again")
    labels = np.full(len(stamps), -1, np.int64)
    sequence = DecisionSequence(predicted.name, predicted.name, stamps, labels, values)
    (scores,) = float_scores(network, [sequence])
    return replace(predicted, floats=scores)


@lru_cache(maxsize=1)
def _network(folder: Path) -> AbstractStreamNet:
    return load_trained(folder).network


def _front(network: AbstractStreamNet, graph: QGraph) -> Pipeline:
    """Return the network's front end; where the model finds beats itself, with its detector."""
    trigger = graph.deciding_trigger
    if isinstance(trigger, EventTrigger) and trigger.source is not None:
        assert graph.contract.sample_rate_hz is not None  # since it found them
        return with_detector(network.front, int(graph.contract.sample_rate_hz))
    return network.front

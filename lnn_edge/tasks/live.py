"""A model on a stream without end: decisions as they fall, each frame taken as a board takes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lnn_edge.data.live import NAME, Lost
from lnn_edge.data.record import Channel, Record
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.tasks.model_input import Fed
from lnn_edge.tasks.predicted import Answer, Predicted


def predict_live(graph: QGraph, frames: Iterable[np.ndarray | Lost]) -> Iterator[Predicted]:
    """Yield decisions, one each, as soon as the model makes them.

    A lost frame counts as one that never arrived, as on a board: time goes on.

    Args:
        graph: Finds its events itself.
        frames: (C,) int16.
    """
    stream, answer = Stream(graph), Answer.of(graph)
    rate = graph.contract.sample_rate_hz or 1.0
    channels = tuple(Channel(f"channel_{i}") for i in range(graph.frame.size))
    empty = Record(NAME, NAME, np.zeros((1, graph.frame.size), np.int16), rate, channels)
    fed = Fed(empty, np.zeros(0, np.int64), rate, np.iinfo(np.int64).max)
    for frame in frames:
        if isinstance(frame, Lost):
            stream.skip_frames(1)
            continue
        stream.push_frame(frame)
        for decision in stream.decisions():
            yield Predicted(fed, answer, np.array([decision.stamp]), decision.outputs[None])

"""A model on a stream without end: decisions as they fall, each frame taken as a board takes it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import partial
from typing import BinaryIO

import numpy as np

from lnn_edge.data.live import LONGEST_LINE, NAME, LineFrames, Lost, raw_frames
from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import DataError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.tasks.model_input import Fed, live_frame
from lnn_edge.tasks.predicted import Answer, Predicted


def live_frames(
    graph: QGraph,
    stream: BinaryIO,
    rate_hz: float | None,
    channels: Mapping[str, str],
    *,
    raw: bool,
) -> Generator[np.ndarray | Lost, None, None]:
    """Yield the frames of a stream, (C,) int16, and the lines that are lost.

    Args:
        graph: The model.
        stream: Lines of numbers, see LineFrames; or raw int16.
        rate_hz: What the user says of it; None says nothing.
        channels: See LineFrames.
        raw: Whether it sends int16 steps of the model, little-endian.

    Raises:
        DataError: It has another rate or other columns than the model needs.
    """
    frame = live_frame(graph)
    if rate_hz is not None and rate_hz != frame.rate_hz:
        raise DataError(
            f"a stream for {graph.name} must come at {frame.rate_hz:g} Hz, not {rate_hz:g}; "
            "resample it at its source"
        )
    if raw:
        yield from raw_frames(stream, graph.frame.size)
    else:
        read_line = partial(stream.readline, LONGEST_LINE)
        yield from LineFrames(frame, channels).of(iter(read_line, b""))


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

"""All steps of a record at once are those of a stream, wherever the record ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.batch import decision_inputs, run_tensors
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.graph.stage import EventTrigger
from tests.support.toy import toy_every_graph, toy_graph, toy_source_graph, toy_staged_graph

RNG = np.random.default_rng(8)
STAMPS = np.array([0, 3, 40, 41, 90, 170, 171, 172, 260])
GRAPHS: dict[str, Callable[[], QGraph]] = {
    "events": toy_graph,
    "events at once": lambda: toy_graph(wait=0),
    "found events": toy_source_graph,
    "found events at once": lambda: toy_source_graph(wait=0),
    "every": toy_every_graph,
    "staged": toy_staged_graph,
}


def frames_for(graph: QGraph, count: int) -> np.ndarray:
    """Return noise; where its last channel says how far back an event lies, 0 but for some."""
    frames = RNG.integers(-900, 900, (count, graph.frame.size)).astype(np.int16)
    if not graph.takes_events and isinstance(graph.deciding_trigger, EventTrigger):
        told = np.cumsum(RNG.integers(7, 40, count))
        frames[:, 2] = 0
        frames[told[told < count], 2] = RNG.integers(1, 7, np.count_nonzero(told < count))
    return frames


@pytest.mark.parametrize("name", GRAPHS)
def test_a_record_that_ends_anywhere_is_decided_as_a_stream_decides_it(name: str) -> None:
    graph = GRAPHS[name]()
    whole = frames_for(graph, 330)
    ends = [*range(0, 120), *range(160, 330, 7), 330]
    records = [(whole[:end], STAMPS[STAMPS < end]) for end in ends]
    together = decision_inputs(graph, records)
    given = [t.name for t in graph.deciding_stage.inputs]
    for (frames, events), (stamps, inputs) in zip(records[::9], together[::9], strict=True):
        streamed = list(Stream(graph).run(frames, events))
        assert stamps.tolist() == [d.stamp for d in streamed], len(frames)
        for tensor in given if streamed else ():
            expected = np.stack([d.values[tensor] for d in streamed])
            np.testing.assert_array_equal(inputs[tensor], expected)
    counts = [len(stamps) for stamps, _ in together]
    decided = list(Stream(graph).run(*records[-1]))
    assert counts[-1] == len(decided) > 4
    stream, made = Stream(graph), 0
    for frame, end in zip(whole, range(1, 120), strict=False):
        stream.push_frame(frame)
        if graph.takes_events and end - 1 in STAMPS:
            stream.push_event(end - 1)
        made += len(list(stream.decisions()))
        assert counts[end] == made, end


@pytest.mark.parametrize("make", [toy_every_graph, toy_staged_graph])
def test_every_tensor_of_records_is_that_of_a_stream_each(make: Callable[[], QGraph]) -> None:
    graph = make()
    records = [frames_for(graph, count) for count in (200, 0, 131, 3)]
    together = run_tensors(graph, records)
    for frames, values in zip(records, together, strict=True):
        streamed = list(Stream(graph).run(frames))
        for tensor in (t for op in graph.deciding_stage.ops for t in op.outputs):
            expected = [d.values[tensor.name] for d in streamed]
            assert len(values[tensor.name]) == len(expected)
            np.testing.assert_array_equal(values[tensor.name], expected or values[tensor.name])
    assert len(together[0][graph.output.name]) > 3

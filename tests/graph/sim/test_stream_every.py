"""A stage that fires every few frames: which frames decide, on what, and what a gap does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lnn_edge.errors import GraphError
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.sim.batch import decision_inputs
from lnn_edge.graph.sim.queues import Counters
from lnn_edge.graph.sim.stream import BLOB_CRC_BYTES, BLOB_HEAD_BYTES, Decision, Stream
from lnn_edge.graph.stage import EveryTrigger, event_trigger
from tests.support.toy import toy_every_graph

LENGTH = 8  # of the toy's window


def frame(value: int) -> np.ndarray:
    return np.array([value, -value, 2 * value], np.int16)


def push(stream: Stream, count: int) -> Iterator[Decision]:
    """Frames whose first axis holds 100 + their index, polled after each."""
    for _ in range(count):
        stream.push_frame(frame(100 + stream.frames))
        yield from stream.decisions()


def first_axis(decision: Decision) -> list[int]:
    axis: list[int] = decision.values["window"][:, 0].tolist()
    return axis


@pytest.mark.parametrize(
    ("hop", "first", "stamps"),
    [
        (4, 6, [5, 9, 13, 17, 21, 25, 29]),
        (1, 1, list(range(30))),
        (7, 8, [7, 14, 21, 28]),
        (30, 1, [0]),
        (1, 30, [29]),
        (4, 31, []),
    ],
)
def test_decisions_come_with_the_frames_of_the_rule(
    hop: int, first: int, stamps: list[int]
) -> None:
    stream = Stream(toy_every_graph(hop, first))
    assert [d.stamp for d in push(stream, 30)] == stamps
    assert stream.counters == Counters()


def test_the_window_is_the_last_frames_the_firing_one_included() -> None:
    decisions = {d.stamp: first_axis(d) for d in push(Stream(toy_every_graph()), 30)}
    assert decisions[5] == [100, 100, 100, 101, 102, 103, 104, 105]  # begins before the record
    assert decisions[9] == list(range(102, 110))
    assert decisions[29] == list(range(122, 130))


def test_a_longer_ring_changes_no_decision() -> None:
    runs = [
        [(d.stamp, d.state) for d in push(Stream(toy_every_graph(ring_length=n)), 60)]
        for n in (LENGTH, 11, 301)
    ]
    assert runs[0] == runs[1] == runs[2]


def test_a_reset_stream_is_a_new_one() -> None:
    stream = Stream(toy_every_graph())
    once = [(d.stamp, d.before, d.state) for d in push(stream, 50)]
    stream.skip_frames(3)
    stream.push_event(1)
    for index in range(20):
        stream.push_frame(frame(index))
    stream.reset()
    assert stream.state_blob() == Stream(toy_every_graph()).state_blob()
    assert [(d.stamp, d.before, d.state) for d in push(stream, 50)] == once


@pytest.mark.parametrize(
    ("before", "lost", "stamps"),
    [
        (6, 3, [9, 13, 17]),  # between two firings: nothing is missed
        (6, 4, [13, 17]),  # over the firing of frame 9, which is not made
        (6, 5, [13, 17]),
        (6, 8, [17]),
        (2, 3, [5, 9, 13, 17]),
        (0, 5, [5, 9, 13, 17]),
        (0, 6, [9, 13, 17]),
    ],
)
def test_lost_frames_count_and_their_firings_are_not_made(
    before: int, lost: int, stamps: list[int]
) -> None:
    stream = Stream(toy_every_graph())
    list(push(stream, before))
    stream.skip_frames(lost)
    assert list(stream.decisions()) == []
    assert [d.stamp for d in push(stream, 20 - before - lost)] == stamps
    assert stream.counters == Counters(frames_skipped=lost)


def test_lost_frames_hold_the_last_one() -> None:
    stream = Stream(toy_every_graph())
    list(push(stream, 6))
    stream.skip_frames(3)
    (decision,) = push(stream, 1)
    assert first_axis(decision) == [102, 103, 104, 105, 105, 105, 105, 109]


def test_a_gap_before_the_first_frame_leaves_it_as_the_whole_past() -> None:
    stream = Stream(toy_every_graph())
    stream.skip_frames(4)
    (decision,) = push(stream, 2)
    assert first_axis(decision) == [104] * 7 + [105]


def test_a_firing_that_waits_while_others_come_is_made_and_they_are_counted() -> None:
    stream = Stream(toy_every_graph(hop=1, ring_length=11))
    for index in range(6 + 3):
        stream.push_frame(frame(100 + index))
    (decision,) = stream.decisions()
    assert decision.stamp == 5
    assert first_axis(decision) == [100, 100, 100, 101, 102, 103, 104, 105]
    assert stream.counters == Counters(event_overflows=3)


@pytest.mark.parametrize("lost", [3, 4])
def test_a_firing_whose_window_has_left_the_ring_is_dropped_and_counted(lost: int) -> None:
    stream = Stream(toy_every_graph(ring_length=LENGTH + 3))
    for index in range(6):
        stream.push_frame(frame(100 + index))
    stream.skip_frames(lost)
    made = [d.stamp for d in (*stream.decisions(), *push(stream, 14 - stream.frames))]
    assert made == ([5, 9, 13] if lost == 3 else [13])
    assert stream.counters == Counters(frames_skipped=lost, events_rejected=int(lost == 4))


def test_an_event_is_refused_and_counted() -> None:
    stream = Stream(toy_every_graph())
    list(push(stream, 5))
    assert not stream.push_event(3)
    assert not stream.push_event(4)
    assert stream.counters == Counters(events_rejected=2)
    assert [d.stamp for d in push(stream, 5)] == [5, 9]


def test_the_blob_has_one_word_for_the_firing() -> None:
    stream = Stream(toy_every_graph())
    for index in range(6):
        stream.push_frame(frame(index))
    prefix = len(stream.state_prefix())
    assert prefix == 12  # five int16, padded
    (decision,) = stream.decisions()
    for blob, due in ((decision.before, 6), (stream.state_blob(), 0)):
        body = blob[BLOB_HEAD_BYTES:-BLOB_CRC_BYTES]
        assert np.frombuffer(body[prefix : prefix + 28], "<u4").tolist() == [6, 1, due, 0, 0, 0, 0]
        assert len(body) == prefix + 28 + 11 * 3 * 2 + 2  # padded to a word as well


@pytest.mark.parametrize(("hop", "first"), [(4, 6), (1, 1), (3, 20), (5, 8), (9, 500)])
def test_inputs_at_once_equal_those_of_the_stream(hop: int, first: int) -> None:
    graph = toy_every_graph(hop, first)
    trigger, stage = graph.deciding_trigger, graph.deciding_stage
    assert isinstance(trigger, EveryTrigger)
    frames = np.random.default_rng(3).integers(-30000, 30000, (203, 3)).astype(np.int16)
    streamed = list(Stream(graph).run(frames))
    ((stamps, inputs),) = decision_inputs(graph, [(frames, np.zeros(0, np.int64))])
    assert stamps.tolist() == [d.stamp for d in streamed]
    assert inputs["window"].shape == (len(streamed), LENGTH, 3)
    if streamed:
        assert np.array_equal(inputs["window"], np.stack([d.values["window"] for d in streamed]))
        one = {name: x[:, None] for name, x in inputs.items()}
        values, _ = interpreter.run_sequence(
            stage, one, interpreter.initial_state(stage, (1,)), ("scores",)
        )
        assert np.array_equal(values["scores"][:, 0], np.stack([d.outputs for d in streamed]))


def test_what_needs_events_says_so() -> None:
    with pytest.raises(GraphError, match="stage step must fire on events, not on frames"):
        event_trigger(toy_every_graph().deciding_stage)

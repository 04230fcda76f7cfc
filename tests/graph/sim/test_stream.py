"""Frames and events in, decisions out: order, gaps, starts, limits (test_stream_c.py: C agrees)."""

from __future__ import annotations

import binascii
from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.errors import VerificationError
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import graph_sha256, load_graph
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.sim.queues import MOST_AHEAD, Counters
from lnn_edge.graph.sim.stream import BLOB_HEAD_BYTES, Decision, Stream, pack, state_layout, unpack
from lnn_edge.tasks.beats.front_end import EVENT_CAPACITY, TWO_LEADS
from tests.support.toy import toy_graph

PRE, POST, WAIT, FIRST, LONGEST_DT, RING = 8, 16, 60, 288, 1080, 96  # of the toy


def frame(value: int) -> np.ndarray:
    return np.array([value, -value], np.int16)


def push(stream: Stream, count: int, start: int = 0) -> None:
    """Frames whose first sample counts."""
    for index in range(count):
        stream.push_frame(frame(start + index))


def value(decision: Decision, name: str) -> int:
    return int(decision.values[name].reshape(-1)[0])


def first_lead(decision: Decision) -> list[int]:
    lead: list[int] = decision.values["window"][:, 0].tolist()
    return lead


def test_a_reset_stream_is_a_new_one() -> None:
    rng = np.random.default_rng(4)
    frames, events = rng.integers(-900, 900, (900, 2)).astype(np.int16), np.arange(30, 850, 55)
    stream = Stream(toy_graph())

    def run() -> list[tuple[int, bytes, bytes]]:
        return [(d.stamp, d.before, d.state) for d in stream.run(frames, events)]

    once = run()
    assert len(once) > 10
    stream.push_event(2000)
    stream.push_event(1)
    stream.skip_frames(3)
    stream.reset()
    assert stream.state_blob() == Stream(toy_graph()).state_blob()
    assert (stream.frames, stream.counters) == (0, Counters())
    assert run() == once


def test_an_event_without_a_predecessor_has_the_first_dt_and_it_is_not_counted() -> None:
    stream = Stream(toy_graph())
    for _ in range(2):
        push(stream, 150)
        stream.push_event(70)
        stream.push_event(90)
        first, second = stream.decisions()
        assert (value(first, "dt"), value(second, "dt")) == (FIRST, 20)
        assert stream.counters == Counters()
        stream.reset()


def test_equal_and_backward_stamps_are_refused_and_counted_one_by_one() -> None:
    stream = Stream(toy_graph())
    assert [stream.push_event(t) for t in (30, 30, 29, 31)] == [True, False, False, True]
    assert stream.counters == Counters(events_rejected=2)
    push(stream, 100)
    assert [d.stamp for d in stream.decisions()] == [30, 31]
    assert not stream.push_event(31)  # also when it has been decided
    assert not stream.push_event(30)
    assert stream.push_event(32)
    assert stream.counters == Counters(events_rejected=4)


def test_an_event_too_far_ahead_is_refused_and_holds_up_no_other() -> None:
    stream = Stream(toy_graph())
    push(stream, 10)
    ahead = [10 + MOST_AHEAD + 1, (1 << 32) - 7, 30, 10 + MOST_AHEAD]
    assert [stream.push_event(t) for t in ahead] == [False, False, True, True]
    assert stream.counters == Counters(events_rejected=2)
    push(stream, 90)
    assert [d.stamp for d in stream.decisions()] == [30]


def test_a_full_queue_drops_the_newest_event_and_the_next_dt_does_not_see_it() -> None:
    stream = Stream(toy_graph())
    assert [stream.push_event(t) for t in (40, 42, 44, 46, 48)] == [True] * 4 + [False]
    assert stream.counters == Counters(event_overflows=1)
    push(stream, 46 + WAIT)
    assert [d.stamp for d in stream.decisions()] == [40, 42, 44, 46]
    assert stream.push_event(75)
    push(stream, 29)
    (last,) = stream.decisions()
    assert value(last, "dt") == 75 - 46


@pytest.mark.parametrize(
    ("gap", "dt", "counted"), [(LONGEST_DT, LONGEST_DT, 0), (LONGEST_DT + 1, LONGEST_DT, 1)]
)
def test_a_long_dt_saturates_and_is_counted(gap: int, dt: int, counted: int) -> None:
    stream = Stream(toy_graph())
    events = np.array([30, 30 + gap])
    _, second = stream.run(np.zeros((gap + 200, 2), np.int16), events)
    assert value(second, "dt") == dt
    assert stream.counters == Counters(dt_saturations=counted)


def test_a_short_dt_and_a_short_dt_next_saturate_and_are_counted() -> None:
    stream = Stream(load_graph(shipped_graph()))
    shortest = TWO_LEADS.dt_range[0]
    events = np.array([400, 400 + shortest, 400 + 2 * shortest - 1])
    first, second, third = stream.run(np.full((1400, 2), 1024, np.int16), events)
    told = [value(d, "dt") for d in (first, second, third)]
    assert told == [TWO_LEADS.first_dt, shortest, shortest]
    assert [value(d, "dt_next") for d in (first, second)] == [shortest, shortest]
    assert stream.counters == Counters(dt_saturations=2)  # dt_next of the second, dt of the third


def test_the_shipped_queue_holds_what_its_trigger_says() -> None:
    stream = Stream(load_graph(shipped_graph()))
    accepted = [stream.push_event(400 + 40 * i) for i in range(EVENT_CAPACITY + 2)]
    assert accepted == [True] * EVENT_CAPACITY + [False] * 2


def test_a_window_is_the_frames_around_the_event() -> None:
    stream = Stream(toy_graph(wait=0))
    push(stream, 400)  # the ring has wrapped four times
    stream.push_event(370)
    (decision,) = stream.decisions()
    assert first_lead(decision) == list(range(370 - PRE, 370 + POST))


def test_a_window_that_begins_before_the_record_reads_the_first_frame() -> None:
    stream = Stream(toy_graph(wait=0))
    stream.push_event(0)
    push(stream, POST, start=500)
    (decision,) = stream.decisions()
    assert first_lead(decision) == [500] * PRE + list(range(500, 500 + POST))


@pytest.mark.parametrize("lost", [1, 10, RING - 1, RING, RING + 1, 5 * RING + 7])
def test_lost_frames_hold_the_last_sample(lost: int) -> None:
    stream = Stream(toy_graph(wait=0))
    push(stream, 120)
    stream.skip_frames(lost)
    stamp = 120 + lost
    stream.push_event(stamp)
    push(stream, POST, start=1000)
    (decision,) = stream.decisions()
    before = list(range(max(0, 120 - PRE + lost), 120))
    expected = before + [119] * (PRE - len(before)) + list(range(1000, 1000 + POST))
    assert first_lead(decision) == expected
    assert stream.counters == Counters(frames_skipped=lost)


def test_frames_lost_before_the_first_one_read_it() -> None:
    stream = Stream(toy_graph(wait=0))
    stream.skip_frames(50)
    push(stream, 30, start=700)
    stream.push_event(53)
    (decision,) = stream.decisions()
    assert first_lead(decision) == [700] * (PRE - 3) + list(range(700, 700 + 3 + POST))


def test_an_event_whose_window_has_been_overwritten_is_dropped_and_changes_no_dt() -> None:
    stream = Stream(toy_graph(wait=0))
    push(stream, 60)
    stream.push_event(30)
    assert len(list(stream.decisions())) == 1
    push(stream, 100, start=60)
    stream.push_event(160 - RING + PRE - 1)  # one frame of its window is gone
    assert list(stream.decisions()) == []
    assert stream.counters == Counters(events_rejected=1)
    stream.push_event(160 - RING + PRE)
    (decision,) = stream.decisions()
    assert value(decision, "dt") == 160 - RING + PRE - 30


def test_the_oldest_event_is_dropped_and_those_behind_it_are_decided() -> None:
    stream = Stream(toy_graph())
    push(stream, RING + 80)
    oldest = 80 + PRE - 1  # its window begins one frame before what the ring holds
    assert all(stream.push_event(stamp) for stamp in (oldest, oldest + 1, oldest + 29))
    assert [d.stamp for d in stream.decisions()] == [oldest + 1, oldest + 29]
    assert stream.counters == Counters(events_rejected=1)


def test_events_that_become_ready_together_run_in_stamp_order() -> None:
    stream = Stream(toy_graph())
    for stamp in (20, 22, 25):
        stream.push_event(stamp)
    push(stream, 25 + WAIT - 1)
    assert [(d.stamp, value(d, "dt")) for d in stream.decisions()] == [(20, FIRST), (22, 2)]
    push(stream, 1)
    assert [(d.stamp, value(d, "dt"), value(d, "dt_next")) for d in stream.decisions()] == [
        (25, 3, WAIT)
    ]


@pytest.mark.parametrize("gap", [5, 30, WAIT - 1, WAIT, 300])
def test_a_decision_is_taken_at_the_first_frame_that_allows_it(gap: int) -> None:
    """At the next event, but not before the window is whole, and after the longest wait anyway."""
    stream, taken = Stream(toy_graph()), None
    for index in range(500):
        stream.push_frame(frame(index))
        if index in (100, 100 + gap):
            stream.push_event(index)
        if taken is None and [d.stamp for d in stream.decisions()] == [100]:
            taken = index
    assert taken == 100 + min(max(gap, POST - 1), WAIT - 1)


@pytest.mark.parametrize("gap", [20, 300])
def test_a_decision_sees_nothing_later(gap: int) -> None:
    rng = np.random.default_rng(2)
    frames = rng.integers(-900, 900, (600, 2)).astype(np.int16)
    changed = frames.copy()
    changed[100 + max(POST, min(gap, WAIT)) :] = 12345
    events = np.array([100, 100 + gap])
    first = next(iter(Stream(toy_graph()).run(frames, events)))
    again = next(iter(Stream(toy_graph()).run(changed, events)))
    assert first.stamp == again.stamp == 100
    assert first.outputs.tolist() == again.outputs.tolist()
    assert first.state == again.state


def test_the_blob_of_a_decision_is_the_state_from_which_it_was_taken() -> None:
    """Its frame index and its queue are those of the moment before: what a replay needs."""
    stream = Stream(toy_graph())
    push(stream, 100)
    stream.push_event(40)
    stream.push_event(50)
    expected = stream.state_blob()
    (first,) = stream.decisions()
    assert first.before == expected
    prefix = BLOB_HEAD_BYTES + len(first.state)
    words = np.frombuffer(first.before[prefix : prefix + 4 * 13], "<u4").tolist()
    assert words == [100, 1, 2, 0, 0, 0, 0, 0, 0, 40, 50, 0, 0]
    words = np.frombuffer(stream.state_blob()[prefix : prefix + 4 * 13], "<u4").tolist()
    assert words == [100, 1, 1, 40, 1, 0, 0, 0, 0, 50, 0, 0, 0]


def test_a_blob_names_its_model_and_its_length_and_ends_with_a_checksum() -> None:
    graph = toy_graph()
    blob = Stream(graph).state_blob()
    body = blob[BLOB_HEAD_BYTES:-4]
    assert blob[:4] == b"LNN\1"
    assert blob[4:12] == bytes.fromhex(graph_sha256(graph))[:8]
    assert int.from_bytes(blob[12:16], "little") == len(body)
    assert int.from_bytes(blob[-4:], "little") == binascii.crc32(blob[:-4])


def test_states_lie_widest_first_and_are_padded_to_a_word() -> None:
    graph = toy_graph(hidden=5)
    names = [s.tensor.name for s in state_layout(graph)]
    assert names == ["average", "usual", "h"]
    used = 2 * 4 + 24 * 2 + 5 * 2
    assert used % 4 == 2
    assert len(Stream(graph).state_prefix()) == used + 2


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "uint32"])
def test_packed_values_come_back(dtype: str) -> None:
    tensor = QTensor("t", (2, 2), dtype)
    values = np.array([[tensor.qmin, tensor.qmax], [0, 1]])
    raw = pack(tensor, values)
    assert len(raw) == tensor.bytes
    assert unpack(tensor, raw).tolist() == values.tolist()


def test_packed_values_are_little_endian() -> None:
    assert pack(QTensor("t", (2,), "int16"), np.array([1, -2])) == b"\x01\x00\xfe\xff"


@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_number_of_bytes_is_named(change: int) -> None:
    tensor = QTensor("usual", (3,), "int16")
    with pytest.raises(VerificationError, match=f"usual must have 6 bytes, not {6 + change}"):
        unpack(tensor, bytes(6 + change))


def test_a_longer_ring_changes_no_decision() -> None:
    graph = toy_graph()
    longer = replace(graph, rings=(replace(graph.rings[0], length=301),))
    rng = np.random.default_rng(8)
    frames, events = rng.integers(-900, 900, (900, 2)).astype(np.int16), np.arange(30, 850, 55)
    runs = [[(d.stamp, d.state) for d in Stream(g).run(frames, events)] for g in (graph, longer)]
    assert runs[0] == runs[1]

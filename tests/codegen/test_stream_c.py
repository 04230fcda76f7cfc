"""Generated C on the host equals the simulator, under sanitizers, whatever is fed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.window import MeanAbs
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.queues import MOST_AHEAD
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.graph.stage import InputTrigger, Ring, Stage
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.toy import motion, toy_every_graph, toy_graph, toy_heads_graph


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_model(toy_graph(), tmp_path_factory.mktemp("toy"))


def random_record(seed: int, frames: int, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    events = np.cumsum(rng.integers(5, 120, frames // 60))
    return rng.integers(low, high, (frames, 2), endpoint=True).astype(np.int16), events


@pytest.mark.parametrize(("low", "high"), [(-600, 600), (-32768, 32767), (0, 0)])
def test_random_records_are_bit_exact(program: Path, low: int, high: int) -> None:
    items = [*record_items(*random_record(1, 6000, low, high)), ("G", None)]
    expected = run_reference(toy_graph(), items)
    assert expected.count(b"D") > 50
    assert run_c(program, items) == expected


def test_alternating_extremes_are_bit_exact(program: Path) -> None:
    frames = np.tile(np.array([[-32768, 32767], [32767, -32768]], np.int16), (600, 1))
    items = [*record_items(frames, np.arange(10, 1200, 30)), ("G", None)]
    assert run_c(program, items) == run_reference(toy_graph(), items)


def test_trouble_is_counted_and_bit_exact(program: Path) -> None:
    frames, _ = random_record(3, 400, -900, 900)
    items = [("F", f) for f in frames[:50]]
    items += [("E", t) for t in (40, 40, 39, 60, 61, 62, 63, 64)]  # equal, backward, overflow
    items += [("F", f) for f in frames[50:120]] + [("S", 700)] + [("F", f) for f in frames[120:]]
    items += [("E", 100), ("E", 1100), ("F", frames[0]), ("G", None)]  # window gone; after the gap
    items += [("R", None), ("E", 3), ("F", frames[7])]
    items += [("F", f) for f in frames[:90]] + [("G", None)]
    assert run_c(program, items) == run_reference(toy_graph(), items)


def test_a_gap_shorter_than_the_ring_repeats_the_last_frame(program: Path) -> None:
    frames, _ = random_record(5, 160, -900, 900)
    items = [*(("F", f) for f in frames[:60]), ("S", 7), ("F", frames[60]), ("E", 66)]
    items += [*(("F", f) for f in frames[61:]), ("G", None)]
    expected = run_reference(toy_graph(), items)
    assert expected.count(b"D") >= 1
    assert run_c(program, items) == expected


def test_events_announced_ahead_are_bit_exact(program: Path) -> None:
    """The next event is known, but further away than the longest wait."""
    frames, _ = random_record(7, 500, -900, 900)
    items: list[tuple[str, object]] = [("E", t) for t in (30, 200, 240, 420)]
    items += [("F", f) for f in frames] + [("G", None)]
    expected = run_reference(toy_graph(), items)
    assert expected.count(b"D") >= 4
    assert run_c(program, items) == expected


def test_long_pauses_saturate_and_are_bit_exact(program: Path) -> None:
    """dt ends at 1080; equal to it, above it, and far above it."""
    frames = np.random.default_rng(11).integers(-900, 900, (7000, 2)).astype(np.int16)
    events = np.cumsum([100, 1080, 1081, 3000, 70])
    items = [*record_items(frames, events), ("G", None)]
    expected = run_reference(toy_graph(), items)
    assert list(Stream(toy_graph()).run(frames, events))[-1].stamp == events[-1]
    assert run_c(program, items) == expected


@pytest.mark.parametrize("cut", [1, 333, 702, 707, 1200])
def test_a_state_put_into_another_instance_continues_exactly(program: Path, cut: int) -> None:
    """After the first frame, behind a gap, with a full queue, after an overflow."""
    items = record_items(*random_record(6, 1500, -900, 900))
    items[700:700] = [("E", t) for t in range(900, 907)]
    items[600:600] = [("S", 13)]
    whole = run_c(program, [*items, ("G", None)])
    until = run_c(program, [*items[:cut], ("G", None)])
    blob = until[-len(Stream(toy_graph()).state_blob()) :]
    rest = run_c(program, [("P", blob), *items[cut:], ("G", None)])
    assert until[: -len(blob) - 1] + rest == whole
    assert len(rest) > 1 + len(blob)  # at least one decision and the blob


def test_the_blob_before_a_decision_replays_it(program: Path) -> None:
    frames, events = random_record(9, 1200, -900, 900)
    decisions = list(Stream(toy_graph()).run(frames, events))
    assert len(decisions) > 10
    for d in decisions:
        outputs = d.outputs.astype("<i2").tobytes()
        expected = b"D" + d.stamp.to_bytes(4, "little") + outputs + d.probes + d.state
        assert run_c(program, [("P", d.before)]) == expected


@pytest.mark.parametrize("ahead", [MOST_AHEAD, MOST_AHEAD + 1, (1 << 32) - 17, (1 << 32) - 57])
def test_an_event_far_ahead_is_treated_alike(program: Path, ahead: int) -> None:
    """Around the limit, and where its window or its wait would end beyond 2^32."""
    frames, _ = random_record(4, 200, -900, 900)
    items = [*(("F", f) for f in frames[:50]), ("E", min(50 + ahead, (1 << 32) - 1)), ("E", 60)]
    items += [*(("F", f) for f in frames[50:]), ("E", 130), ("G", None)]
    expected = run_reference(toy_graph(), items)
    assert run_c(program, items) == expected
    assert (b"D" in expected[:1]) == (ahead > MOST_AHEAD)


def test_counters_tell_what_happened() -> None:
    stream = Stream(toy_graph())
    for stamp in (10, 10, 9, 11, 12, 13, 14):
        stream.push_event(stamp)
    stream.skip_frames(500)
    assert list(stream.decisions()) == []
    assert stream.counters.events_rejected == 2 + 4
    assert stream.counters.event_overflows == 1
    assert stream.counters.frames_skipped == 500
    stream.push_event(499)
    for _ in range(80):
        stream.push_frame(np.zeros(2, np.int16))
    assert len(list(stream.decisions())) == 1


def test_decision_waits_for_the_next_event_or_the_longest_wait() -> None:
    stream = Stream(toy_graph(wait=60))
    stream.push_event(20)
    for _ in range(79):
        stream.push_frame(np.zeros(2, np.int16))
    assert list(stream.decisions()) == []
    stream.push_frame(np.zeros(2, np.int16))
    (first,) = stream.decisions()
    assert int(first.values["dt_next"][0]) == 60
    assert int(first.values["dt"][0]) == 288
    stream.push_event(90)
    stream.push_event(101)
    for _ in range(40):
        stream.push_frame(np.zeros(2, np.int16))
    (second,) = stream.decisions()
    assert (int(second.values["dt"][0]), int(second.values["dt_next"][0])) == (70, 11)


def test_a_window_before_the_record_reads_the_first_frame() -> None:
    stream = Stream(toy_graph(wait=0))
    for index in range(30):
        stream.push_frame(np.array([100 + index, -index], np.int16))
    stream.push_event(2)
    (decision,) = stream.decisions()
    window = decision.values["window"]
    assert window[:7, 0].tolist() == [100] * 7
    assert window[7:, 0].tolist() == list(range(101, 118))


def test_second_run_after_reset_equals_the_first(program: Path) -> None:
    items = record_items(*random_record(5, 1500, -700, 700))
    once = run_c(program, items)
    assert run_c(program, [*items, ("R", None), *items]) == once + once


@pytest.fixture(scope="module")
def every_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_model(toy_every_graph(), tmp_path_factory.mktemp("toy_every"))


@pytest.mark.parametrize(("low", "high"), [(-4000, 4000), (-32768, 32767), (0, 0)])
def test_a_stage_that_fires_on_frames_is_bit_exact(
    every_program: Path, low: int, high: int
) -> None:
    items = [*record_items(motion(1, 3000, low, high), np.array([])), ("G", None)]
    expected = run_reference(toy_every_graph(), items)
    assert expected.count(b"D") > 700
    assert run_c(every_program, items) == expected


@pytest.mark.parametrize(("low", "high"), [(-4000, 4000), (-32768, 32767), (0, 0)])
def test_several_outputs_are_bit_exact(low: int, high: int, tmp_path: Path) -> None:
    graph = toy_heads_graph()
    items = [*record_items(motion(9, 800, low, high), np.array([])), ("G", None)]
    expected = run_reference(graph, items)
    assert expected.count(b"D") > 190
    assert run_c(compile_model(graph, tmp_path), items) == expected


def lean(graph: QGraph) -> QGraph:
    """The same without probes."""
    return replace(graph, stages=(graph.stages[0], replace(graph.deciding_stage, probes=())))


@pytest.mark.parametrize(
    "graph",
    [
        toy_every_graph(hop=1, first=1, ring_length=8),
        toy_every_graph(hop=7, first=20, ring_length=64),
        lean(toy_every_graph(hop=9, first=8)),
    ],
)
def test_other_rules_of_firing_are_bit_exact(graph: QGraph, tmp_path: Path) -> None:
    items = [("S", 3), *record_items(motion(2, 100), np.array([])), ("S", 5), ("G", None)]
    items += record_items(motion(3, 50), np.array([]))
    expected = run_reference(graph, items)
    assert run_c(compile_model(graph, tmp_path), items) == expected
    assert len(expected) > 200


@pytest.mark.parametrize("before", range(8))
@pytest.mark.parametrize("lost", [1, 3, 4, 11, 100])
def test_a_gap_is_bit_exact_wherever_it_falls(every_program: Path, before: int, lost: int) -> None:
    frames = motion(4, 60)
    items: list[tuple[str, object]] = [("F", f) for f in frames[:before]]
    items += [("S", lost), ("G", None), *(("F", f) for f in frames[before:]), ("G", None)]
    assert run_c(every_program, items) == run_reference(toy_every_graph(), items)


def test_an_event_is_refused_and_counted_in_c_too(every_program: Path) -> None:
    frames = motion(5, 40)
    items: list[tuple[str, object]] = [("F", f) for f in frames[:7]]
    items += [("E", 3), ("E", 6), ("G", None), *(("F", f) for f in frames[7:]), ("G", None)]
    items += [("R", None), ("G", None), *(("F", f) for f in frames), ("G", None)]
    expected = run_reference(toy_every_graph(), items)
    assert run_c(every_program, items) == expected


@pytest.mark.parametrize("lost", [0, 3, 4, 50])
def test_a_firing_that_waits_is_made_or_dropped_alike(every_program: Path, lost: int) -> None:
    """Its window is still in the ring after three lost frames and gone after four."""
    items: list[tuple[str, object]] = [("N", f) for f in motion(6, 6)]
    items += [("S", lost), ("G", None)]
    expected = run_reference(toy_every_graph(), items)
    assert expected.startswith(b"D") == (lost < 4)
    assert run_c(every_program, items) == expected


def test_firings_that_nobody_polls_are_counted_alike(tmp_path: Path) -> None:
    graph = toy_every_graph(hop=1)
    frames = motion(8, 30)
    items: list[tuple[str, object]] = [("N", f) for f in frames[:9]]
    items += [("G", None), *(("F", f) for f in frames[9:12]), *(("N", f) for f in frames[12:])]
    items += [("G", None), ("F", frames[0]), ("G", None)]
    expected = run_reference(graph, items)
    assert run_c(compile_model(graph, tmp_path), items) == expected


def test_the_blob_before_a_decision_on_frames_replays_it(every_program: Path) -> None:
    decisions = list(Stream(toy_every_graph()).run(motion(7, 100)))
    assert len(decisions) > 20
    for d in decisions:
        outputs = d.outputs.astype("<i2").tobytes()
        expected = b"D" + d.stamp.to_bytes(4, "little") + outputs + d.probes + d.state
        assert run_c(every_program, [("P", d.before)]) == expected


def test_an_event_stage_whose_ring_does_not_fill_words_is_bit_exact(tmp_path: Path) -> None:
    """One channel and an odd ring: the state is padded at its end, and so is the blob."""
    graph = odd_ring()
    frames, _ = random_record(12, 4000, -900, 900)
    events = np.arange(40, 3900, 31)  # a window begins in each of the 97 slots
    items = [*record_items(frames[:, :1], events), ("G", None)]
    expected = run_reference(graph, items)
    assert expected.count(b"D") > 97
    assert run_c(compile_model(graph, tmp_path), items) == expected


def odd_ring() -> QGraph:
    """The toy's trigger over one channel, its mean distance from zero the output."""
    graph = toy_graph()
    frame, old = replace(graph.frame, shape=(1,)), graph.deciding_trigger
    window = replace(old.window, shape=(24, 1))
    level = QTensor("level", (1,), "int16", frame.scale)
    stage = Stage(
        "beat",
        replace(old, window=window),
        (MeanAbs.quantize("mean_abs", window, level),),
        outputs=(level,),
        probes=(level,),
    )
    stages = (replace(graph.stages[0], trigger=InputTrigger(frame, "samples")), stage)
    metadata = graph.metadata | {"classes": ["level"], "leads": ["I"]}
    return replace(graph, stages=stages, rings=(Ring("samples", frame, 97),), metadata=metadata)

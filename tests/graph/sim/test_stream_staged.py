"""Stages before the decision: simulator, whole records, generated C under sanitizers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import Core
from lnn_edge.errors import GraphError
from lnn_edge.graph.sim.batch import decision_inputs
from lnn_edge.graph.sim.stream import Stream
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.toy import motion, toy_source_graph, toy_staged_graph

NO_EVENTS = np.zeros(0, np.int64)


@pytest.fixture(scope="module", params=[1, 3])
def hop(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def program(hop: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_model(toy_staged_graph(hop), tmp_path_factory.mktemp("staged"))


@pytest.mark.parametrize(("low", "high"), [(-4000, 4000), (-32768, 32767), (0, 0)])
def test_random_frames_are_bit_exact(program: Path, hop: int, low: int, high: int) -> None:
    items = [*record_items(motion(1, 400, low, high), NO_EVENTS), ("G", None)]
    expected = run_reference(toy_staged_graph(hop), items)
    assert expected.count(b"D") > 6
    assert run_c(program, items) == expected


@pytest.mark.parametrize("lost", [1, 2, 3, 7, 10, 11, 12, 40, 1000, 100_000])
@pytest.mark.parametrize("before", [0, 1, 6, 7, 8, 9, 25, 60])
def test_lost_frames_are_bit_exact(program: Path, hop: int, lost: int, before: int) -> None:
    """Before the first frame, around the first firing, shorter and longer than every window."""
    frames = motion(2, 200)
    items = [("F", f) for f in frames[:before]] + [("S", lost), ("G", None)]
    items += [x for f in frames[before:] for x in (("F", f), ("G", None))][:300]
    assert run_c(program, items) == run_reference(toy_staged_graph(hop), items)


@pytest.mark.parametrize("cut", [1, 7, 8, 100, 163])
def test_a_state_put_into_another_instance_continues_exactly(
    program: Path, hop: int, cut: int
) -> None:
    graph, frames = toy_staged_graph(hop), motion(5, 300)
    stream = Stream(graph)
    for frame in frames[:cut]:
        stream.push_frame(frame)
        list(stream.decisions())
    items = [("P", stream.state_blob())] + [("F", f) for f in frames[cut:]] + [("G", None)]
    whole = run_reference(graph, [*(("F", f) for f in frames), ("G", None)])
    assert whole.endswith(run_c(program, items))


def test_an_unpolled_firing_drops_the_next_alike(program: Path, hop: int) -> None:
    frames = motion(6, 300)
    items = [("N" if 100 < i < 200 else "F", f) for i, f in enumerate(frames)] + [("G", None)]
    expected = run_reference(toy_staged_graph(hop), items)
    assert run_c(program, items) == expected


def test_whole_records_decide_as_the_stream_does(hop: int) -> None:
    graph = toy_staged_graph(hop)
    records = [motion(seed, length) for seed, length in ((7, 333), (8, 61), (9, 5), (10, 334))]
    found = decision_inputs(graph, [(r, NO_EVENTS) for r in records])
    for record, (stamps, inputs) in zip(records, found, strict=True):
        decisions = list(Stream(graph).run(record))
        assert [d.stamp for d in decisions] == stamps.tolist()
        for step, decision in enumerate(decisions):
            np.testing.assert_array_equal(inputs["last"][step], decision.values["last"])
    assert len(found[0][0]) > 5


def test_a_decision_carries_the_stamp_of_the_newest_sample() -> None:
    """Levels on frames 6, 9, 12 ...; codes on levels 0, 5, 10 ...; decisions from code 1 on."""
    stamps = [d.stamp for d in Stream(toy_staged_graph(3)).run(motion(3, 120))]
    assert stamps == [21, 66, 111]


def test_the_sliding_window_holds_what_a_copy_would() -> None:
    """The same frames through a ring one frame longer, whose window is copied."""
    graph = toy_staged_graph(1)
    rings = tuple(replace(r, length=9) if r.name == "samples" else r for r in graph.rings)
    longer = replace(graph, rings=rings)
    assert graph.slides(graph.rings[0])
    assert not longer.slides(longer.rings[0])
    one, other = (list(Stream(g).run(motion(4, 300))) for g in (graph, longer))
    assert [(d.stamp, d.outputs.tolist()) for d in one] == [
        (d.stamp, d.outputs.tolist()) for d in other
    ]


def test_the_kernels_of_a_core_with_dsp_instructions_are_bit_exact(tmp_path: Path) -> None:
    graph = toy_staged_graph(1)
    items = [*record_items(motion(1, 300), NO_EVENTS), ("G", None)]
    program = compile_model(graph, tmp_path, Core("cortex-m7", dsp=True))
    assert run_c(program, items) == run_reference(graph, items)


def telling_frames(seed: int, count: int, latest: int = 20) -> np.ndarray:
    """Return random frames whose third channel tells of an event now and then."""
    rng = np.random.default_rng(seed)
    frames = motion(seed, count)
    frames[:, 2] = np.where(rng.random(count) < 0.06, rng.integers(1, latest, count), 0)
    return frames


@pytest.mark.parametrize("wait", [0, 40])
@pytest.mark.parametrize("latest", [2, 20, 70, 300])
def test_events_that_the_model_finds_are_bit_exact(tmp_path: Path, wait: int, latest: int) -> None:
    """At once, late, out of order, too late for their window, before the record."""
    graph = toy_source_graph(wait)
    program = compile_model(graph, tmp_path)
    items = [("F", f) for f in telling_frames(1, 900, latest)]
    items[450:450] = [("E", 449), ("S", 33)]  # an event from outside is refused
    items += [("G", None)]
    expected = run_reference(graph, items)
    assert expected.count(b"D") > 3
    assert run_c(program, items) == expected


@pytest.mark.parametrize("wait", [0, 40])
def test_whole_records_find_the_events_of_the_stream(wait: int) -> None:
    graph, frames = toy_source_graph(wait), telling_frames(3, 900, 2)
    frames[:, 2] = 0
    frames[30::23, 2] = 1 + 5 * (np.arange(len(frames[30::23])) % 3)
    decisions = list(Stream(graph).run(frames))
    ((stamps, inputs),) = decision_inputs(graph, [(frames, NO_EVENTS)])
    assert [d.stamp for d in decisions] == stamps.tolist()
    for name in [t.name for t in graph.deciding_stage.inputs]:
        streamed = np.stack([d.values[name] for d in decisions])
        np.testing.assert_array_equal(inputs[name], streamed)


def test_an_event_known_too_late_is_said() -> None:
    frames = motion(3, 300)
    frames[:, 2] = 0
    frames[150, 2] = 100
    with pytest.raises(GraphError, match="ring samples has 80 frames and an event was known too l"):
        decision_inputs(toy_source_graph(), [(frames, NO_EVENTS)])

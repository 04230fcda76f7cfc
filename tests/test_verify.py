"""A verification sees every wrong bit and names where it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import pytest

from lnn_edge.errors import VerificationError
from lnn_edge.graph import QGraph
from lnn_edge.graphio import graph_sha256
from lnn_edge.ops.linear import Linear
from lnn_edge.protocol import ResultRecord
from lnn_edge.stream import Stream, pack
from lnn_edge.verify import Signal, label_judge, verify
from tests.recordings import invented
from tests.toy import motion, toy_every_graph, toy_graph


@dataclass(frozen=True)
class FakeInfo:
    board_name: str = "fake"
    clock_source: str = "instructions"
    core_clock_hz: int = 216_000_000


class FakeLink:
    """A device that runs a graph in the simulator, and can damage what it sends."""

    def __init__(
        self, graph: QGraph, damage_state_of: int = -1, signal: Signal | None = None
    ) -> None:
        self.graph = graph
        self.signal = signal or SIGNALS[0]  # that of the step to be traced
        self.damage_state_of = damage_state_of
        self.wanted = b""

    def hello(self, model_sha256: bytes) -> FakeInfo:
        self.wanted = model_sha256
        return FakeInfo()

    def reset(self, detail: bool) -> None:
        self.detail = detail

    def stream(
        self, frames: np.ndarray, events: Sequence[int], foreseen: Iterable[int] = ()
    ) -> Iterator[ResultRecord]:
        for index, d in enumerate(Stream(self.graph).run(frames, np.array(events))):
            state = bytearray(d.state)
            state[0] ^= int(index == self.damage_state_of)
            outputs = tuple(d.outputs.tolist())
            yield ResultRecord(d.stamp, 1000 + index, outputs, d.probes, bytes(state))

    def trace(self, operator: int, state: bytes) -> bytes:
        steps = Stream(self.graph).run(self.signal.frames, self.signal.events)
        step = next(d for d in steps if d.before == state)
        points = [t for op in self.graph.deciding_stage.ops for t in op.outputs]
        return pack(points[operator], step.values[points[operator].name])


RECORDINGS = [invented("a", 20, 1), invented("b", 12, 2)]
SIGNALS = [Signal(r.name, r.adc, r.beats) for r in RECORDINGS]


def damaged(graph: QGraph, name: str) -> QGraph:
    """Return the graph with one weight of one operator off by one."""
    stage = graph.deciding_stage
    ops = []
    for op in stage.ops:
        if op.name == name:
            assert isinstance(op, Linear)
            weight = op.weight.copy()
            weight[1, 0] += 1 if weight[1, 0] < 0 else -1
            op = replace(op, weight=weight)
        ops.append(op)
    return replace(graph, stages=(graph.stages[0], replace(stage, ops=tuple(ops))))


def test_equal_devices_verify() -> None:
    graph = toy_graph()
    link = FakeLink(graph)
    result = verify(graph, SIGNALS, link, name="fake")  # type: ignore[arg-type]
    assert result.passed
    assert link.wanted.hex() == graph_sha256(graph)
    assert link.detail
    assert result.steps == 32
    assert result.longest_run == 20
    document = result.to_json()
    assert document["mismatches"] == 0
    assert document["instructions_per_step"] == {"min": 1000, "median": 1007, "max": 1019}
    assert document["cycles_per_step"] is None


def test_one_wrong_bit_of_the_state_is_found() -> None:
    graph = toy_graph()
    link = FakeLink(graph, damage_state_of=7)
    result = verify(graph, SIGNALS, link, name="fake")  # type: ignore[arg-type]
    assert not result.passed
    assert result.mismatches == 2  # one in each recording
    first = result.first_mismatch
    assert first is not None
    assert (first.record, first.step, first.tensor) == ("a", 7, "average_next")
    assert first.element == 0
    assert first.got == first.expected ^ 1


def test_the_wrong_operator_is_named() -> None:
    graph = toy_graph()
    wrong = damaged(graph, "ff2_linear")
    result = verify(
        graph,
        SIGNALS[:1],
        FakeLink(wrong),  # type: ignore[arg-type]
        name="fake",
        open_trace=lambda: nullcontext(FakeLink(wrong)),  # type: ignore[arg-type,return-value]
    )
    first = result.first_mismatch
    assert first is not None
    assert (first.operator, first.tensor, first.element) == ("ff2_linear", "ff2_pre", 1)


def test_a_device_that_decides_less_fails() -> None:
    graph = toy_graph()

    class Lazy(FakeLink):
        def stream(
            self, frames: np.ndarray, events: Sequence[int], foreseen: Iterable[int] = ()
        ) -> Iterator[ResultRecord]:
            yield from list(super().stream(frames, events, foreseen))[:-1]

    result = verify(graph, SIGNALS[:1], Lazy(graph), name="fake")  # type: ignore[arg-type]
    assert result.mismatches == 1
    assert result.first_mismatch is not None
    assert result.first_mismatch.tensor == "stamp"
    assert result.first_mismatch.got == -1


def test_a_device_is_told_ahead_where_each_decision_falls() -> None:
    graph, told = toy_graph(), []

    class Told(FakeLink):
        def stream(
            self, frames: np.ndarray, events: Sequence[int], foreseen: Iterable[int] = ()
        ) -> Iterator[ResultRecord]:
            ahead = iter(foreseen)
            for record in super().stream(frames, events):
                told.append(next(ahead))
                yield record

    result = verify(graph, SIGNALS[:1], Told(graph), name="fake")  # type: ignore[arg-type]
    stream = Stream(graph)
    decided = [stream.frames for _ in stream.run(SIGNALS[0].frames, SIGNALS[0].events)]
    assert (told, result.mismatches) == (decided, 0)


def test_recordings_without_a_decision_are_refused() -> None:
    graph = toy_graph()
    short = Signal("s", RECORDINGS[0].adc[:900])
    with pytest.raises(VerificationError, match="no decision; give longer ones with beats"):
        verify(graph, [short], FakeLink(graph), name="fake")  # type: ignore[arg-type]


def test_decisions_are_judged_by_the_labels_of_their_own_recording() -> None:
    """Also where two recordings have one name."""
    graph = toy_graph()
    twins = [replace(r, name="twin") for r in RECORDINGS]
    signals = [Signal(r.name, r.adc, r.beats) for r in twins]
    judge = label_judge(graph, twins)
    result = verify(graph, signals, FakeLink(graph), name="fake", judge=judge)  # type: ignore[arg-type]
    assert result.judged is not None
    assert result.judged.n == result.steps == 32
    assert [r.n for r in result.judged.records] == [20, 12]
    assert result.longest_run == 20


def test_without_a_judge_there_is_no_accuracy() -> None:
    graph = toy_graph()
    result = verify(graph, SIGNALS[:1], FakeLink(graph), name="fake")  # type: ignore[arg-type]
    assert result.to_json()["accuracy"] is None


MOTION = [Signal("walk", motion(1, 90)), Signal("rest", motion(2, 31, 0, 9))]


def test_a_model_that_fires_on_frames_verifies_without_beats() -> None:
    graph = toy_every_graph()
    result = verify(graph, MOTION, FakeLink(graph), name="fake")  # type: ignore[arg-type]
    assert result.passed
    assert (result.steps, result.longest_run) == (22 + 7, 22)
    assert result.judged is None


def test_its_wrong_operator_is_named_too() -> None:
    graph = toy_every_graph()
    wrong = damaged(graph, "gate_linear")
    result = verify(
        graph,
        MOTION,
        FakeLink(wrong),  # type: ignore[arg-type]
        name="fake",
        open_trace=lambda: nullcontext(FakeLink(wrong, signal=MOTION[0])),  # type: ignore[arg-type,return-value]
    )
    first = result.first_mismatch
    assert first is not None
    assert (first.record, first.operator, first.tensor) == ("walk", "gate_linear", "gate_pre")
    assert first.element == 1


def test_too_few_frames_are_refused_without_a_word_of_beats() -> None:
    graph = toy_every_graph()
    short = Signal("s", motion(1, 5))
    with pytest.raises(VerificationError, match=r"no decision; give longer ones$"):
        verify(graph, [short], FakeLink(graph), name="fake")  # type: ignore[arg-type]


@pytest.mark.parametrize("frames", [motion(1, 90)[:, :2], motion(1, 90)[:, 0], motion(1, 90) / 2])
def test_frames_that_do_not_fit_the_model_are_named(frames: np.ndarray) -> None:
    graph = toy_every_graph()
    signals = [*MOTION, Signal("bad", frames)]
    with pytest.raises(VerificationError, match=r"bad: frames of shape .* takes int16 frames of 3"):
        verify(graph, signals, FakeLink(graph), name="fake")  # type: ignore[arg-type]

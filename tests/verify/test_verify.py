"""A verification sees every wrong bit and names where it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import pytest

from lnn_edge.device.counters import DecisionCost, LargestCall, Line, WrongCounter
from lnn_edge.device.link import LinkCounters
from lnn_edge.device.protocol import ResultRecord, Stats
from lnn_edge.errors import VerificationError
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import BLOB_CRC_BYTES, BLOB_HEAD_BYTES, Stream, pack
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.result import Verification
from lnn_edge.verify.verify import label_judge, verify
from tests.support.recordings import invented, renamed
from tests.support.toy import motion, toy_every_graph, toy_graph


@dataclass(frozen=True)
class FakeInfo:
    board_name: str = "fake"
    clock_source: str = "instructions"
    core_clock_hz: int = 216_000_000
    clock_warnings: tuple[str, ...] = ()
    reset_causes: tuple[str, ...] = ("power", "pin")
    is_image_good: bool | None = None


class FakeLink:
    """A device that runs a graph in the simulator, and can damage what it sends.

    A push takes it 10 and a poll 1, one that decides 1000 and the number of the decision.
    """

    def __init__(
        self,
        graph: QGraph,
        damage_state_of: int = -1,
        signal: Signal | None = None,
        info: FakeInfo | None = None,
        **troubles: int,
    ) -> None:
        self.graph = graph
        self.signal = signal or SIGNALS[0]  # that of the step to be traced
        self.damage_state_of = damage_state_of
        self.info = info or FakeInfo()
        self.troubles = troubles  # what its counters show too much after streaming
        self.wanted = b""
        self.streamed = False
        self.counters = LinkCounters(7, 5, 3, 1)
        self._stream = Stream(graph)
        self._frames = self._steps = 0

    def hello(self, model_sha256: bytes) -> FakeInfo:
        self.wanted = model_sha256
        return self.info

    def reset(self, detail: bool) -> None:
        self.detail = detail

    def stream(
        self, frames: np.ndarray, events: Sequence[int], foreseen: Iterable[int] = ()
    ) -> Iterator[ResultRecord]:
        self._stream, self._frames, self._steps = Stream(self.graph), len(frames), 0
        for index, d in enumerate(self._stream.run(frames, np.array(events))):
            self._steps += 1
            state = bytearray(d.state)
            if index == self.damage_state_of:
                state[0] ^= 1
            outputs = tuple(d.outputs.tolist())
            yield ResultRecord(d.stamp, 1000 + index, outputs, d.probes, bytes(state))

        self.streamed = True

    def stats(self) -> Stats:
        of_line = {"bad_frames": 2, "duplicates": 9, "steps": 4}  # of the sessions before
        facts = dict.fromkeys((f.name for f in fields(Stats)), 0) | of_line
        facts |= asdict(self._stream.counters)
        deciding = sum(1000 + i for i in range(self._steps))
        facts["decisions_cost"] = deciding
        facts["frames_cost"] = 11 * self._frames + deciding
        facts |= {"largest_push": 10, "largest_poll": 999 + self._steps}
        facts["largest_frame"] = 1010 + self._steps
        for name, more in self.troubles.items():
            facts[name] += more * self.streamed
        return Stats(**facts)

    def trace(self, operator: int, state: bytes) -> bytes:
        steps = Stream(self.graph).run(self.signal.frames, self.signal.events)
        own = slice(BLOB_HEAD_BYTES, -BLOB_CRC_BYTES)  # a damaged model has another name
        step = next(d for d in steps if d.before[own] == state[own])
        points = [t for op in self.graph.deciding_stage.ops for t in op.outputs]
        return pack(points[operator], step.values[points[operator].name])


RECORDINGS = [invented("a", 20, 1), invented("b", 12, 2)]
SIGNALS = [Signal(r.name, r.frames, r.events) for r in RECORDINGS]


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
    short = Signal("s", RECORDINGS[0].frames[:900])
    with pytest.raises(VerificationError, match="no decision; give longer ones with beats"):
        verify(graph, [short], FakeLink(graph), name="fake")  # type: ignore[arg-type]


def test_decisions_are_judged_by_the_labels_of_their_own_recording() -> None:
    """Also where two recordings have one name."""
    graph = toy_graph()
    twins = [renamed(r, "twin") for r in RECORDINGS]
    signals = [Signal(r.name, r.frames, r.events) for r in twins]
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


def look(link: FakeLink, signals: Sequence[Signal] = SIGNALS, **more: object) -> Verification:
    """Verify on a device."""
    return verify(link.graph, signals, link, name="fake", **more)  # type: ignore[arg-type]


def test_a_counter_that_is_not_the_simulators_fails() -> None:
    result = look(FakeLink(toy_graph(), events_rejected=3))
    assert (result.mismatches, result.is_exact, result.passed) == (0, True, False)
    assert result.wrong_counters == (
        WrongCounter("a", "events_rejected", 0, 3),
        WrongCounter("b", "events_rejected", 0, 3),
    )
    assert result.failures[0] == "a: the board counts 3 events_rejected, the simulator 0"
    document = result.to_json()
    assert document["passed"] is False
    assert document["failures"] == list(result.failures)


@pytest.mark.parametrize(
    "name", ["event_overflows", "events_rejected", "frames_skipped", "dt_saturations"]
)
def test_each_counter_of_the_model_is_compared(name: str) -> None:
    assert not look(FakeLink(toy_graph(), **{name: 1})).passed


def test_counters_that_both_sides_raise_are_right() -> None:
    """Events at once overflow the toy's queue of two, one comes again: both sides drop them."""
    frames = RECORDINGS[0].frames[:2000]
    signal = Signal("crowd", frames, np.array([300, 300, *range(301, 306), 800]))
    graph = toy_graph()
    result = look(FakeLink(graph), [signal])
    stream = Stream(graph)
    list(stream.run(signal.frames, signal.events))
    assert stream.counters.event_overflows > 0
    assert stream.counters.events_rejected > 0
    assert result.passed


def test_a_quiet_line_is_not_spoken_of() -> None:
    result = look(FakeLink(toy_graph()))
    assert result.line == Line(0, 0, 0, 0, 0, 0, 0, 0)
    assert (result.failures, result.warnings) == ((), ())


def test_a_noisy_line_is_told_and_falsifies_nothing() -> None:
    result = look(FakeLink(toy_graph(), bad_frames=2, rx_ring_overflows=31, sequence_errors=1))
    assert result.passed
    assert result.line == Line(2, 0, 31, 0, 1, 0, 0, 0)
    (said,) = result.warnings
    assert said == (
        "the line lost data, which falsifies no result: damaged blocks at the board 2, bytes that "
        "found its buffer full 31, requests out of sequence 1"
    )
    assert result.to_json()["warnings"] == [said]


@pytest.mark.parametrize(("duplicates", "is_told"), [(2, False), (3, True)])
def test_what_the_host_repeated_is_its_own_doing(duplicates: int, is_told: bool) -> None:
    class Slow(FakeLink):
        def stream(
            self, frames: np.ndarray, events: Sequence[int], foreseen: Iterable[int] = ()
        ) -> Iterator[ResultRecord]:
            yield from super().stream(frames, events, foreseen)
            self.counters = LinkCounters(9, 5 + 2, 3, 1 + 2)

    result = look(Slow(toy_graph(), duplicates=duplicates), SIGNALS[:1])
    assert result.passed
    assert result.line == Line(0, 0, 0, duplicates, 0, 2, 0, 2)
    assert bool(result.warnings) == is_told


def test_damaged_flash_fails_and_a_start_by_the_watchdog_is_told() -> None:
    damaged = look(FakeLink(toy_graph(), info=FakeInfo(is_image_good=False)))
    assert (damaged.is_exact, damaged.passed) == (True, False)
    assert "flash it again" in damaged.failures[0]
    hung = look(FakeLink(toy_graph(), info=FakeInfo(reset_causes=("pin", "watchdog"))))
    assert hung.passed
    assert "started by its watchdog" in hung.warnings[0]
    assert hung.to_json()["reset_causes"] == ["pin", "watchdog"]


SLOW = FakeInfo(core_clock_hz=16_000_000, clock_warnings=("the PLL did not lock",))


def test_a_board_on_its_slow_clock_fails() -> None:
    result = look(FakeLink(toy_graph(), info=SLOW))
    assert (result.is_exact, result.passed) == (True, False)
    assert result.failures == (
        "the core fell back to its slow clock, 16 MHz (the PLL did not lock): cycles and time are "
        "not those of the board",
    )
    assert result.to_json()["clock_warnings"] == ["the PLL did not lock"]


def test_where_there_are_no_oscillators_the_slow_clock_is_told() -> None:
    result = look(FakeLink(toy_graph(), info=SLOW), has_clock=False)
    assert result.passed
    (said,) = result.warnings
    assert said.startswith("the core fell back to its slow clock, 16 MHz (the PLL did not lock)")


def test_costs_are_those_of_all_signals() -> None:
    graph = toy_graph()
    graph = replace(graph, metadata=graph.metadata | {"sample_rate_hz": 360})
    result = look(FakeLink(graph))
    frames = sum(len(s.frames) for s in SIGNALS)
    deciding = sum(1000 + i for n in (20, 12) for i in range(n))
    assert result.largest_call == LargestCall("instructions", 1030, 10, 1019, 600_000.0)
    cost = DecisionCost("instructions", deciding / 32, 11 * frames / 32, frames / 32)
    assert result.decision_cost == cost
    assert "600,000 core clocks (uncalibrated" in result.largest_call.sentence
    assert result.to_json()["largest_call"] == asdict(result.largest_call)


def test_cycles_are_set_against_the_period_as_they_are() -> None:
    graph = toy_graph()
    graph = replace(graph, metadata=graph.metadata | {"sample_rate_hz": 360})
    quick, slow = (
        look(FakeLink(graph, info=FakeInfo(clock_source="dwt", core_clock_hz=hz)))
        for hz in (216_000_000, 360_000)
    )
    assert quick.largest_call is not None
    assert slow.largest_call is not None
    assert quick.largest_call.unit == "cycles"
    assert "samples wait" not in quick.largest_call.sentence
    assert slow.largest_call.sample_period_clocks == 1000
    assert "samples wait meanwhile" in slow.largest_call.sentence


def test_without_a_counter_or_a_rate_nothing_is_said_of_it() -> None:
    graph = replace(toy_graph(), metadata={})
    silent = look(FakeLink(graph, info=FakeInfo(clock_source="none")))
    assert (silent.largest_call, silent.decision_cost, silent.counts) == (None, None, None)
    call = look(FakeLink(graph)).largest_call
    assert call is not None
    assert call.sample_period_clocks is None


def test_instructions_by_function_are_those_of_the_streaming() -> None:
    counts = iter([{"start": 5, "step": 10}, {"start": 5, "step": 34, "fresh": 1}])
    result = look(FakeLink(toy_graph()), count_functions=lambda: next(counts))
    assert result.functions == {"step": 24, "fresh": 1}
    assert result.to_json()["instructions_by_function"] == {"step": 24, "fresh": 1}
    assert look(FakeLink(toy_graph())).functions is None

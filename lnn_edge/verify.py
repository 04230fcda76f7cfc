"""Proof that a device computes what the simulator computes, bit for bit, on recordings."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from lnn_edge.build import BuildResult, build
from lnn_edge.decisions import DecisionSequence, LabelledSignal
from lnn_edge.errors import DataError, VerificationError
from lnn_edge.graph import QGraph
from lnn_edge.graphio import graph_sha256
from lnn_edge.ir import QTensor
from lnn_edge.judge import Figures
from lnn_edge.judge import judge as judge_scores
from lnn_edge.link import Link
from lnn_edge.project import Project
from lnn_edge.protocol import Info, ResultRecord
from lnn_edge.runners import Image, make_runner
from lnn_edge.stage import EventTrigger
from lnn_edge.stream import Decision, Stream, state_layout, unpack

OpenTrace = Callable[[], AbstractContextManager[Link]]
"""Opens a link to the diagnostic build of the same firmware."""


Judge = Callable[[Sequence[Sequence[ResultRecord]]], Figures | None]
"""Compares what a device decided on each signal with labels; None where nothing has one."""


@dataclass(frozen=True, eq=False)
class Signal:
    """What a device is fed from a reset on.

    Attributes:
        name: For messages and the result.
        frames: (N, C) int16.
        events: (M,) ascending stamps; none for a model that takes no events.
    """

    name: str
    frames: np.ndarray
    events: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Mismatch:
    """The first difference.

    Attributes:
        record: Recording.
        step: Decision since its start, from 0.
        stamp: Sample index of the decision, -1 where one side decided less.
        operator: Operator that wrote the tensor; "" where the diagnostic build was not asked.
        tensor: First tensor that differs, or "stamp".
        element: Flat index of its first differing element.
        expected: Value of the simulator.
        got: Value of the device.
    """

    record: str
    step: int
    stamp: int
    operator: str
    tensor: str
    element: int
    expected: int
    got: int


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest count of a step."""

    min: int
    median: int
    max: int


@dataclass(frozen=True)
class Verification:
    """Outcome of a verification; to_json gives verify.json.

    Attributes:
        link: Name of the runner.
        board: Board that answered.
        model_sha256: Hash of the graph.
        records: Names of the signals streamed.
        steps: Decisions compared.
        longest_run: Most decisions without a reset between them.
        mismatches: Decisions that differ in any bit of probes, outputs or state.
        first_mismatch: Where the first one lies.
        clock_source: "dwt" (cycles of silicon), "instructions" (exact, emulated) or "none".
        core_clock_hz: As the device reports it.
        counts: Per step, in the unit of clock_source.
        judged: Accuracy of the device's decisions, None without labels.
        float_error: rmse and max_abs of the outputs against the model in real numbers, and the
            range of the latter; None without it.
        firmware_sha256: Hash of the image that the project's build gave for this link; None where
            it is not what a board on a serial port runs.
        built: Why it was built first; None if a fresh build lay there.
        lead: First lead of the recordings, None for the usual one of the data set.
        warnings: What a user must know of what the integers hold, a sentence each.
    """

    link: str
    board: str
    model_sha256: str
    records: tuple[str, ...]
    steps: int
    longest_run: int
    mismatches: int
    first_mismatch: Mismatch | None
    clock_source: str
    core_clock_hz: int
    counts: Spread | None
    judged: Figures | None
    float_error: dict[str, float] | None = None
    firmware_sha256: str | None = None
    built: str | None = None
    lead: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every decision was right in every bit."""
        return self.mismatches == 0 and self.steps > 0

    def to_json(self) -> dict[str, object]:
        """Return the document of verify.json."""
        counts = asdict(self.counts) if self.counts else None
        judged = self.judged
        return {
            "link": self.link,
            "board": self.board,
            "model_sha256": self.model_sha256,
            "records": list(self.records),
            "steps": self.steps,
            "longest_run": self.longest_run,
            "mismatches": self.mismatches,
            "first_mismatch": asdict(self.first_mismatch) if self.first_mismatch else None,
            "clock_source": self.clock_source,
            "core_clock_hz": self.core_clock_hz,
            "instructions_per_step": counts if self.clock_source == "instructions" else None,
            "cycles_per_step": counts if self.clock_source == "dwt" else None,
            "accuracy": judged and judged.accuracy,
            "macro_f1": judged and judged.macro_f1,
            "classes": {n: asdict(f) for n, f in judged.classes.items()} if judged else None,
            "float_error": self.float_error,
            "firmware_sha256": self.firmware_sha256,
            "built": self.built,
            "lead": self.lead,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class _Step:
    """One decision of both sides; None where a side has no more."""

    record: str
    index: int
    expected: Decision | None
    got: ResultRecord | None

    @property
    def agrees(self) -> bool:
        a, b = self.expected, self.got
        if a is None or b is None:
            return False
        same = a.stamp == b.stamp and tuple(a.outputs.tolist()) == b.outputs
        return same and a.probes == b.probes and a.state == b.state


def verify(
    graph: QGraph,
    signals: Sequence[Signal],
    link: Link,
    *,
    name: str,
    open_trace: OpenTrace | None = None,
    on_step: Callable[[], None] = lambda: None,
    judge: Judge = lambda _: None,
) -> Verification:
    """Stream signals to a device and compare every bit with the simulator.

    Each signal starts from a reset; inside it nothing is reset.

    Args:
        graph: The model that must run on the device.
        signals: In the model's contract.
        link: To the device.
        name: Of the runner, for the result.
        open_trace: Finds the first wrong operator after a mismatch; None leaves that out.
        on_step: Called after each decision.
        judge: Compares the device's decisions with labels, where there are any.

    Raises:
        LinkError: The device is silent, or runs another model.
        VerificationError: The signals do not fit the model or lead to no decision.
    """
    _check_signals(graph, signals)
    info = link.hello(bytes.fromhex(graph_sha256(graph)))
    runs: list[list[_Step]] = []
    for signal in signals:
        runs.append([])
        for step in _run(graph, signal, link):
            runs[-1].append(step)
            on_step()
    steps = [step for run in runs for step in run]
    if not steps:
        needed = "longer ones with beats" if _takes_events(graph) else "longer ones"
        raise VerificationError(f"the recordings lead to no decision; give {needed}")
    wrong = [s for s in steps if not s.agrees]
    first = _locate(graph, wrong[0], open_trace) if wrong else None
    return Verification(
        name,
        info.board_name,
        graph_sha256(graph),
        tuple(s.name for s in signals),
        len(steps),
        max(map(len, runs)),
        len(wrong),
        first,
        info.clock_source,
        info.core_clock_hz,
        _spread(info, steps),
        judge([[s.got for s in run if s.got is not None] for run in runs]),
    )


def verify_project(
    project: Project,
    spec: str,
    recordings: Sequence[LabelledSignal],
    on_step: Callable[[], None] = lambda: None,
) -> Verification:
    """Verify a project on labelled recordings, and judge what it decides; see verify_signals."""
    signals = [Signal(r.name, r.frames, r.events) for r in recordings]
    return verify_signals(project, spec, signals, on_step, label_judge(project.graph, recordings))


def verify_signals(
    project: Project,
    spec: str,
    signals: Sequence[Signal],
    on_step: Callable[[], None] = lambda: None,
    judge: Judge = lambda _: None,
) -> Verification:
    """Bring a built project to a device and verify it there.

    Args:
        project: Its firmware is built first, unless a fresh build of it lies there.
        spec: Runner, see runners.make_runner.
        signals: In the model's contract.
        on_step: Called after each decision.
        judge: Compares the device's decisions with labels, where there are any.

    Raises:
        BuildError: The firmware does not build.
        LinkError, MissingToolError: The device or the compiler cannot be had.
    """
    preset = "host" if spec == "host" else "board"
    is_serial = spec.startswith("serial:")

    @contextmanager
    def open_link(built: BuildResult) -> Iterator[Link]:
        with make_runner(spec, project.board) as runner:
            runner.flash(Image(built.elf, built.bin))
            with Link(runner.serial_url(), elf=built.elf, diagnose=runner.diagnosis) as link:
                yield link

    def open_trace() -> AbstractContextManager[Link]:
        return open_link(build(project.folder, f"{preset}-trace"))

    make_runner(spec, project.board)  # an unknown one is refused before anything is built
    built = build(project.folder, preset)
    with open_link(built) as link:
        result = verify(
            project.graph,
            signals,
            link,
            name=spec,
            open_trace=None if is_serial else open_trace,
            on_step=on_step,
            judge=judge,
        )
    is_elsewhere = is_serial and built.why is not None  # the board runs an older one
    return replace(result, firmware_sha256=None if is_elsewhere else built.sha256, built=built.why)


def write_verification(result: Verification, folder: Path) -> Path:
    """Write a project's verify-LINK.json and, as the newest, verify.json; return the former."""
    text = json.dumps(result.to_json(), indent=1) + "\n"
    link = re.sub("[^a-z0-9]+", "-", result.link.lower()).strip("-")
    newest, path = folder / "verify.json", folder / f"verify-{link}.json"
    for each in (newest, path):
        temporary = each.with_name(f".{each.name}.tmp")
        temporary.write_text(text)
        temporary.replace(each)
    return path


def _check_signals(graph: QGraph, signals: Sequence[Signal]) -> None:
    channels = graph.frame.size
    for signal in signals:
        frames = signal.frames
        if frames.dtype != np.int16 or frames.ndim != 2 or frames.shape[1] != channels:
            raise VerificationError(
                f"{signal.name}: frames of shape {frames.shape} and type {frames.dtype}; model "
                f"{graph.name} takes int16 frames of {channels} channels"
            )


def _takes_events(graph: QGraph) -> bool:
    return isinstance(graph.deciding_trigger, EventTrigger)


def _run(graph: QGraph, signal: Signal, link: Link) -> Iterator[_Step]:
    """Stream a signal; the simulator goes ahead and tells where decisions fill a reply."""
    link.reset(detail=True)
    stream = Stream(graph)
    simulated: deque[Decision] = deque()

    def foresee() -> Iterator[int]:
        for decision in stream.run(signal.frames, signal.events):
            simulated.append(decision)
            yield stream.frames

    foreseen = foresee()

    def expect() -> Iterator[Decision]:
        while simulated or next(foreseen, None) is not None:
            yield simulated.popleft()

    got = link.stream(signal.frames, signal.events.tolist(), foreseen)
    # The device first, so that what is foreseen is asked for by the one who cuts the requests.
    for index, (b, a) in enumerate(zip_longest(got, expect())):
        yield _Step(signal.name, index, a, b)


def _spread(info: Info, steps: Sequence[_Step]) -> Spread | None:
    counts = [s.got.cycles for s in steps if s.got is not None]
    if info.clock_source == "none" or not counts:
        return None
    return Spread(min(counts), int(np.median(counts)), max(counts))


def label_judge(graph: QGraph, recordings: Sequence[LabelledSignal]) -> Judge:
    """Return a judge of decisions on recordings, which are streamed in this order.

    Recordings of another task are not judged.
    """

    def judge(runs: Sequence[Sequence[ResultRecord]]) -> Figures | None:
        sequences, scores = [], []
        for recording, run in zip(recordings, runs, strict=True):
            stamps = np.array([r.stamp for r in run], np.int64)
            labels = recording.labels_at(stamps)
            name, patient = recording.name, recording.patient
            sequences.append(DecisionSequence(name, patient, stamps, labels, {}))
            shape = (len(run), graph.output.size)
            scores.append(np.array([r.outputs for r in run], np.int64).reshape(shape))
        try:
            return judge_scores(sequences, scores, graph.classes)
        except DataError:  # too few labels for a figure; the bits are proved all the same
            return None

    names = graph.classes
    fits = bool(names) and all(r.classes[: len(names)] == names for r in recordings)
    return judge if fits else lambda _: None


def _locate(graph: QGraph, step: _Step, open_trace: OpenTrace | None) -> Mismatch:
    """Return the first difference, by operator if the diagnostic build can be asked."""
    if step.expected is None or step.got is None or step.expected.stamp != step.got.stamp:
        stamps = [-1 if d is None else d.stamp for d in (step.expected, step.got)]
        return Mismatch(step.record, step.index, stamps[0], "", "stamp", 0, stamps[0], stamps[1])
    if open_trace is not None:
        with open_trace() as link:
            found = _trace(graph, step, step.expected, link)
        if found is not None:
            return found
    return _compare(graph, step, step.expected, step.got)


def _trace(graph: QGraph, step: _Step, expected: Decision, link: Link) -> Mismatch | None:
    """Replay the step operator by operator from the state before it."""
    link.hello(bytes.fromhex(graph_sha256(graph)))
    link.reset(detail=False)
    points = [(op.name, tensor) for op in graph.deciding_stage.ops for tensor in op.outputs]
    for index, (operator, tensor) in enumerate(points):
        got = unpack(tensor, link.trace(index, expected.before))
        if not np.array_equal(got, expected.values[tensor.name]):
            return _difference(step, operator, tensor, expected, got)
    return None


def _compare(graph: QGraph, step: _Step, expected: Decision, got: ResultRecord) -> Mismatch:
    """Return the first difference in what a result carries."""
    stage = graph.deciding_stage
    for tensor, values in _split(stage.probes, got.probes):
        if not np.array_equal(values, expected.values[tensor.name]):
            return _difference(step, "", tensor, expected, values)
    outputs = np.array(got.outputs, np.int64)
    if not np.array_equal(outputs, expected.outputs):
        return _difference(step, "", graph.output, expected, outputs)
    states = [s.update for s in state_layout(graph)]
    for tensor, values in _split(states, got.state):
        if not np.array_equal(values, expected.values[tensor.name]):
            return _difference(step, "", tensor, expected, values)
    raise VerificationError(f"{step.record}: step {step.index} differs in padding only")


def _split(tensors: Sequence[QTensor], raw: bytes) -> Iterator[tuple[QTensor, np.ndarray]]:
    offset = 0
    for tensor in tensors:
        yield tensor, unpack(tensor, raw[offset : offset + tensor.bytes])
        offset += tensor.bytes


def _difference(
    step: _Step, operator: str, tensor: QTensor, expected: Decision, got: np.ndarray
) -> Mismatch:
    want, have = expected.values[tensor.name].ravel(), got.ravel()
    element = int(np.flatnonzero(want != have)[0])
    return Mismatch(
        step.record,
        step.index,
        expected.stamp,
        operator,
        tensor.name,
        element,
        int(want[element]),
        int(have[element]),
    )

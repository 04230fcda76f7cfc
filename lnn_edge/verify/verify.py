"""Proof that a device computes what the simulator computes, bit for bit, on recordings."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from lnn_edge.build.cmake import BuildResult, build
from lnn_edge.build.project import Project
from lnn_edge.device.counters import (
    DecisionCost,
    LargestCall,
    Line,
    WrongCounter,
    compare_counters,
    decision_cost,
    largest_call,
)
from lnn_edge.device.link import Link
from lnn_edge.device.protocol import Info, ResultRecord, Stats
from lnn_edge.device.runners import AbstractRunner, Image, make_runner
from lnn_edge.errors import DataError, VerificationError
from lnn_edge.files.write import write_whole
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal
from lnn_edge.graph.sim.stream import Decision, Stream, state_layout, unpack
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.tasks.judge import Figures
from lnn_edge.tasks.judge import judge as judge_scores
from lnn_edge.tasks.learned import Overlap, is_invented, learned_by_graph, overlap
from lnn_edge.verify.journal import Journal, Past, journal_key

OpenTrace = Callable[[], AbstractContextManager[Link]]
"""Opens a link to the diagnostic build of the same firmware."""

CountFunctions = Callable[[], Mapping[str, int] | None]
"""Tells the instructions retired in each function so far; None where nobody counts them."""

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
        operator: Operator that wrote the tensor, of one inside a loop with its round, from 0:
            "name[3]"; "" where the diagnostic build was not asked.
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
class OutputCheck:
    """What was seen of one output.

    Attributes:
        output: Where it lies, and what it means.
        mismatches: Decisions in which any bit of it differs.
        float_error: rmse and max_abs of it against the model in real numbers, and the range of the
            latter; None without it.
    """

    output: Output
    mismatches: int
    float_error: dict[str, float] | None = None

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        checked = {"mismatches": self.mismatches, "float_error": self.float_error}
        return {**asdict(self.output), **checked}


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
        outputs: What was seen of each output.
        firmware_sha256: Hash of the image that the project's build gave for this link; None where
            it is not what a board on a serial port runs.
        built: Why it was built first; None if a fresh build lay there.
        lead: First lead of the recordings, None for the usual one of the data set.
        resolution_warnings: What a user must know of what the integers hold, a sentence each.
        wrong_counters: Counters of the model that are not the simulator's.
        clock_warnings: Why the board fell back to its slow clock; empty if it did not.
        has_clock: Whether the device can come up on its configured clock at all; QEMU cannot.
        counts_samples: Whether counts hold what the samples made the model compute before it
            decided; if not, the decision alone.
        line: What the serial line went through, None if nobody looked.
        largest_call: The most that one sample made the model compute, None without a counter.
        decision_cost: What a decision takes, with and without its samples, None without a counter.
        functions: Instructions retired in each function of the firmware from the first reset to
            the last answer, None where nobody counts them.
        trained_on: Which of the recordings the model learned from, None if nobody asked.
        is_invented: Whether there is no accuracy because it would mean nothing, see
            learned.is_invented.
        resumed_steps: Decisions that an interrupted run of the same verification left.
        reset_causes: Why the device started last, see Info.
        is_image_good: Whether its flash holds what was built; None if nobody knows.
        stack_free_bytes: Of its stack, that nothing has written to; None if it does not tell.
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
    outputs: tuple[OutputCheck, ...] = ()
    firmware_sha256: str | None = None
    built: str | None = None
    lead: str | None = None
    resolution_warnings: tuple[str, ...] = ()
    wrong_counters: tuple[WrongCounter, ...] = ()
    clock_warnings: tuple[str, ...] = ()
    has_clock: bool = True
    counts_samples: bool = False
    line: Line | None = None
    largest_call: LargestCall | None = None
    decision_cost: DecisionCost | None = None
    functions: dict[str, int] | None = None
    trained_on: Overlap | None = None
    is_invented: bool = False
    resumed_steps: int = 0
    reset_causes: tuple[str, ...] = ()
    is_image_good: bool | None = None
    stack_free_bytes: int | None = None

    @property
    def float_error(self) -> dict[str, float] | None:
        """That of the only output; None without it, and where there are several."""
        return self.outputs[0].float_error if len(self.outputs) == 1 else None

    @property
    def is_exact(self) -> bool:
        """Whether every decision was right in every bit."""
        return self.mismatches == 0 and self.steps > 0

    @property
    def passed(self) -> bool:
        """Whether every bit and counter was right, on the clock that was configured."""
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each thing that fails the verification."""
        said = [c.sentence for c in self.wrong_counters]
        if not self.is_exact:
            said.insert(0, f"{self.mismatches} of {self.steps} steps differ from the simulator")
        if self.is_image_good is False:
            said.append("code or constants in flash are not those that were built: flash it again")
        if self.clock_warnings and self.has_clock:
            said.append(f"{self._slow_clock}: cycles and time are not those of the board")
        return tuple(said)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each thing that must be known and fails nothing."""
        said = list(self.resolution_warnings)
        if self.clock_warnings and not self.has_clock:
            said.append(f"{self._slow_clock}, as always on {self.link}, which has no oscillators")
        if self.line is not None and self.line.sentence is not None:
            said.append(self.line.sentence)
        if any("watchdog" in cause for cause in self.reset_causes):
            said.append(
                "the board was started by its watchdog: its program hung or stopped on a fault"
            )
        return tuple(said)

    @property
    def _slow_clock(self) -> str:
        reasons = ", ".join(self.clock_warnings)
        return f"the core fell back to its slow clock, {self.core_clock_hz / 1e6:g} MHz ({reasons})"

    def to_json(self) -> dict[str, object]:
        """Return the document of verify.json."""
        counts = asdict(self.counts) if self.counts else None
        judged = self.judged
        return {
            "link": self.link,
            "passed": self.passed,
            "failures": list(self.failures),
            "warnings": list(self.warnings),
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
            "counts_samples": self.counts_samples,
            "accuracy": judged and judged.accuracy,
            "macro_f1": judged and judged.macro_f1,
            "classes": {n: asdict(f) for n, f in judged.classes.items()} if judged else None,
            "main_classes": judged and list(judged.main_classes),
            "absent_classes": judged and list(judged.absent_classes),
            "trained_on": self.trained_on and self.trained_on.to_json(),
            "is_invented": self.is_invented,
            "float_error": self.float_error,
            "outputs": [checked.to_json() for checked in self.outputs],
            "firmware_sha256": self.firmware_sha256,
            "built": self.built,
            "lead": self.lead,
            "wrong_counters": [asdict(c) for c in self.wrong_counters],
            "clock_warnings": list(self.clock_warnings),
            "line": self.line and asdict(self.line),
            "largest_call": self.largest_call and asdict(self.largest_call),
            "decision_cost": self.decision_cost and asdict(self.decision_cost),
            "instructions_by_function": self.functions,
            "resumed_steps": self.resumed_steps,
            "reset_causes": list(self.reset_causes),
            "is_image_good": self.is_image_good,
            "stack_free_bytes": self.stack_free_bytes,
        }


@dataclass(frozen=True)
class _Exchange:
    """What came of streaming all signals; see the attributes of Verification.

    Attributes:
        runs: Steps of each signal.
        stats: Counters of the board after each signal.
    """

    runs: list[list[_Step]]
    stats: list[Stats]
    wrong_counters: tuple[WrongCounter, ...]
    line: Line
    functions: dict[str, int] | None

    @property
    def steps(self) -> list[_Step]:
        """All steps."""
        return [step for run in self.runs for step in run]


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

    def agrees_in(self, output: Output) -> bool:
        """Whether both sides decided, and alike in one output."""
        if self.expected is None or self.got is None:
            return False
        expected, got = self.expected.outputs, np.array(self.got.outputs, np.int64)
        return np.array_equal(output.part(expected), output.part(got))


def verify(
    graph: QGraph,
    signals: Sequence[Signal],
    link: Link,
    *,
    name: str,
    open_trace: OpenTrace | None = None,
    on_frames: Callable[[int], None] = lambda _: None,
    judge: Judge = lambda _: None,
    has_clock: bool = True,
    count_functions: CountFunctions = lambda: None,
    journal: Journal | None = None,
) -> Verification:
    """Stream signals to a device; compare every bit and every counter with the simulator.

    Each signal starts from a reset; inside it nothing is reset.

    Args:
        graph: The model that must run on the device.
        signals: In the model's contract.
        link: To the device.
        name: Of the runner, for the result.
        open_trace: Finds the first wrong operator after a mismatch; None leaves that out.
        on_frames: Called with the frames that the device has taken since the call before.
        judge: Compares the device's decisions with labels, where there are any.
        has_clock: Whether the device can come up on its configured clock.
        count_functions: Asks who emulates the device.
        journal: Keeps what is learned, and what an interrupted run has left.

    Raises:
        LinkError: The device is silent, or runs another model.
        VerificationError: The signals do not fit the model or lead to no decision.
    """
    _check_signals(graph, signals)
    info = link.hello(bytes.fromhex(graph_sha256(graph)))
    resumed = journal.steps if journal else 0
    exchange = _exchange(graph, signals, link, on_frames, count_functions, journal)
    steps, decided = exchange.steps, [[s.got for s in run if s.got] for run in exchange.runs]
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
        max(map(len, exchange.runs)),
        len(wrong),
        first,
        info.clock_source,
        info.core_clock_hz,
        _spread(info, steps),
        judge(decided),
        outputs=tuple(_check_output(output, steps) for output in graph.outputs),
        wrong_counters=exchange.wrong_counters,
        clock_warnings=info.clock_warnings,
        has_clock=has_clock,
        counts_samples=graph.prepares,
        line=exchange.line,
        largest_call=largest_call(info, exchange.stats, _sample_rate_hz(graph)),
        decision_cost=decision_cost(
            info, exchange.stats, sum(len(s.frames) for s in signals), sum(map(len, decided))
        ),
        functions=None if resumed else exchange.functions,
        resumed_steps=resumed,
        reset_causes=info.reset_causes,
        is_image_good=info.is_image_good,
        stack_free_bytes=min(s.stack_free_bytes for s in exchange.stats) or None,
    )


def verify_project(
    project: Project,
    spec: str,
    recordings: Sequence[LabelledSignal],
    on_frames: Callable[[int], None] = lambda _: None,
    dataset: str | None = None,
) -> Verification:
    """Verify a project on labelled recordings, and judge what it decides; see verify_signals.

    Args:
        project: See verify_signals.
        spec: See verify_signals.
        recordings: In the model's contract.
        on_frames: See verify_signals.
        dataset: Where the recordings are from: a name or a folder. It tells what the model has
            learned of them, and whether figures over them mean anything.
    """
    graph = project.graph
    signals = [Signal(r.name, r.frames, r.events) for r in recordings]
    invented = dataset is not None and is_invented(dataset, graph)
    judge = (lambda _: None) if invented else label_judge(graph, recordings)
    result = verify_signals(project, spec, signals, on_frames, judge)
    if dataset is None:
        return result
    trained_on = overlap(learned_by_graph(graph), dataset, recordings)
    return replace(result, trained_on=trained_on, is_invented=invented)


def verify_signals(
    project: Project,
    spec: str,
    signals: Sequence[Signal],
    on_frames: Callable[[int], None] = lambda _: None,
    judge: Judge = lambda _: None,
) -> Verification:
    """Bring a built project to a device and verify it there.

    Args:
        project: Its firmware is built first, unless a fresh build of it lies there.
        spec: Runner, see runners.make_runner.
        signals: In the model's contract.
        on_frames: Called with the frames that the device has taken since the call before.
        judge: Compares the device's decisions with labels, where there are any.

    Raises:
        BuildError: The firmware does not build.
        LinkError, MissingToolError: The device or the compiler cannot be had.
    """
    preset = "host" if spec == "host" else "board"
    is_serial = spec.startswith("serial:")

    @contextmanager
    def open_device(built: BuildResult) -> Iterator[tuple[AbstractRunner, Link]]:
        with make_runner(spec, project.board) as runner:
            runner.flash(Image(built.elf, built.bin))
            with Link(runner.serial_url(), elf=built.elf, diagnose=runner.diagnosis) as link:
                yield runner, link

    @contextmanager
    def open_trace() -> Iterator[Link]:
        with open_device(build(project.folder, f"{preset}-trace")) as (_, link):
            yield link

    make_runner(spec, project.board)  # an unknown one is refused before anything is built
    built = build(project.folder, preset)
    with (
        _journal(project, spec, built, signals) as journal,
        open_device(built) as (runner, link),
    ):
        result = verify(
            project.graph,
            signals,
            link,
            name=spec,
            open_trace=None if is_serial else open_trace,
            on_frames=on_frames,
            judge=judge,
            has_clock=runner.has_clock,
            count_functions=runner.instructions_by_function,
            journal=journal,
        )
    is_elsewhere = is_serial and built.why is not None  # the board runs an older one
    return replace(result, firmware_sha256=None if is_elsewhere else built.sha256, built=built.why)


def write_verification(result: Verification, folder: Path) -> Path:
    """Write a project's verify-LINK.json and, as the newest, verify.json; return the former."""
    text = json.dumps(result.to_json(), indent=1) + "\n"
    newest, path = folder / "verify.json", folder / f"verify-{_file_name(result.link)}.json"
    for each in (newest, path):
        write_whole(each, text)
    return path


def _file_name(link: str) -> str:
    return re.sub("[^a-z0-9]+", "-", link.lower()).strip("-")


@contextmanager
def _journal(
    project: Project, spec: str, built: BuildResult, signals: Sequence[Signal]
) -> Iterator[Journal]:
    """Keep a journal in the project, which goes once the verification is made."""
    parts = [spec, built.sha256, graph_sha256(project.graph), *(s.name for s in signals)]
    arrays = [array for signal in signals for array in (signal.frames, signal.events)]
    path = project.folder / f".verify-{_file_name(spec)}.part"
    journal = Journal(path, journal_key(parts, arrays))
    try:
        yield journal
        journal.remove()
    finally:
        journal.close()


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


def _exchange(
    graph: QGraph,
    signals: Sequence[Signal],
    link: Link,
    on_frames: Callable[[int], None],
    count_functions: CountFunctions,
    journal: Journal | None,
) -> _Exchange:
    """Stream the signals, and look at the counters of both ends before, between and after."""
    runs: list[list[_Step]] = []
    stats: list[Stats] = []
    board, host, functions = link.stats(), link.counters, count_functions()
    wrong: list[WrongCounter] = []
    for index, signal in enumerate(signals):
        past = journal.past(index, link.info.record_layout(True)) if journal else Past()
        stream, run, taken = Stream(graph), list[_Step](), 0
        for step in _run(stream, signal, link, past, journal):
            run.append(step)
            on_frames(stream.frames - taken)
            taken = stream.frames
        on_frames(len(signal.frames) - taken)
        runs.append(run)
        stats.append(past.stats or link.stats())
        if journal and not past.stats:
            journal.end(stats[-1])
        wrong += compare_counters(signal.name, stream.counters, stats[-1])
    line = Line.between((board, link.stats()), (host, link.counters))
    return _Exchange(runs, stats, tuple(wrong), line, _added(functions, count_functions()))


def _sample_rate_hz(graph: QGraph) -> float | None:
    rate = graph.metadata.get("sample_rate_hz")
    return float(rate) if isinstance(rate, (int, float)) and rate > 0 else None


def _added(
    before: Mapping[str, int] | None, after: Mapping[str, int] | None
) -> dict[str, int] | None:
    """Return what came to each count, None where nobody counts."""
    if before is None or after is None:
        return None
    more = {name: n - before.get(name, 0) for name, n in after.items()}
    return {name: n for name, n in more.items() if n}


def _run(
    stream: Stream, signal: Signal, link: Link, past: Past, journal: Journal | None
) -> Iterator[_Step]:
    """Stream a signal; the simulator goes ahead and tells where decisions fill a reply."""
    simulated: deque[Decision] = deque()

    def foresee() -> Iterator[int]:
        for decision in stream.run(signal.frames, signal.events):
            simulated.append(decision)
            yield stream.frames

    foreseen = foresee()

    def expect() -> Iterator[Decision]:
        while simulated or next(foreseen, None) is not None:
            yield simulated.popleft()

    got = chain(past.records, _rest(signal, link, past, foreseen, journal))
    # The device first, so that what is foreseen is asked for by the one who cuts the requests.
    for index, (b, a) in enumerate(zip_longest(got, expect())):
        yield _Step(signal.name, index, a, b)


def _rest(
    signal: Signal, link: Link, past: Past, foreseen: Iterator[int], journal: Journal | None
) -> Iterator[ResultRecord]:
    """Stream what of a signal is not known yet."""
    if past.stats:
        return
    link.reset(detail=True)
    if past.checkpoint:
        link.take_up(past.checkpoint)
    begin = past.checkpoint.frames if past.checkpoint else 0
    events = signal.events[signal.events >= begin].tolist()
    for record in link.stream(signal.frames[begin:], events, foreseen):
        if journal:
            journal.note(record, link.checkpoint)
        yield record


def _check_output(output: Output, steps: Sequence[_Step]) -> OutputCheck:
    return OutputCheck(output, sum(not step.agrees_in(output) for step in steps))


def _spread(info: Info, steps: Sequence[_Step]) -> Spread | None:
    counts = [s.got.cycles for s in steps if s.got is not None]
    if info.clock_source == "none" or not counts:
        return None
    return Spread(min(counts), int(np.median(counts)), max(counts))


def label_judge(graph: QGraph, recordings: Sequence[LabelledSignal]) -> Judge:
    """Return a judge of decisions on recordings, which are streamed in this order.

    Recordings of another task are not judged.
    """
    names, decided = graph.classes, graph.scores
    if decided is None or any(r.classes[: len(names)] != names for r in recordings):
        return lambda _: None

    def judge(runs: Sequence[Sequence[ResultRecord]]) -> Figures | None:
        sequences, scores = [], []
        for recording, run in zip(recordings, runs, strict=True):
            stamps = np.array([r.stamp for r in run], np.int64)
            labels = recording.labels_at(stamps)
            name, patient = recording.name, recording.patient
            sequences.append(DecisionSequence(name, patient, stamps, labels, {}))
            shape = (len(run), graph.output.size)
            outputs = np.array([r.outputs for r in run], np.int64).reshape(shape)
            scores.append(decided.part(outputs))
        try:
            return judge_scores(sequences, scores, names)
        except DataError:  # too few labels for a figure; the bits are proved all the same
            return None

    return judge


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
    point = 0
    for op in graph.deciding_stage.ops:
        inside, point = point, point + op.rounds * sum(len(o.outputs) for o in op.nested)
        for tensor in op.outputs:
            got = unpack(tensor, link.trace(point, expected.before))
            if not np.array_equal(got, expected.values[tensor.name]):
                found = _trace_inside(op, inside, step, expected, link)
                return found or _difference(step, op.name, tensor, expected.values, got)
            point += 1
    return None


def _trace_inside(
    op: AbstractOp, point: int, step: _Step, expected: Decision, link: Link
) -> Mismatch | None:
    """Replay the rounds of a loop operator by operator."""
    if not isinstance(op, Loop):
        return None
    for turn, values in enumerate(op.run(expected.values[op.inputs[0].name])):
        for inner in op.body:
            for tensor in inner.outputs:
                got = unpack(tensor, link.trace(point, expected.before))
                if not np.array_equal(got, values[tensor.name]):
                    return _difference(step, f"{inner.name}[{turn}]", tensor, values, got)
                point += 1
    return None


def _compare(graph: QGraph, step: _Step, expected: Decision, got: ResultRecord) -> Mismatch:
    """Return the first difference in what a result carries."""
    stage = graph.deciding_stage
    for tensor, values in _split(stage.probes, got.probes):
        if not np.array_equal(values, expected.values[tensor.name]):
            return _difference(step, "", tensor, expected.values, values)
    outputs = np.array(got.outputs, np.int64)
    if not np.array_equal(outputs, expected.outputs):
        return _difference(step, "", graph.output, expected.values, outputs)
    states = [s.update for s in state_layout(graph)]
    for tensor, values in _split(states, got.state):
        if not np.array_equal(values, expected.values[tensor.name]):
            return _difference(step, "", tensor, expected.values, values)
    raise VerificationError(f"{step.record}: step {step.index} differs in padding only")


def _split(tensors: Sequence[QTensor], raw: bytes) -> Iterator[tuple[QTensor, np.ndarray]]:
    offset = 0
    for tensor in tensors:
        yield tensor, unpack(tensor, raw[offset : offset + tensor.bytes])
        offset += tensor.bytes


def _difference(
    step: _Step, operator: str, tensor: QTensor, expected: Values, got: np.ndarray
) -> Mismatch:
    want, have = expected[tensor.name].ravel(), got.ravel()
    element = int(np.flatnonzero(want != have)[0])
    return Mismatch(
        step.record,
        step.index,
        -1 if step.expected is None else step.expected.stamp,
        operator,
        tensor.name,
        element,
        int(want[element]),
        int(have[element]),
    )

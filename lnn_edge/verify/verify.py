"""Proof that a device computes what the simulator computes, bit for bit, on recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np

from lnn_edge.build.cmake import BuildResult, build
from lnn_edge.build.project import Project
from lnn_edge.codegen.fuse import fuse_stage
from lnn_edge.codegen.kernels import Core
from lnn_edge.device.board_info import Info
from lnn_edge.device.counters import decision_cost, largest_call
from lnn_edge.device.link import Link
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.device.runners import make_runner
from lnn_edge.errors import DataError, VerificationError
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import LabelledSignal, labelled
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.tasks.feed import Feed
from lnn_edge.tasks.judge import Figures
from lnn_edge.tasks.judge import judge as judge_scores
from lnn_edge.tasks.judged_output import judged_output
from lnn_edge.tasks.learned import is_invented, learned_by_graph, overlap
from lnn_edge.tasks.registry import task_of
from lnn_edge.verify.device import open_device, preset_of
from lnn_edge.verify.exchange import CountFunctions, Signal, Step, stream_signals
from lnn_edge.verify.journal import Journal, journal_key
from lnn_edge.verify.locate import OpenTrace, locate
from lnn_edge.verify.result import OutputCheck, Spread, Verification, link_file_name
from lnn_edge.verify.stand_in import stand_in

Judge = Callable[[Sequence[Sequence[ResultRecord]]], Figures | None]
"""Compares what a device decided on each signal with labels; None where nothing has one."""


def verify(
    graph: QGraph,
    signals: Sequence[Signal],
    link: Link,
    *,
    name: str,
    open_trace: OpenTrace | None = None,
    traced: Sequence[AbstractOp] | None = None,
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
        traced: Operators of the diagnostic build; None if they are those of the graph.
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
    exchange = stream_signals(graph, signals, link, on_frames, count_functions, journal)
    steps, decided = exchange.steps, [[s.got for s in run if s.got] for run in exchange.runs]
    if not steps:
        needed = "longer ones with beats" if _takes_events(graph) else "longer ones"
        raise VerificationError(f"the recordings lead to no decision; give {needed}")
    wrong = [s for s in steps if not s.agrees]
    first = locate(graph, wrong[0], open_trace, traced) if wrong else None
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
    until: ExitStack | None = None,
) -> Verification:
    """Verify a project on labelled recordings, and judge what it decides; see verify_signals.

    Args:
        project: See verify_signals.
        spec: See verify_signals.
        recordings: In the model's contract.
        on_frames: See verify_signals.
        dataset: Where the recordings are from: a name or a folder. It tells what the model has
            learned of them, and whether figures over them mean anything.
        until: See verify_signals.
    """
    graph = project.graph
    signals = [Signal(r.name, r.frames, r.events) for r in recordings]
    invented = dataset is not None and is_invented(dataset, graph)
    judge = (lambda _: None) if invented else label_judge(graph, recordings)
    result = verify_signals(project, spec, signals, on_frames, judge, until)
    if dataset is None:
        return result
    trained_on = overlap(learned_by_graph(graph, project.floats), dataset, recordings)
    return replace(result, trained_on=trained_on, is_invented=invented)


def verify_feed(
    project: Project,
    spec: str,
    feed: Feed,
    on_frames: Callable[[int], None] = lambda _: None,
    until: ExitStack | None = None,
) -> Verification:
    """Verify a project on the recordings that a user wants; see verify_project."""
    result = verify_project(project, spec, feed.recordings, on_frames, feed.dataset, until)
    return replace(result, lead=feed.lead)


def verify_signals(
    project: Project,
    spec: str,
    signals: Sequence[Signal],
    on_frames: Callable[[int], None] = lambda _: None,
    judge: Judge = lambda _: None,
    until: ExitStack | None = None,
) -> Verification:
    """Bring a built project to a device and verify it there.

    Args:
        project: Its firmware is built first, unless a fresh build of it lies there.
        spec: Runner, see runners.make_runner.
        signals: In the model's contract.
        on_frames: Called with the frames that the device has taken since the call before.
        judge: Compares the device's decisions with labels, where there are any.
        until: Block in which the result is written: what the device said is kept on disk until it
            ends without an error. None ends it here.

    Raises:
        BuildError: The firmware does not build.
        LinkError, MissingToolError: The device or the compiler is not available.
    """
    is_serial = spec.startswith("serial:")

    @contextmanager
    def open_trace() -> Iterator[Link]:
        built = build(target.folder, f"{preset_of(spec)}-trace")
        with open_device(target.board, spec, built) as (_, link):
            yield link

    target = stand_in(project, spec)
    core = Core(project.board.mcu.cpu, project.board.mcu.dsp)
    make_runner(spec, target.board)  # an unknown one is refused before anything is built
    built = build(target.folder, preset_of(spec))
    with ExitStack() as here:
        journal = (until or here).enter_context(_journal(project, spec, built, signals))
        runner, link = here.enter_context(open_device(target.board, spec, built))
        result = verify(
            project.graph,
            signals,
            link,
            name=spec,
            open_trace=None if is_serial else open_trace,
            traced=fuse_stage(project.graph.deciding_stage, core).ops,
            on_frames=on_frames,
            judge=judge,
            has_clock=runner.has_clock,
            count_functions=runner.instructions_by_function,
            journal=journal,
        )
    is_elsewhere = is_serial and built.why is not None  # the board runs an older one
    return replace(result, firmware_sha256=None if is_elsewhere else built.sha256, built=built.why)


@contextmanager
def _journal(
    project: Project, spec: str, built: BuildResult, signals: Sequence[Signal]
) -> Iterator[Journal]:
    """Keep a journal in the project, which goes once the verification is made, or cannot be."""
    parts = [spec, built.sha256, graph_sha256(project.graph), *(s.name for s in signals)]
    arrays = [array for signal in signals for array in (signal.frames, signal.events)]
    path = project.folder / f".verify-{link_file_name(spec)}.part"
    journal = Journal(path, journal_key(parts, arrays))
    try:
        yield journal
        journal.remove()
    except VerificationError:  # the same again would end alike
        journal.remove()
        raise
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


def _sample_rate_hz(graph: QGraph) -> float | None:
    rate = graph.metadata.get("sample_rate_hz")
    return float(rate) if isinstance(rate, (int, float)) and rate > 0 else None


def _check_output(output: Output, steps: Sequence[Step]) -> OutputCheck:
    return OutputCheck(output, sum(not step.agrees_in(output) for step in steps))


def _spread(info: Info, steps: Sequence[Step]) -> Spread | None:
    counts = [s.got.cycles for s in steps if s.got is not None]
    if info.clock_source == "none" or not counts:
        return None
    return Spread(min(counts), int(np.median(counts)), max(counts))


def label_judge(graph: QGraph, recordings: Sequence[LabelledSignal]) -> Judge:
    """Return a judge of decisions on recordings, which are streamed in this order.

    Recordings of another task are not judged.
    """
    output, task = judged_output(graph), task_of(graph.metadata)
    names = output.classes
    if output.output is None or any(r.classes[: len(names)] != names for r in recordings):
        return lambda _: None

    def judge(runs: Sequence[Sequence[ResultRecord]]) -> Figures | None:
        sequences, scores = [], []
        for recording, run in zip(recordings, runs, strict=True):
            stamps = np.array([r.stamp for r in run], np.int64)
            sequences.append(labelled(graph, recording, stamps, {}))
            shape = (len(run), graph.output.size)
            outputs = np.array([r.outputs for r in run], np.int64).reshape(shape)
            scores.append(output.part(outputs))
        try:
            return judge_scores(sequences, scores, names, task)
        except DataError:  # too few labels for a figure; the bits are proved all the same
            return None

    return judge

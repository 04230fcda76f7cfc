"""What the firmware says that the model's calls took, against the emulator's own count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import Core
from lnn_edge.device.board import load_board
from lnn_edge.device.link import Link
from lnn_edge.device.protocol import ResultRecord, Stats
from lnn_edge.device.runners import Image, VirtualRunner
from lnn_edge.graph.qgraph import QGraph
from tests.firmware.programs import compile_board, compile_host, needs_arm_gcc, write_model
from tests.firmware.wire import run_host
from tests.support.causal import Net
from tests.support.toy import motion, toy_every_graph, toy_graph, toy_source_graph, toy_staged_graph

TIMEOUT_S = 20.0  # emulators on a busy machine
READING = 10  # instructions at most around a call, for reading the counter twice
QUEUES = ("lnn_ring_", "lnn_slide_", "lnn_event", "lnn_every_", "drop_head")  # of firmware/runtime
EVENTS = list(range(60, 460))  # most are dropped, which costs as well
OURS = ("_get_probes", "_get_state", "_reset", "_frames", "_get_counters", "_skip_frames")


def frames_of(graph: QGraph) -> np.ndarray:
    return motion(3, 500)[:, : graph.frame.size]


def events_of(graph: QGraph) -> list[int]:
    return EVENTS if graph.name == "toy" else []


def stream(link: Link, graph: QGraph, cuts: list[int]) -> tuple[list[ResultRecord], Stats]:
    """Stream from a reset, in pieces that end at the cuts."""
    frames, results, start = frames_of(graph), [], 0
    link.reset(detail=False)
    for end in [*cuts, len(frames)]:
        due = [t for t in events_of(graph) if start <= t < end]
        results += link.stream(frames[start:end], due)
        start = end
    return results, link.stats()


MODELS = [toy_graph, toy_every_graph, toy_staged_graph, toy_source_graph, Net(skip=2).graph]


@pytest.fixture(params=MODELS)
def graph(request: pytest.FixtureRequest) -> QGraph:
    made: QGraph = request.param()
    return made


@pytest.mark.target
@needs_arm_gcc
def test_costs_are_what_the_emulator_counts(graph: QGraph, tmp_path: Path) -> None:
    """Each call has the few instructions of reading the counter on top, and nothing else."""
    elf = compile_board(
        write_model(graph, tmp_path, Core("cortex-m7", True)), "stm32f746", tmp_path
    )
    with VirtualRunner(load_board("stm32f746")) as runner:
        runner.flash(Image(elf, elf))
        with Link(runner.serial_url(), timeout_s=TIMEOUT_S) as link:
            link.hello()
            before = runner.instructions_by_function()
            results, stats = stream(link, graph, [])
            after = runner.instructions_by_function()
            again, cut = stream(link, graph, [1, 2, 99, 100, 101, 300])
    counted = {name: n - before.get(name, 0) for name, n in after.items()}
    inside = sum(n for name, n in counted.items() if is_called(name, graph))
    frames = len(frames_of(graph))
    calls = frames + len(events_of(graph)) + frames + len(results)  # pushes, events, polls
    assert 0 < stats.frames_cost - inside <= READING * calls
    assert costs(cut) == costs(stats)
    assert [r.cycles for r in again] == [r.cycles for r in results]
    taken = sum(r.cycles for r in results)
    if graph.prepares:
        assert stats.decisions_cost < taken <= stats.frames_cost
    else:
        assert stats.decisions_cost == taken
        assert stats.largest_poll == max(r.cycles for r in results)
    assert max(stats.largest_push, stats.largest_poll) < stats.largest_frame
    assert stats.largest_frame <= stats.largest_push + READING * 10 + 2 * stats.largest_poll


def is_called(function: str, graph: QGraph) -> bool:
    """Whether a function is part of giving a frame or an event to the model, or of asking it."""
    if function.startswith(QUEUES):
        return True
    return function.startswith(f"{graph.name}_") and not function.endswith(OURS)


def costs(stats: Stats) -> tuple[int, ...]:
    sums = stats.frames_cost, stats.decisions_cost
    return (stats.largest_push, stats.largest_poll, stats.largest_frame, *sums)


def test_without_a_counter_nothing_is_said_to_cost_anything(tmp_path: Path) -> None:
    graph = toy_graph()
    with (
        run_host(compile_host(write_model(graph, tmp_path), tmp_path)) as address,
        Link(address) as link,
    ):
        _, stats = stream(link, graph, [])
    assert costs(stats) == (0, 0, 0, 0, 0)

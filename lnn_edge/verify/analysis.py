"""What a model takes on boards, before it is exported: its firmware built and measured for each.

Nothing is estimated: flash, RAM and stack are those of the linked firmware, built for a board of
the same chip with memory to spare, and instructions are counted on the emulated core.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.build.cmake import build
from lnn_edge.build.size import RegionUse, SizeReport
from lnn_edge.codegen.project import export
from lnn_edge.device.board import Board
from lnn_edge.device.cores import CORES
from lnn_edge.errors import UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.verify.bench.measure import measure
from lnn_edge.verify.bench.workload import Workload

_ROOM = 64 << 20  # bytes of each memory that a firmware is measured in
_RAM = 0x2000_0000
_DECISIONS, _FRAMES = 8, 6000  # that are counted at most, two decisions at least
_BEAT_S, _RATE_HZ = 0.8, 100.0  # from one event to the next
_SEED = 7


@dataclass(frozen=True)
class OnBoard:
    """What the firmware of a model takes on one board.

    Attributes:
        board: Its name.
        core: Its processor.
        built_for: The board whose firmware was built: itself, or one of the same family and core,
            from which it differs by some bytes of names and addresses.
        flash_bytes: Code, constants and initial values, of model and firmware.
        ram_bytes: Variables and the model's context, without the stack.
        stack_bytes: Worst case of the stack.
        regions: Each memory that is used, the stack as reserved; `used` may be above `size`.
        lacking: A sentence for each memory that is too small.
        instructions: Mean of a decision with its samples, None where they cannot be counted.
        uncounted: Why they cannot; "" where they are.
    """

    board: str
    core: str
    built_for: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    regions: dict[str, RegionUse]
    lacking: tuple[str, ...]
    instructions: int | None
    uncounted: str

    @property
    def fits(self) -> bool:
        """Whether every memory is large enough."""
        return not self.lacking

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "lacking": list(self.lacking), "fits": self.fits}


def analyze(
    graph: QGraph,
    boards: Sequence[Board],
    *,
    once_a_chip: bool = False,
    on_board: Callable[[], None] = lambda: None,
) -> tuple[OnBoard, ...]:
    """Build a model's firmware for each board, and count what a decision takes.

    The samples are noise over the whole range of a frame, the same on every core; events come
    every 0.8 s. A model whose code branches on its data may take another number on a recording.

    Args:
        graph: The model.
        boards: The boards.
        once_a_chip: Whether boards of one family and core, with or without DMA, share a build.
        on_board: Called after each.

    Raises:
        BuildError: The firmware does not build.
        MissingToolError: Compiler, CMake or the emulator is not installed.
        UsageError: No board is given.
    """
    if not boards:
        raise UsageError("no board is given; `lnn-edge boards` lists them")
    cores = {board.mcu.cpu: board.mcu.flags for board in boards}
    workload = _workload(graph)
    decided = sum(1 for _ in Stream(graph).run(workload.frames, workload.events))
    with ThreadPoolExecutor(cpu_count()) as pool:
        built = {_chip(b) if once_a_chip else (b.name,): b for b in reversed(boards)}
        sizes = {key: pool.submit(_sizes, graph, board) for key, board in built.items()}
        counts = {c: pool.submit(_count, workload, decided, c, f) for c, f in cores.items()}
        found = []
        for board in boards:
            key = _chip(board) if once_a_chip else (board.name,)
            size, counted = sizes[key].result(), counts[board.mcu.cpu].result()
            found.append(_judge(board, built[key], size, *counted))
            on_board()
    return tuple(found)


def _chip(board: Board) -> tuple[object, ...]:
    """Return what decides which code a firmware consists of, and what lies in one memory."""
    places = _places(board)
    layout = tuple(places.index(place) for place in places)
    mcu, clock = board.mcu, board.clock
    return mcu.family, mcu.flags, layout, board.dma_is_cached, clock.input, clock.overdrive


def roomy(board: Board) -> Board:
    """Return a board whose memories hold any firmware: its linked sizes are those of the chip."""
    names = set(_places(board))
    starts = _starts(board)
    memory = (
        replace(r, start=starts.get(r.name, r.start), size=_ROOM)
        for r in board.memory
        if r.name in names
    )
    return replace(board, memory=tuple(memory))


def _starts(board: Board) -> dict[str, int]:
    """Return where the RAMs start; tightly coupled ones stay such ones, apart from the others."""
    rams = [r for r in board.memory if r.kind == "ram"]
    return {
        r.name: (r.start if r.is_tightly_coupled else _RAM + (i + 1) * _ROOM)
        for i, r in enumerate(rams)
    }


def _sizes(graph: QGraph, board: Board) -> SizeReport:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        export(graph, roomy(board), project)
        size = build(project).size
    assert size is not None  # of a board
    return size


def _judge(
    board: Board, built: Board, size: SizeReport, instructions: int | None, uncounted: str
) -> OnBoard:
    regions = _regions(board, built, size)
    return OnBoard(
        board.name,
        board.mcu.cpu,
        built.name,
        size.flash_bytes,
        size.ram_bytes,
        size.stack_bytes,
        regions,
        (*_lacking(regions), *size.budget_failures),
        instructions,
        uncounted,
    )


def _regions(board: Board, built: Board, size: SizeReport) -> dict[str, RegionUse]:
    """Return the use of a board's memories, where those of another board were measured."""
    uses: dict[str, set[str]] = {}
    for here, there in zip(_places(board), _places(built), strict=True):
        uses.setdefault(here, set()).add(there)
    return {
        name: RegionUse(sum(size.regions[n].used for n in there), board.region(name).size)
        for name, there in uses.items()
    }


def _places(board: Board) -> tuple[str, ...]:
    layout, dma = board.layout, board.dma
    return (layout.flash, layout.data, layout.stack, *((dma.region,) if dma else ()))


def _lacking(regions: dict[str, RegionUse]) -> Iterator[str]:
    for name, use in regions.items():
        if use.used > use.size:
            yield f"{name} has {use.size:,} bytes, {use.used - use.size:,} too few"


def _workload(graph: QGraph) -> Workload:
    """Return noise that leads to some decisions; the first is not counted."""
    stage, rng = graph.deciding_stage, np.random.default_rng(_SEED)
    if isinstance(stage.trigger, EventTrigger):
        hop = round((graph.contract.sample_rate_hz or _RATE_HZ) * _BEAT_S)
        first = max(hop, stage.trigger.pre + stage.trigger.post + stage.trigger.wait)
    else:
        first, hop = graph.stage_pace(stage)
    count = first + (max(2, min(_DECISIONS, _FRAMES // hop)) + 1) * hop
    low, high = graph.frame.qmin, graph.frame.qmax
    frames = rng.integers(low, high, (count, graph.frame.size), endpoint=True).astype(np.int16)
    events = tuple(range(hop, count, hop)) if graph.takes_events else ()
    return Workload(graph, frames, events)


def _count(
    workload: Workload, decided: int, cpu: str, flags: Sequence[str]
) -> tuple[int | None, str]:
    """Return the instructions of a decision, or None and why there are none."""
    if not CORES[cpu].emulated:
        return None, f"the engine has no {cpu}"
    if decided < 2:
        return None, "noise leads to no decisions"
    return measure(workload.graph.name, workload, cpu, flags).calls, ""

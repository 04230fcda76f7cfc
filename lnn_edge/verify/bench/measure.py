"""Counts one workload on an emulated core, and holds its bits against the simulator."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np

from lnn_edge.build.bare import link_bare
from lnn_edge.codegen.kernels import Core
from lnn_edge.codegen.model_code import ModelCode
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.device.board import load_board
from lnn_edge.device.cores import CORES
from lnn_edge.device.elf import Elf
from lnn_edge.device.virtual.bare import BareCore, Call
from lnn_edge.errors import LnnEdgeError
from lnn_edge.files import resources
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.verify.bench.workload import Workload

BOARDS = {"cortex-m7": "stm32f746g-disco", "cortex-m4": "nucleo-f446re"}
"""Whose flags a core is compiled with, and whose clock a load is taken of."""

M3_FLAGS = ("-mcpu=cortex-m3", "-mthumb", "-mfloat-abi=soft")  # no board has one
_ENTRIES = ("reset", "push_frame", "push_event", "poll")
_OBJECTS = ("bench_ctx", "bench_frame", "bench_result")
OK, FIRST_OUTPUT = 0, 4  # of lnn_status_t; bytes in front of the outputs of a result


class BenchError(LnnEdgeError):
    """Code that is counted gave other bits than the simulator."""


@dataclass(frozen=True)
class Row:
    """What a workload costs; instructions are retired ones, sizes are bytes.

    Attributes:
        name: Of the workload.
        operators: Instructions of the functions of its operators, for a decision or, where the
            row says so, a frame or several decisions.
        calls: The same with pushing, polling and copying: all calls since the decision before.
        decision: Of the call that decides, by itself; None if none did.
        frame: Of a frame's calls when nothing is due; None if something always is.
        largest_call: The longest single call.
        load: Share of a sample period that the largest call takes at the board's clock, were
            every instruction one cycle; None where no rate or no board is known.
        code: Functions of the operators, and what they share.
        program: All code that a model reaches, without constants.
        tables: Tables of functions.
        constants: Tables, weights and factors.
        state: What is kept between frames, rings included.
        arena: Memory of a step.
        stack: Deepest that was reached.
        holds: Of each operator that computes several of the graph, their names.
    """

    name: str
    operators: int
    calls: int
    decision: int | None
    frame: int | None
    largest_call: int
    load: float | None
    code: int
    program: int
    tables: int
    constants: int
    state: int
    arena: int
    stack: int
    holds: dict[str, list[str]]


def measure(name: str, workload: Workload, core: str, flags: Sequence[str] | None = None) -> Row:
    """Generate, compile and run a workload.

    Args:
        name: Its name.
        workload: What to run.
        core: One of `lnn_edge.device.cores.CORES` that the engine emulates.
        flags: Of the compiler; None for those of the bench's cores.

    Raises:
        BenchError: The core gives other bits than the simulator.
        BuildError: The code does not compile.
        MissingToolError: The compiler or the emulator is not installed.
    """
    facts = CORES[core]
    code = generate(workload.graph, Core(core, facts.dsp))
    with tempfile.TemporaryDirectory() as folder:
        elf = _link(code, _flags(core) if flags is None else flags, Path(folder))
    run = _Run(code, elf, facts.emulated)
    units = run.stream(workload)
    if not np.array_equal(run.outputs, _simulated(workload)):
        raise BenchError(f"{name}: {core} gives other bits than the simulator; run the tests")
    sizes = {symbol.name: symbol.size for symbol in elf.functions}
    shared = [symbol.name for symbol in elf.functions if symbol.is_shared]
    decisions = [unit.decision for unit in units if unit.decision]
    return Row(
        name=name,
        operators=round(workload.steps * mean(unit.operators for unit in units)),
        calls=round(workload.steps * mean(unit.calls for unit in units)),
        decision=round(mean(decisions)) if decisions else None,
        frame=round(median(run.quiet_frames)) if run.quiet_frames else None,
        largest_call=run.largest_call,
        load=_load(workload.graph, core, run.largest_call),
        code=sum(sizes[symbol] for symbol in (*_counted(code, workload), *shared)),
        program=sum(sizes.values()),
        tables=sum(a.nbytes for symbol, a in code.constants.items() if symbol.endswith("_table")),
        constants=sum(a.nbytes for a in code.constants.values()),
        state=code.state_bytes,
        arena=code.arena_bytes,
        stack=run.core.stack_bytes,
        holds={o.op.name: list(o.holds) for o in code.operators if len(o.holds) > 1},
    )


def _flags(core: str) -> Sequence[str]:
    return load_board(BOARDS[core]).mcu.flags if core in BOARDS else M3_FLAGS


def _link(code: ModelCode, flags: Sequence[str], folder: Path) -> Elf:
    name, runtime = code.graph.name, resources.path("firmware") / "runtime"
    files = {**render_model(code), "bench.c": _driver(code)}
    for file, text in files.items():
        (folder / file).write_text(text)
    memory = resources.path("firmware") / "src" / "memory.c"  # what compilers call to copy
    sources = [*(folder / f for f in files if f.endswith(".c")), *runtime.glob("*.c"), memory]
    kept = (*(f"{name}_{verb}" for verb in _ENTRIES), *_OBJECTS)
    return link_bare(sources, [folder, runtime], flags, kept, folder)


def _driver(code: ModelCode) -> str:
    name = code.graph.name
    return (
        f'#include "{name}.h"\n{name}_ctx_t bench_ctx;\n{name}_result_t bench_result;\n'
        f"int16_t bench_frame[{code.graph.frame.size}];\n"
    )


def _counted(code: ModelCode, workload: Workload) -> tuple[str, ...]:
    """Return the functions that a row is about: those of its operators, all if it names none."""
    names = frozenset(workload.counted)
    return tuple(o.symbol for o in code.operators if not names or names.intersection(o.holds))


@dataclass
class _Unit:
    """What a decision, or a frame, took so far."""

    operators: int = 0
    calls: int = 0
    decision: int = 0


class _Run:
    """A model on a core, fed frame by frame."""

    def __init__(self, code: ModelCode, elf: Elf, core: str) -> None:
        self._code = code
        self.core = BareCore(elf, core)
        self.outputs: list[np.ndarray] = []
        self.quiet_frames: list[int] = []
        self.largest_call = 0
        self._context, self._frame, self._result = map(self.core.address, _OBJECTS)
        self.core.call(f"{code.graph.name}_reset", self._context)

    def stream(self, workload: Workload) -> list[_Unit]:
        """Feed all frames; return what each decision or frame but the first took."""
        counted = _counted(self._code, workload)
        events = sorted(workload.events, reverse=True)
        units, unit = list[_Unit](), _Unit()
        for index, frame in enumerate(workload.frames):
            due = [events.pop() for _ in range(len(events)) if events[-1] <= index]
            taken = list(self._feed(frame, due))
            for call, decided in taken:
                unit.calls += call.total
                unit.operators += sum(call.instructions.get(symbol, 0) for symbol in counted)
                if decided:
                    unit.decision = call.total
                if decided and not workload.is_per_frame:
                    units, unit = [*units, unit], _Unit()
            if workload.is_per_frame:
                units, unit = [*units, unit], _Unit()
            if not any(decided for _, decided in taken):
                self.quiet_frames.append(sum(call.total for call, _ in taken))
        return units[1:]

    def _feed(self, frame: np.ndarray, events: list[int]) -> Iterator[tuple[Call, bool]]:
        """Yield the calls of a frame, and whether each gave a decision."""
        self.core.write(self._frame, frame.astype("<i2").tobytes())
        yield self._call("push_frame", self._frame), False
        for stamp in events:
            yield self._call("push_event", stamp), False
        while True:
            call = self._call("poll", self._result)
            yield call, call.result == OK
            if call.result != OK:
                return
            output = self._code.graph.output
            raw = self.core.read(self._result + FIRST_OUTPUT, output.bytes)
            self.outputs.append(np.frombuffer(raw, "<i2"))

    def _call(self, verb: str, argument: int) -> Call:
        call = self.core.call(f"{self._code.graph.name}_{verb}", self._context, argument)
        self.largest_call = max(self.largest_call, call.total)
        return call


def _simulated(workload: Workload) -> list[np.ndarray]:
    """Return the outputs of every decision, by the simulator."""
    decisions = Stream(workload.graph).run(workload.frames, workload.events)
    return [decision.outputs for decision in decisions]


def _load(graph: QGraph, core: str, instructions: int) -> float | None:
    rate_hz = graph.contract.sample_rate_hz
    if core not in BOARDS or rate_hz is None:
        return None
    return instructions * rate_hz / load_board(BOARDS[core]).clock.core_hz

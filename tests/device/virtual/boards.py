"""Parts of the virtual board on a bench, and small programs on the whole board."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lnn_edge.device.virtual.config import MachineConfig
from lnn_edge.device.virtual.counter import AbstractCounter
from lnn_edge.device.virtual.faults import BoardStoppedError, Fault
from lnn_edge.device.virtual.machine import Machine
from lnn_edge.device.virtual.timeline import Timeline
from tests.support.projects import Program, link

PRELUDE = """
#define R(address) (*(volatile uint32_t *)(uint32_t)(address))
#define NAKED __attribute__((naked, noinline, noipa))
#define BARRIER() __asm volatile("dsb; isb" ::: "memory")
#define DONE() __asm volatile("bkpt 0")
#define CPACR R(0xE000ED88)
volatile uint32_t box[64]; /* what the test and the program tell each other */
"""


def bench() -> Timeline:
    """Virtual time in which no instruction runs."""
    state = SimpleNamespace(retired=0, stop_at=0, request=0)
    return Timeline(cast(AbstractCounter, SimpleNamespace(state=state)))


def advance(timeline: Timeline, clocks: int) -> None:
    """Let time pass, every event in its moment."""
    end = timeline.now + clocks
    while True:
        times = [timeline.next(patient=patient) for patient in (True, False)]
        due = min((time for time in times if time is not None), default=end + 1)
        if due > end:
            break
        timeline.skip_to(due)
        timeline.fire_due()
    timeline.skip_to(end)


def vectors(handlers: dict[int, str]) -> str:
    """Entries of the vector table from number 2 on; what is not named is zero."""
    numbers = range(2, max(handlers, default=6) + 1)
    return ", ".join(f"{{.handler = {handlers.get(number, '0')}}}" for number in numbers)


def program(folder: Path, source: str, handlers: dict[int, str] | None = None) -> Program:
    """Compile and link a program that includes the prelude."""
    return link(folder, PRELUDE + source, vectors(handlers or {}))


class Board:
    """A program on the virtual board."""

    def __init__(self, program: Program, *, use_compiler: bool = True, **config: Any) -> None:
        pytest.importorskip("unicorn", reason="the emulator is not installed")
        self.faults: list[Fault] = []
        self.machine = Machine(
            MachineConfig(**config),
            program.elf,
            use_compiler=use_compiler,
            on_fault=self.faults.append,
        )
        self._symbols = {symbol.name: symbol.address for symbol in program.elf.symbols}

    @property
    def retired(self) -> int:
        return int(self.machine.counter.state.retired)

    def address(self, name: str) -> int:
        return self._symbols[name]

    def box(self, count: int, first: int = 0) -> list[int]:
        data = self.machine.engine.read_memory(self.address("box") + 4 * first, 4 * count)
        return list(struct.unpack(f"<{count}I", data))

    def fill_box(self, *words: int) -> None:
        data = struct.pack(f"<{len(words)}I", *words)
        self.machine.engine.write_memory(self.address("box"), data)

    def run(self, slices: int = 10_000) -> str:
        """Run to the diagnosis and return it; who waits for time gets it at once."""
        for _ in range(slices):
            try:
                self._run_slice()
            except BoardStoppedError as stopped:
                return str(stopped)
        raise AssertionError("the board runs on")

    def run_until(self, condition: Callable[[], bool], slices: int = 10_000) -> None:
        for _ in range(slices):
            if condition():
                return
            self._run_slice()
        raise AssertionError("it did not come to that")

    def finish(self) -> None:
        """Run to DONE()."""
        diagnosis = self.run()
        assert diagnosis.startswith("board stopped: breakpoint"), diagnosis

    def _run_slice(self) -> None:
        idle = self.machine.run_slice()
        if idle is not None and idle.seconds is not None:
            self.machine.let_time_pass(idle.seconds)

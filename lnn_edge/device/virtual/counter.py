"""Counting of retired instructions, exact; what the compiled and the Python counter share.

Both are called before every basic block. A block is charged whole when it starts; when it
is left in its middle (fault, access that stops) `uncharge` takes back what did not run.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lnn_edge.device.elf import Symbol
from lnn_edge.device.virtual.counter_state import (
    FPU_GUARDED,
    HAS_FPU,
    IS_SHARED,
    MISALIGNED,
    NO_BLOCK,
    State,
)
from lnn_edge.device.virtual.thumb import Block, Check, Guard, decode, get_it_state

CYCCNT = 0xE0001004
HOOK_CODE, HOOK_BLOCK = 4, 8  # uc_hook_type of the engine's C interface
ReadPage = Callable[[Any, int, int, Any], int]
WritePage = Callable[[Any, int, int, int, Any], None]


@dataclass(frozen=True)
class BlockCount:
    """What a block cost.

    Attributes:
        address: Where it begins.
        size: Bytes.
        owner: Start of the operator whose work a shared routine did in it; 0 for other blocks.
        instructions: Retired in it.
    """

    address: int
    size: int
    owner: int
    instructions: int


@dataclass(frozen=True)
class Core:
    """What a counter needs of the engine.

    Args:
        registers: Engine ids of R0 to R15.
        masks: Engine ids of PRIMASK, BASEPRI, FAULTMASK.
        double_precision: Whether the FPU executes double-precision arithmetic.
        read_code: Returns `size` bytes at an address.
        read_xpsr: Returns the program status register.
        guard_hit: Told that a guard was hit; the instruction has not run yet.
    """

    registers: tuple[int, ...]
    masks: tuple[int, int, int]
    double_precision: bool
    read_code: Callable[[int, int], bytes]
    read_xpsr: Callable[[], int]
    guard_hit: Callable[[], None]


class AbstractCounter(abc.ABC):
    """Block counts, guards and the stop request of one engine.

    Args:
        core: Access to the engine.

    Attributes:
        function_at: Tells what function an address lies in.
    """

    def __init__(self, core: Core) -> None:
        self.state: Any = State()
        self.state.last = NO_BLOCK
        self.function_at: Callable[[int], Symbol | None] = lambda _address: None
        self._core = core
        self._decoded: dict[int, Block] = {}
        self._partial: dict[int, int] = {}
        self._guarded: set[tuple[int, Check]] = set()
        self._fpu_hooks: list[Any] = []

    @abc.abstractmethod
    def _add_hook(self, guard: Guard) -> Any:
        """Have the engine check an instruction; returns what `_remove_hook` takes."""

    @abc.abstractmethod
    def _remove_hook(self, hook: Any) -> None:
        """Undo `_add_hook`."""

    @abc.abstractmethod
    def map_clock(self, start: int, size: int, read: ReadPage, write: WritePage) -> None:
        """Route accesses to the page of the cycle counter, which programs read all the time."""

    def scan(self, index: int) -> bool:
        """Decode a block: at first sight, and when one of its checks at entry has failed.

        Returns:
            Whether the engine must translate the block anew, because guards were added.
        """
        entry = self.state.blocks[index]
        code = self._core.read_code(entry.address, entry.size)
        block = decode(
            entry.address,
            code,
            double_precision=self._core.double_precision,
            it_state=get_it_state(self._core.read_xpsr()),
        )
        self._decoded[index] = block
        entry.instructions = len(block.addresses)
        wanted = [g for g in block.guards if g.check != Check.FPU_ON or self.state.fpu_off]
        wanted += block.accesses if block.is_noted else ()
        entry.aligned = sum({1 << guard.register for guard in block.at_entry})
        if entry.flags & MISALIGNED:
            entry.aligned, wanted = 0, [*wanted, *block.at_entry]
        if any(g.check == Check.FPU_ON for g in block.guards):
            entry.flags |= HAS_FPU | (FPU_GUARDED if self.state.fpu_off else 0)
        function = self.function_at(entry.address)
        if function and function.is_shared:
            entry.flags |= IS_SHARED
        if function and function.is_operator:
            entry.function = function.address
        return self._guard(wanted) or bool(entry.flags & MISALIGNED)

    def _guard(self, wanted: Iterable[Guard]) -> bool:
        """Have the engine check instructions; return whether any is new."""
        new = [g for g in wanted if (g.address, g.check) not in self._guarded]
        for guard in new:
            hook = self._add_hook(guard)
            if guard.check == Check.FPU_ON:
                self._fpu_hooks.append((hook, guard))
            self._guarded.add((guard.address, guard.check))
        return bool(new)

    @property
    def has_fpu_guards(self) -> bool:
        """Whether floating-point instructions are being checked."""
        return bool(self._fpu_hooks)

    def drop_fpu_guards(self) -> None:
        """Forget the checks of floating-point instructions: the FPU is on, run at full speed."""
        for hook, guard in self._fpu_hooks:
            self._remove_hook(hook)
            self._guarded.discard((guard.address, guard.check))
        self._fpu_hooks.clear()
        for index in self._decoded:
            self.state.blocks[index].flags &= ~FPU_GUARDED

    def last_block(self) -> tuple[int, int]:
        """(address, size) of the block that was charged last."""
        entry = self.state.blocks[self.state.last]
        return entry.address, entry.size

    def it_state_at(self, address: int) -> int:
        """ITSTATE of a guarded instruction of the last charged block."""
        block = self._decoded[self.state.last]
        guards = (*block.guards, *block.at_entry)
        return next((g.it_state for g in guards if g.address == address), 0)

    def retired_before_noted(self) -> int | None:
        """Instructions before the load or store that runs now, None where that is not noted."""
        if not self._decoded[self.state.last].is_noted:
            return None
        return int(self.state.retired) - self.not_yet_run(self.state.noted)

    def note_last_block(self) -> tuple[int, int]:
        """Note loads and stores of the block that was charged last, so that none need stop again.

        Returns:
            (address, size) of its code, which the engine must translate anew.
        """
        index = self.state.last
        block = self._decoded[index]
        self._guard(block.accesses)
        self._decoded[index] = replace(block, is_noted=True)
        return self.last_block()

    def not_yet_run(self, address: int) -> int:
        """Instructions of the last charged block at or after `address`."""
        if self.state.last == NO_BLOCK:
            return 0
        return self._decoded[self.state.last].count_from(address)

    def uncharge(self, address: int) -> None:
        """The last block was left before its instruction at `address`: take back the rest.

        An address elsewhere is where the block led to: all of it has run.
        """
        start, size = (0, 0) if self.state.last == NO_BLOCK else self.last_block()
        rest = self.not_yet_run(address) if start <= address < start + size else 0
        if rest:
            self.state.retired -= rest
            self._partial[self.state.last] = self._partial.get(self.state.last, 0) + rest
        self.state.last = NO_BLOCK

    def blocks(self) -> Iterator[BlockCount]:
        """All blocks that ran, with the instructions retired in them."""
        for index in self._decoded:
            entry = self.state.blocks[index]
            retired = entry.count * entry.instructions - self._partial.get(index, 0)
            yield BlockCount(entry.address, entry.size, entry.owner, retired)

"""The counter in Python, several times slower: for machines without a C compiler."""

from __future__ import annotations

from typing import Any

from lnn_edge.device.virtual.counter import (
    HOOK_BLOCK,
    HOOK_CODE,
    AbstractCounter,
    Core,
    ReadPage,
    WritePage,
)
from lnn_edge.device.virtual.counter_state import (
    BLOCKS,
    FPU_GUARDED,
    HAS_FPU,
    IS_SHARED,
    MISALIGNED,
    Stopped,
)
from lnn_edge.device.virtual.thumb import Check, Guard


class PythonCounter(AbstractCounter):
    """Hooks in Python; counter.c does the same.

    Args:
        engine: The engine's Python object.
        core: See AbstractCounter.
    """

    def __init__(
        self,
        engine: Any,
        core: Core,
    ) -> None:
        super().__init__(core)
        self._engine = engine
        self._index: dict[tuple[int, int, int], int] = {}
        engine.hook_add(HOOK_BLOCK, self._on_block)

    def _masks_changed(self) -> bool:
        read = self._engine.reg_read
        return any(read(r) != self.state.masks[i] for i, r in enumerate(self._core.masks))

    def _stop(self, reason: Stopped) -> None:
        self.state.stopped = int(reason)
        self._engine.emu_stop()

    def _on_block(self, _engine: Any, address: int, size: int, _user: Any) -> None:
        state = self.state
        due = state.request or state.retired >= state.stop_at
        if due or (state.watch and self._masks_changed()):
            self._stop(Stopped.EVENT)
            return
        index = self._ready(address, size, 0)
        if index is not None and state.blocks[index].flags & IS_SHARED and state.owner:
            index = self._ready(address, size, state.owner)
        if index is None:
            return
        entry = state.blocks[index]
        if entry.aligned and self._misaligned(entry.aligned):
            entry.flags |= MISALIGNED
            self.scan(index)
            self._stop(Stopped.SCAN)
            return
        state.owner = entry.function or state.owner
        entry.count += 1
        state.retired += entry.instructions
        state.last = index

    def _ready(self, address: int, size: int, owner: int) -> int | None:
        """Return the index of a block that is known, with its checks; else the engine stops."""
        state, key = self.state, (address, size, owner)
        index = self._index.get(key)
        if index is None:
            if state.used >= BLOCKS // 4 * 3:
                self._stop(Stopped.FULL)
                return None
            index = self._index[key] = state.used
            state.used += 1
            entry = state.blocks[index]
            entry.address, entry.size, entry.owner = key
        entry = state.blocks[index]
        unguarded = state.fpu_off and entry.flags & (HAS_FPU | FPU_GUARDED) == HAS_FPU
        if (index not in self._decoded or unguarded) and self.scan(index):
            self._stop(Stopped.SCAN)
            return None
        return index

    def _misaligned(self, registers: int) -> bool:
        read = self._engine.reg_read
        looked = (r for i, r in enumerate(self._core.registers) if registers >> i & 1)
        return any(read(register) & 3 for register in looked)

    def _add_hook(self, guard: Guard) -> Any:
        def check(engine: Any, address: int, _size: int, _user: Any) -> None:
            state = self.state
            if guard.check == Check.NOTED:
                state.noted = address
            elif state.stopped != Stopped.GUARD and self._hits(engine, guard):
                state.guard_address, state.guard_check = address, int(guard.check)
                self._core.guard_hit()
                self._stop(Stopped.GUARD)

        return self._engine.hook_add(HOOK_CODE, check, None, guard.address, guard.address)

    def _hits(self, engine: Any, guard: Guard) -> bool:
        if guard.check == Check.NEVER:
            return True
        if guard.check == Check.FPU_ON:
            return bool(self.state.fpu_off)
        value = int(engine.reg_read(self._core.registers[guard.register]))
        if guard.check == Check.ALIGNED:
            return value & guard.mask != 0
        return bool(self.state.trap_division) and value == 0

    def _remove_hook(self, hook: Any) -> None:
        self._engine.hook_del(hook)

    def map_clock(self, start: int, size: int, read: ReadPage, write: WritePage) -> None:
        """Route them as all others."""
        self._engine.mmio_map(start, size, read, None, write, None)

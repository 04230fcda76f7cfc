"""Counting of retired instructions, exact: a compiled helper, or the same in Python.

Both are called before every basic block. A block is charged whole when it starts; when it
is left in its middle (fault, access that stops) `uncharge` takes back what did not run.
"""

from __future__ import annotations

import abc
import ctypes as c
import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from lnn_edge.device.elf import Symbol
from lnn_edge.device.virtual.thumb import Block, Check, Guard, decode, get_it_state
from lnn_edge.files.compiled import load_compiled

NO_BLOCK = 0xFFFFFFFF
CYCCNT = 0xE0001004
_BLOCKS = 1 << 16
_HAS_FPU, _FPU_GUARDED, _MISALIGNED, _IS_SHARED = 1, 2, 4, 8
HOOK_CODE, HOOK_BLOCK = 4, 8  # uc_hook_type of the engine's C interface


class Stopped(enum.IntEnum):
    """Why the counter stopped the engine; the values are shared with counter.c."""

    NONE = 0
    EVENT = 1
    GUARD = 2
    SCAN = 3
    FULL = 4


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


class _BlockStruct(c.Structure):
    _fields_ = (
        ("address", c.c_uint32),
        ("size", c.c_uint32),
        ("owner", c.c_uint32),
        ("function", c.c_uint32),
        ("instructions", c.c_uint32),
        ("flags", c.c_uint32),
        ("aligned", c.c_uint32),
        ("unused", c.c_uint32),
        ("count", c.c_uint64),
    )


class _State(c.Structure):
    """counter_t of counter.c; the Python twin uses the same fields."""

    _fields_ = (
        ("retired", c.c_uint64),
        ("stop_at", c.c_uint64),
        ("zero_at", c.c_uint64),
        ("request", c.c_uint32),
        ("stopped", c.c_uint32),
        ("fpu_off", c.c_uint32),
        ("trap_division", c.c_uint32),
        ("watch", c.c_uint32),
        ("last", c.c_uint32),
        ("used", c.c_uint32),
        ("guard_address", c.c_uint32),
        ("guard_check", c.c_uint32),
        ("noted", c.c_uint32),
        ("is_counting", c.c_uint32),
        ("owner", c.c_uint32),
        ("masks", c.c_uint32 * 3),
        ("mask_registers", c.c_int32 * 3),
        ("core_registers", c.c_int32 * 16),
        ("emu_stop", c.c_void_p),
        ("reg_read", c.c_void_p),
        ("scan", c.c_void_p),
        ("guard_hit", c.c_void_p),
        ("load", c.c_void_p),
        ("noting", c.c_void_p),
        ("blocks", _BlockStruct * _BLOCKS),
    )


class _GuardStruct(c.Structure):
    _fields_ = (
        ("counter", c.c_void_p),
        ("register_id", c.c_int32),
        ("mask", c.c_uint32),
        ("check", c.c_uint32),
        ("block", c.c_uint32),
        ("rest", c.c_uint32),
    )


_LOAD = c.CFUNCTYPE(c.c_uint64, c.c_void_p, c.c_uint64, c.c_uint, c.c_void_p)
_STORE = c.CFUNCTYPE(None, c.c_void_p, c.c_uint64, c.c_uint, c.c_uint64, c.c_void_p)
ReadPage = Callable[[Any, int, int, Any], int]
WritePage = Callable[[Any, int, int, int, Any], None]


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
        self.state: Any = _State()
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
        if entry.flags & _MISALIGNED:
            entry.aligned, wanted = 0, [*wanted, *block.at_entry]
        if any(g.check == Check.FPU_ON for g in block.guards):
            entry.flags |= _HAS_FPU | (_FPU_GUARDED if self.state.fpu_off else 0)
        function = self.function_at(entry.address)
        if function and function.is_shared:
            entry.flags |= _IS_SHARED
        if function and function.is_operator:
            entry.function = function.address
        return self._guard(wanted) or bool(entry.flags & _MISALIGNED)

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
            self.state.blocks[index].flags &= ~_FPU_GUARDED

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


class CompiledCounter(AbstractCounter):
    """Hooks in C, called by the engine without Python in between.

    Args:
        library: From `compiled_library`.
        engine_library: The engine's shared library.
        handle: Engine handle.
        core: See AbstractCounter.
        failed: Receives an exception raised while scanning.
    """

    def __init__(
        self,
        library: c.CDLL,
        engine_library: c.CDLL,
        handle: Any,
        core: Core,
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(core)
        self._library, self._engine_library, self._handle = (
            library,
            engine_library,
            handle,
        )
        self._records: list[_GuardStruct] = []
        self._failed = failed
        self._scan_callback = c.CFUNCTYPE(c.c_int, c.c_uint32)(_guarded(self.scan, failed))
        self._hit_callback = c.CFUNCTYPE(None)(core.guard_hit)
        self.state.mask_registers[:] = core.masks
        self.state.core_registers[:] = core.registers
        self.state.emu_stop = _address(engine_library.uc_emu_stop)
        self.state.reg_read = _address(engine_library.uc_reg_read)
        self.state.scan = _address(self._scan_callback)
        self.state.guard_hit = _address(self._hit_callback)
        self._hook(HOOK_BLOCK, library.counter_on_block, c.addressof(self.state), 1, 0)

    def map_clock(self, start: int, size: int, read: ReadPage, write: WritePage) -> None:
        """Answer loads of CYCCNT in C, all others in Python."""
        self._load = _LOAD(_guarded(read, self._stopped_by))
        self._store = _STORE(_guarded(write, self._stopped_by))
        self.state.load = _address(self._load)
        on_load, state = self._library.counter_on_load, c.addressof(self.state)
        map_page = self._engine_library.uc_mmio_map
        if map_page(self._handle, start, size, on_load, state, self._store, None):
            raise RuntimeError(f"the engine cannot map the page at {start:#010x}")

    def _stopped_by(self, error: BaseException) -> None:
        self._failed(error)
        self._engine_library.uc_emu_stop(self._handle)

    def retired_before_noted(self) -> int | None:
        """Also lets C answer this load when it comes again."""
        retired = super().retired_before_noted()
        if retired is not None:
            noting = c.cast(self.state.noting, c.POINTER(_GuardStruct)).contents
            noting.block, noting.rest = self.state.last, self.state.retired - retired
        return retired

    def _hook(self, kind: int, function: Any, user: int, begin: int, end: int) -> c.c_size_t:
        handle = c.c_size_t()
        add = self._engine_library.uc_hook_add
        error = add(
            self._handle,
            c.byref(handle),
            c.c_int(kind),
            c.c_void_p(_address(function)),
            c.c_void_p(user),
            c.c_uint64(begin),
            c.c_uint64(end),
        )
        if error:
            raise RuntimeError(f"the engine refused a hook (error {error})")
        return handle

    def _add_hook(self, guard: Guard) -> Any:
        record = _GuardStruct(
            c.addressof(self.state),
            self._core.registers[guard.register],
            guard.mask,
            int(guard.check),
            NO_BLOCK,
        )
        function = self._library.counter_on_guard
        hook = self._hook(HOOK_CODE, function, c.addressof(record), guard.address, guard.address)
        self._records.append(record)  # the engine holds its address
        return hook

    def _remove_hook(self, hook: Any) -> None:
        self._engine_library.uc_hook_del(self._handle, hook)


class PythonCounter(AbstractCounter):
    """The same in Python, several times slower: for machines without a C compiler.

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
        if index is not None and state.blocks[index].flags & _IS_SHARED and state.owner:
            index = self._ready(address, size, state.owner)
        if index is None:
            return
        entry = state.blocks[index]
        if entry.aligned and self._misaligned(entry.aligned):
            entry.flags |= _MISALIGNED
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
            if state.used >= _BLOCKS // 4 * 3:
                self._stop(Stopped.FULL)
                return None
            index = self._index[key] = state.used
            state.used += 1
            entry = state.blocks[index]
            entry.address, entry.size, entry.owner = key
        entry = state.blocks[index]
        unguarded = state.fpu_off and entry.flags & (_HAS_FPU | _FPU_GUARDED) == _HAS_FPU
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


def compiled_library() -> c.CDLL | None:
    """The helper when it compiles and its structure is the one declared here."""
    source = resources.files("lnn_edge.device.virtual").joinpath("counter.c").read_text()
    library = load_compiled("counter", {"counter.c": source})
    if library is None:
        return None
    library.counter_size.restype = c.c_uint64
    return library if library.counter_size() == c.sizeof(_State) else None


def _address(function: Any) -> int:
    value = c.cast(function, c.c_void_p).value
    if value is None:
        raise RuntimeError("a hook function has no address")
    return value


def _guarded(
    function: Callable[..., int | None], failed: Callable[[BaseException], None]
) -> Callable[..., int]:
    """An exception cannot cross C: hand it over and ask the engine to stop."""

    def call(*arguments: Any) -> int:
        try:
            return int(function(*arguments) or 0)
        except Exception as error:
            failed(error)
            return 1

    return call

"""The counter in C, called by the engine without Python in between."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from importlib import resources
from typing import Any

from lnn_edge.device.virtual.counter import (
    HOOK_BLOCK,
    HOOK_CODE,
    AbstractCounter,
    Core,
    ReadPage,
    WritePage,
)
from lnn_edge.device.virtual.counter_state import NO_BLOCK, GuardStruct, State
from lnn_edge.device.virtual.thumb import Guard
from lnn_edge.files.compiled import load_compiled

_LOAD = c.CFUNCTYPE(c.c_uint64, c.c_void_p, c.c_uint64, c.c_uint, c.c_void_p)
_STORE = c.CFUNCTYPE(None, c.c_void_p, c.c_uint64, c.c_uint, c.c_uint64, c.c_void_p)


class CompiledCounter(AbstractCounter):
    """Hooks in counter.c.

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
        self._records: list[GuardStruct] = []
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
            noting = c.cast(self.state.noting, c.POINTER(GuardStruct)).contents
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
        record = GuardStruct(
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


def compiled_library() -> c.CDLL | None:
    """The helper when it compiles and its structure is the one declared here."""
    source = resources.files("lnn_edge.device.virtual").joinpath("counter.c").read_text()
    library = load_compiled("counter", {"counter.c": source})
    if library is None:
        return None
    library.counter_size.restype = c.c_uint64
    return library if library.counter_size() == c.sizeof(State) else None


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

"""The instruction engine (Unicorn) behind a small interface; no other file imports it.

Facts about Unicorn 2.1.4 that shape this file: MCLASS mode would silently select another core, so
plain Thumb mode with a CPU model is used; `emu_stop` inside a peripheral access leaves the program
counter on that access, which then runs again; a yield or wait-for-event hint is reported as an
invalid instruction.
"""

from __future__ import annotations

import ctypes as c
import enum
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lnn_edge.device.virtual.compiled_counter import CompiledCounter, compiled_library
from lnn_edge.device.virtual.config import PAGE, MemoryRegion
from lnn_edge.device.virtual.counter import CYCCNT, AbstractCounter, Core
from lnn_edge.device.virtual.counter_state import Stopped
from lnn_edge.device.virtual.mpu import ALL, Rights
from lnn_edge.device.virtual.python_counter import PythonCounter
from lnn_edge.device.virtual.thumb import Check, put_it_state
from lnn_edge.errors import BoardError, MissingToolError

_UNTIL = 0xFFFFFFFE
_EXC_RETURN_LOW = 0xFFFFFF00
_THUMB = 1 << 24  # in xPSR

ReadPort = Callable[[int, int], int]
WritePort = Callable[[int, int, int], None]


class Why(enum.Enum):
    """Why the engine came back."""

    BOUNDARY = enum.auto()  # asked to, between two blocks
    ACCESS = enum.auto()  # asked to by a peripheral access, which has not happened yet
    SCAN = enum.auto()  # a block must be translated anew
    GUARD = enum.auto()  # an instruction that would fault on silicon
    SLEEP = enum.auto()  # WFI
    WAIT = enum.auto()  # WFE
    CALL = enum.auto()  # SVC
    BREAK = enum.auto()  # BKPT
    RETURN = enum.auto()  # branch to an EXC_RETURN value
    UNDEFINED = enum.auto()
    STATE = enum.auto()  # branch to Arm state
    FETCH = enum.auto()  # execution where there is no memory
    READ = enum.auto()  # load where there is no memory
    WRITE = enum.auto()  # store where there is no memory, or to flash


_HINTS = {b"\x10\xbf": Why.BOUNDARY, b"\x20\xbf": Why.WAIT}  # YIELD, WFE, 16-bit encodings


@dataclass(frozen=True)
class Stop:
    """Where and why the engine came back.

    Args:
        why: Reason.
        pc: Address of the instruction to run next, or of the one that failed.
        address: Address accessed, where there is one.
        check: Which guard was hit.
    """

    why: Why
    pc: int
    address: int = 0
    check: Check | None = None


class Engine:
    """One core with memory.

    Args:
        cpu: "cortex-m7" or "cortex-m4".
        double_precision: Whether the FPU has double-precision arithmetic.
        use_compiler: Whether the counting helper may be compiled (else pure Python).

    Raises:
        MissingToolError: The engine is not installed.
        BoardError: The engine is of another major version.
    """

    def __init__(self, cpu: str, double_precision: bool, use_compiler: bool = True) -> None:
        unicorn = import_unicorn()
        self._unicorn, self._error_type = unicorn, unicorn.UcError
        arm = unicorn.arm_const
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        models = {
            "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
            "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
        }
        self._uc.ctl_set_cpu_model(models[cpu])
        self._library: Any = _engine_library()
        self.ids: dict[str, int] = _register_ids(arm)
        self._interrupt: int | None = None
        self._watched: dict[int, bytearray] = {}  # pages of which not all may be touched
        self._denied: Stop | None = None
        self._bad_address = 0
        self._access_stop = False
        self._is_thumb = True
        self._failure: BaseException | None = None
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        self._uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_bad_access)
        self.counter = self._make_counter(double_precision, use_compiler)

    def _make_counter(self, double_precision: bool, use_compiler: bool) -> AbstractCounter:
        self._at_guard = self.batch(*_SAVED)
        core = Core(
            tuple(self.ids[name] for name in _CORE),
            (self.ids["primask"], self.ids["basepri"], self.ids["faultmask"]),
            double_precision,
            self.read_memory,
            lambda: self.get("xpsr"),
            self._save_at_guard,
        )
        helper = compiled_library() if use_compiler else None
        if helper is None:
            return PythonCounter(self._uc, core)
        return CompiledCounter(helper, self._library, self._uc._uch, core, self._fail)

    def _save_at_guard(self) -> None:
        self._at_guard.read()

    # --- memory -----------------------------------------------------------------------------

    def map_memory(self, region: MemoryRegion) -> None:
        """Add RAM or flash; it starts with what `write_memory` puts there, else zero."""
        u = self._unicorn
        rights = u.UC_PROT_READ | u.UC_PROT_EXEC
        if region.kind == "ram":
            rights |= u.UC_PROT_WRITE
        self._uc.mem_map(region.start, region.size, rights)

    def map_peripheral(self, start: int, size: int, read: ReadPort, write: WritePort) -> None:
        """Route accesses in [start, start + size) to `read(address, bytes)` and `write(...)`."""

        def on_read(_uc: Any, offset: int, width: int, _user: Any) -> int:
            return read(start + offset, width)

        def on_write(_uc: Any, offset: int, width: int, value: int, _user: Any) -> None:
            write(start + offset, width, value)

        if start <= CYCCNT < start + size:
            self.counter.map_clock(start, size, on_read, on_write)
        else:
            self._uc.mmio_map(start, size, on_read, None, on_write, None)

    def protect(self, region: MemoryRegion, segments: list[tuple[int, int, Rights]]) -> None:
        """Enforce rights in a memory, of which the segments are all.

        A page of which not all may be treated alike becomes one that is asked for; nothing runs
        there.
        """
        pages: dict[int, list[tuple[int, int, Rights]]] = {}
        self._unwatch(region)
        for low, high, rights in segments:
            first, last = -(-low // PAGE) * PAGE, high // PAGE * PAGE
            if first < last:
                self._uc.mem_protect(first, last - first, self._protection(region, rights))
            for page in {low // PAGE * PAGE, (high - 1) // PAGE * PAGE}:
                if not first <= page < last:
                    pages.setdefault(page, []).append((low, high, rights))
        for page, parts in pages.items():
            self._watch(page, parts)

    def _protection(self, region: MemoryRegion, rights: Rights) -> int:
        u = self._unicorn
        may_write = rights.write and region.kind == "ram"
        found = (u.UC_PROT_READ * rights.read) | (u.UC_PROT_WRITE * may_write)
        return int(found | (u.UC_PROT_EXEC * rights.execute))

    def _watch(self, page: int, parts: list[tuple[int, int, Rights]]) -> None:
        data = bytearray(self._uc.mem_read(page, PAGE))

        def may(address: int, is_write: bool) -> bool:
            rights = next(rights for low, high, rights in parts if low <= address < high)
            is_allowed = rights.write if is_write else rights.read
            if not is_allowed and self._denied is None:
                self._denied = Stop(Why.WRITE if is_write else Why.READ, 0, address)
                self._uc.emu_stop()
            return is_allowed

        def on_read(_uc: Any, offset: int, width: int, _user: Any) -> int:
            is_allowed = may(page + offset, False)
            return int.from_bytes(data[offset : offset + width], "little") if is_allowed else 0

        def on_write(_uc: Any, offset: int, width: int, value: int, _user: Any) -> None:
            if may(page + offset, True):
                data[offset : offset + width] = value.to_bytes(8, "little")[:width]

        self._uc.mem_unmap(page, PAGE)
        self._uc.mmio_map(page, PAGE, on_read, None, on_write, None)
        self._watched[page] = data

    def _unwatch(self, region: MemoryRegion) -> None:
        for page in [page for page in self._watched if region.start <= page < region.end]:
            data = self._watched.pop(page)
            self._uc.mem_unmap(page, PAGE)
            self._uc.mem_map(page, PAGE, self._protection(region, ALL))
            self._uc.mem_write(page, bytes(data))

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes as the core would read them, whatever it may read."""
        if not self._watched:
            return bytes(self._uc.mem_read(address, size))
        return b"".join(
            bytes(self._watched[page][at : at + count])
            if page in self._watched
            else bytes(self._uc.mem_read(page + at, count))
            for page, at, count in _by_page(address, size)
        )

    def write_memory(self, address: int, data: bytes) -> None:
        """Put bytes, into flash too."""
        if not self._watched:
            self._uc.mem_write(address, data)
            return
        for page, at, count in _by_page(address, len(data)):
            part, data = data[:count], data[count:]
            if page in self._watched:
                self._watched[page][at : at + count] = part
            else:
                self._uc.mem_write(page + at, part)

    def forget_code(self, address: int, size: int) -> None:
        """Translate this code anew when it runs next."""
        self._uc.ctl_remove_cache(address, address + size)

    def forget_all_code(self) -> None:
        """Translate everything anew."""
        self._uc.ctl_flush_tb()

    # --- registers --------------------------------------------------------------------------

    def get(self, name: str) -> int:
        """Value of a register named as in `ids`."""
        value = c.c_uint64()
        self._library.uc_reg_read(self._uc._uch, self.ids[name], c.byref(value))
        return value.value & 0xFFFFFFFF

    def set(self, name: str, value: int) -> None:
        """Set a register."""
        if name == "xpsr":
            self._is_thumb = value & _THUMB != 0
        word = c.c_uint64(value & 0xFFFFFFFF)
        self._library.uc_reg_write(self._uc._uch, self.ids[name], c.byref(word))

    def batch(self, *names: str) -> RegisterBatch:
        """Several registers that are read or written in one call."""
        return RegisterBatch(self._library, self._uc._uch, [self.ids[name] for name in names])

    # --- running ----------------------------------------------------------------------------

    def stop_access(self) -> None:
        """Inside a peripheral access: come back with the program counter on this instruction.

        In an IT block the engine runs on instead.
        """
        self._access_stop = True
        self._uc.emu_stop()

    def run(self, pc: int) -> Stop:
        """Run from `pc` until something needs attention."""
        if not self._is_thumb:  # a vector or a stacked state without the bit
            return Stop(Why.STATE, pc)
        self._interrupt, self._access_stop, self._failure = None, False, None
        self._denied = None
        state = self.counter.state
        state.stopped = Stopped.NONE
        try:
            self._uc.emu_start(pc | 1, _UNTIL)
        except self._error_type as error:
            if state.stopped != Stopped.GUARD:
                return self._error_stop(error)
        if self._failure is not None:
            raise self._failure
        return self._normal_stop()

    def _normal_stop(self) -> Stop:
        state = self.counter.state
        pc = self.get("pc") & ~1
        if self._denied is not None:
            return replace(self._denied, pc=pc)
        if self._access_stop:
            return Stop(Why.ACCESS, pc)
        if state.stopped == Stopped.GUARD:
            return self._guard_stop(state.guard_address, Check(state.guard_check))
        if state.stopped == Stopped.SCAN:
            return Stop(Why.SCAN, pc)
        if state.stopped == Stopped.FULL:
            raise BoardError("the firmware has more basic blocks than the virtual board can count")
        if self._interrupt is not None:
            return self._interrupt_stop(pc, self._interrupt)
        return Stop(Why.BOUNDARY if state.stopped else Why.SLEEP, pc)

    def _guard_stop(self, address: int, check: Check) -> Stop:
        """Go back to before the instruction: in an IT block the engine ran on, to its end."""
        *values, xpsr = self._at_guard.values
        self._at_guard.write([*values, put_it_state(xpsr, self.counter.it_state_at(address))])
        return Stop(Why.GUARD, address, check=check)

    def _interrupt_stop(self, pc: int, number: int) -> Stop:
        """Engine exception numbers: 2 SVC, 3 bad fetch, 7 BKPT, 8 exception return, 18 state."""
        if number in (3, 8) and pc >= _EXC_RETURN_LOW:
            return Stop(Why.RETURN, pc)
        why = {2: Why.CALL, 3: Why.FETCH, 7: Why.BREAK, 18: Why.STATE}.get(number, Why.UNDEFINED)
        return Stop(why, pc, pc)

    def _error_stop(self, error: Any) -> Stop:
        u = self._unicorn
        pc = self.get("pc") & ~1
        if error.errno == u.UC_ERR_INSN_INVALID:
            if not self.get("xpsr") & _THUMB:
                return Stop(Why.STATE, pc)
            hint = _HINTS.get(self._code_before(pc))
            if hint is not None:
                return Stop(hint, pc)
            return Stop(Why.UNDEFINED, pc)
        if error.errno in (u.UC_ERR_READ_UNMAPPED, u.UC_ERR_READ_PROT):
            return Stop(Why.READ, pc, self._bad_address)
        if error.errno in (u.UC_ERR_WRITE_UNMAPPED, u.UC_ERR_WRITE_PROT):
            return Stop(Why.WRITE, pc, self._bad_address)
        if error.errno in (u.UC_ERR_FETCH_UNMAPPED, u.UC_ERR_FETCH_PROT):
            if pc >= _EXC_RETURN_LOW:
                return Stop(Why.RETURN, pc)
            return Stop(Why.FETCH, pc, pc)
        raise BoardError(f"the engine stopped at {pc:#010x}: {error}")

    def _code_before(self, pc: int) -> bytes:
        try:
            return self.read_memory(pc - 2, 2)
        except self._error_type:
            return b""

    def _fail(self, error: BaseException) -> None:
        self._failure = error

    def _on_interrupt(self, uc: Any, number: int, _user: Any) -> None:
        self._interrupt = number
        uc.emu_stop()

    def _on_bad_access(
        self, _uc: Any, _access: int, address: int, _size: int, _value: int, _user: Any
    ) -> bool:
        self._bad_address = address
        return False


def _by_page(address: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield page, offset in it and bytes there."""
    end = address + size
    while address < end:
        page = address // PAGE * PAGE
        count = min(end, page + PAGE) - address
        yield page, address - page, count
        address += count


class RegisterBatch:
    """Several registers in one call: `values[i]` belongs to the i-th name.

    Args:
        library: The engine's shared library.
        handle: Engine handle.
        ids: Engine register ids.
    """

    def __init__(self, library: Any, handle: Any, ids: list[int]) -> None:
        self._library, self._handle, self._count = library, handle, len(ids)
        self._ids = (c.c_int * len(ids))(*ids)
        self.values = (c.c_uint64 * len(ids))()
        at, width = c.addressof(self.values), c.sizeof(c.c_uint64)
        self._pointers = (c.c_void_p * len(ids))(*(at + width * i for i in range(len(ids))))

    def read(self) -> list[int]:
        """Values now."""
        self._library.uc_reg_read_batch(self._handle, self._ids, self._pointers, self._count)
        return [value & 0xFFFFFFFF for value in self.values]

    def write(self, values: list[int]) -> None:
        """Set all, in the order of the names."""
        for index, value in enumerate(values):
            self.values[index] = value
        self._library.uc_reg_write_batch(self._handle, self._ids, self._pointers, self._count)


_CORE = tuple([f"r{i}" for i in range(13)] + ["sp", "lr", "pc"])
_SYSTEM = (
    "xpsr",
    "ipsr",
    "control",
    "msp",
    "psp",
    "primask",
    "basepri",
    "faultmask",
    "fpscr",
)
_SAVED = (*_CORE[:15], *(f"s{i}" for i in range(32)), "fpscr", "xpsr")  # what an instruction writes


def _register_ids(arm: Any) -> dict[str, int]:
    names = (*_CORE, *_SYSTEM, *(f"s{i}" for i in range(32)))
    return {name: getattr(arm, f"UC_ARM_REG_{name.upper()}") for name in names}


def import_unicorn() -> Any:
    """Return the engine's package.

    Raises:
        MissingToolError: It is not installed.
        BoardError: It is not version 2.
    """
    try:
        unicorn: Any = importlib.import_module("unicorn")
        importlib.import_module("unicorn.arm_const")
    except ImportError as error:
        raise MissingToolError(
            "the emulated core needs the Unicorn engine, which is not installed: "
            "pip install unicorn"
        ) from error
    if unicorn.uc_version()[0] != 2:
        raise BoardError(
            f"unicorn {unicorn.__version__} is installed, it must be version 2: "
            'pip install "unicorn>=2.1,<3"'
        )
    return unicorn


def _engine_library() -> Any:
    from unicorn.unicorn_py3 import unicorn as binding

    return binding.uclib

"""What the counters know of a run: the structures of counter.c."""

from __future__ import annotations

import ctypes as c
import enum

NO_BLOCK = 0xFFFFFFFF
BLOCKS = 1 << 16
HAS_FPU, FPU_GUARDED, MISALIGNED, IS_SHARED = 1, 2, 4, 8


class Stopped(enum.IntEnum):
    """Why the counter stopped the engine; the values are shared with counter.c."""

    NONE = 0
    EVENT = 1
    GUARD = 2
    SCAN = 3
    FULL = 4


class BlockStruct(c.Structure):
    """block_t of counter.c."""

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


class State(c.Structure):
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
        ("blocks", BlockStruct * BLOCKS),
    )


class GuardStruct(c.Structure):
    """guard_t of counter.c."""

    _fields_ = (
        ("counter", c.c_void_p),
        ("register_id", c.c_int32),
        ("mask", c.c_uint32),
        ("check", c.c_uint32),
        ("block", c.c_uint32),
        ("rest", c.c_uint32),
    )

"""A FAULT frame in words: which exception, where, and why, as the Armv7-M status registers say.

Source: Armv7-M Architecture Reference Manual (DDI 0403), B3.2.15 CFSR and B3.2.16 HFSR.
"""

from __future__ import annotations

from lnn_edge.device.elf import Elf
from lnn_edge.device.protocol import Fault

_EXCEPTIONS = {
    2: "NMI",
    3: "HardFault",
    4: "MemManage",
    5: "BusFault",
    6: "UsageFault",
    7: "SecureFault",
}
_MMFAR_VALID = 1 << 7
_BFAR_VALID = 1 << 15
_STKOF = 1 << 20  # Armv8-M
_GUARD_BYTES = 32  # that nothing may touch, below the stack (linker.ld)
_CFSR = (
    (0, "IACCVIOL, instruction fetch not allowed"),
    (1, "DACCVIOL, data access not allowed"),
    (3, "MUNSTKERR, memory fault on exception return"),
    (4, "MSTKERR, memory fault on exception entry"),
    (5, "MLSPERR, memory fault while saving FPU registers"),
    (8, "IBUSERR, instruction fetch from no memory"),
    (9, "PRECISERR, data access to no memory"),
    (10, "IMPRECISERR, buffered write to no memory"),
    (11, "UNSTKERR, bus fault on exception return"),
    (12, "STKERR, bus fault on exception entry"),
    (13, "LSPERR, bus fault while saving FPU registers"),
    (16, "UNDEFINSTR, undefined instruction"),
    (17, "INVSTATE, branch to an address without the Thumb bit"),
    (18, "INVPC, bad exception return"),
    (19, "NOCP, coprocessor or FPU is off"),
    (20, "STKOF, the stack reached its limit"),
    (24, "UNALIGNED, unaligned access"),
    (25, "DIVBYZERO, division by zero"),
)
_HFSR = ((1, "VECTTBL, vector table read failed"), (31, "DEBUGEVT, breakpoint without debugger"))


def describe_fault(fault: Fault, elf: Elf | None = None) -> str:
    """One sentence for a fault, with function names if the firmware's ELF is given.

    Example: ``HardFault at 0x08000124 (step+0x10), called from 0x08000200 (main+0x4):
    UNALIGNED, unaligned access (CFSR 0x01000000, HFSR 0x40000000)``.
    """
    name = _EXCEPTIONS.get(fault.exception, f"exception {fault.exception}")
    pc, lr = (_describe(address, elf) for address in (fault.pc, fault.lr))
    registers = f"CFSR {fault.cfsr:#010x}, HFSR {fault.hfsr:#010x}"
    return f"{name} at {pc}, called from {lr}: {'; '.join(_causes(fault))} ({registers})"


def _is_overflow(fault: Fault) -> bool:
    """Whether the stack grew into the guard below it, or past it."""
    guard = range(fault.stack_limit - _GUARD_BYTES, fault.stack_limit)
    is_met = bool(fault.cfsr & _MMFAR_VALID) and fault.mmfar in guard
    return is_met or fault.sp < fault.stack_limit or bool(fault.cfsr & _STKOF)


def _describe(address: int, elf: Elf | None) -> str:
    return elf.describe(address) if elf else f"{address:#010x}"


def _causes(fault: Fault) -> list[str]:
    causes = ["stack overflow"] if _is_overflow(fault) else []
    causes += [text for bit, text in _CFSR if fault.cfsr >> bit & 1]
    causes += [text for bit, text in _HFSR if fault.hfsr >> bit & 1]
    if fault.cfsr & _MMFAR_VALID:
        causes.append(f"address {fault.mmfar:#010x}")
    if fault.cfsr & _BFAR_VALID:
        causes.append(f"address {fault.bfar:#010x}")
    return causes or ["no cause recorded"]

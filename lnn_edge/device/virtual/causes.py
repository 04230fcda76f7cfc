"""What an instruction did wrong when the engine came back from it."""

from __future__ import annotations

from lnn_edge.device.virtual.config import MachineConfig
from lnn_edge.device.virtual.engine import Stop, Why
from lnn_edge.device.virtual.faults import (
    BFARVALID,
    DACCVIOL,
    DIVBYZERO,
    IACCVIOL,
    IBUSERR,
    INVSTATE,
    MMARVALID,
    NOCP,
    PRECISERR,
    UNALIGNED,
    UNDEFINSTR,
    BoardStoppedError,
    Cause,
)
from lnn_edge.device.virtual.mpu import Mpu
from lnn_edge.device.virtual.thumb import Check

_GUARD_CAUSES = {
    Check.ALIGNED: Cause("unaligned access by an instruction that needs alignment", UNALIGNED),
    Check.DIVISOR: Cause("division by zero", DIVBYZERO),
    Check.FPU_ON: Cause("floating-point instruction while the FPU is off (CPACR)", NOCP),
    Check.NEVER: Cause("double-precision instruction, which this FPU does not have", UNDEFINSTR),
}


def cause_of(stop: Stop, config: MachineConfig, mpu: Mpu) -> Cause:
    """Return the fault that a core would take where the engine stopped.

    Raises:
        BoardStoppedError: It is a breakpoint.
    """
    if stop.why is Why.GUARD and stop.check is not None:
        return _GUARD_CAUSES[stop.check]
    if stop.why is Why.BREAK:
        raise BoardStoppedError("breakpoint instruction (BKPT)")
    if stop.why in (Why.READ, Why.WRITE):
        return _bad_access(stop, config, mpu)
    if stop.why is Why.FETCH:
        if not mpu.rights(stop.pc).execute:
            return Cause("execution of what the MPU forbids", IACCVIOL)
        never = 0x40000000 <= stop.pc < 0x60000000 or stop.pc >= 0xA0000000
        return Cause("execution where there is no code", IACCVIOL if never else IBUSERR)
    if stop.why is Why.STATE:
        return Cause("even address in a branch or vector (Arm state)", INVSTATE)
    return Cause("undefined instruction", UNDEFINSTR)


def _bad_access(stop: Stop, config: MachineConfig, mpu: Mpu) -> Cause:
    region = config.region_at(stop.address)
    verb = "read from" if stop.why is Why.READ else "write to"
    rights = mpu.rights(stop.address)
    if not (rights.read if stop.why is Why.READ else rights.write):
        what = f"{verb} an address that the MPU forbids"
        return Cause(what, DACCVIOL | MMARVALID, stop.address)
    if region is not None and region.kind == "flash":
        what = f"{verb} flash"
    elif 0x40000000 <= stop.address < 0x60000000 or stop.address >= 0xE0000000:
        what = f"{verb} an address without a (modelled) peripheral"
    else:
        what = f"{verb} an address without memory"
    return Cause(what, PRECISERR | BFARVALID, stop.address)

"""A model that crashes or hangs on an emulated board: the report, and the reset that follows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.build.seal import seal
from lnn_edge.device.elf import read_elf
from lnn_edge.device.framing import Frame, encode_frame
from lnn_edge.device.link.fault import describe_fault
from lnn_edge.device.protocol import Data, ErrorCode, Fault, Kind
from tests.firmware.programs import TROUBLE, compile_board, needs_arm_gcc, needs_qemu
from tests.firmware.wire import connect, run_qemu, run_virtual

pytestmark = [pytest.mark.target, needs_arm_gcc]

UNDEFINED, NO_MEMORY, DIVISION, OVERFLOW, HANG = range(1, 6)
CASES = [
    (UNDEFINED, "execute_nothing", 1 << 16),
    (NO_MEMORY, "read_nowhere", 1 << 9),
    (DIVISION, "divide_by_zero", 1 << 25),
]


@pytest.fixture(scope="module")
def f746(tmp_path_factory) -> Path:
    return compile_board(TROUBLE, "stm32f746", tmp_path_factory.mktemp("trouble"))


def provoke(wire, what: int) -> Frame | None:
    """Feed the sample that makes the model go wrong; returns what the board says."""
    samples = np.array([[0], [what]], "<i2").tobytes()
    wire.send(encode_frame(Frame(Kind.DATA, 1, Data(0, 2, (), samples).encode())))
    return wire.receive()


@pytest.mark.parametrize(("what", "function", "status"), CASES)
def test_a_fault_is_reported_with_its_place_and_cause(f746, tmp_path, what, function, status):
    with run_virtual(f746, tmp_path) as address, connect(address) as wire:
        wire.greet()
        frame = provoke(wire, what)
        assert frame is not None
        assert (frame.kind, frame.seq) == (Kind.FAULT, 0)
        fault = Fault.decode(frame.payload)
        assert read_elf(f746).name_at(fault.pc).startswith(function)
        assert fault.cfsr & 0x03FFFFFF & ~(1 << 15) == status
        assert fault.xpsr & 1 << 24  # Thumb
        if what == NO_MEMORY:
            assert fault.bfar == 0x60000000


@pytest.mark.slow
@pytest.mark.parametrize("what", [UNDEFINED, HANG])
def test_the_watchdog_resets_the_board_and_says_so(f746, tmp_path, what):
    with run_virtual(f746, tmp_path) as address, connect(address) as wire:
        assert "power" in wire.greet().reset_causes
        provoke(wire, what)
        assert wire.greet(tries=240).reset_causes == ("pin", "watchdog")
        reply = wire.ask(Kind.DATA, 1, Data(0, 0, (), b"").encode())
        assert reply.kind == Kind.RESULTS


def test_a_reset_board_refuses_requests_until_it_is_greeted(f746, tmp_path):
    with run_virtual(f746, tmp_path) as address, connect(address) as wire:
        reply = wire.ask(Kind.STATS, 0)
        assert (reply.kind, reply.payload[0]) == (Kind.ERROR, ErrorCode.NO_SESSION)
        wire.greet()
        assert wire.ask(Kind.STATS, 1).kind == Kind.STATS_REPLY


@pytest.fixture(scope="module")
def f405(tmp_path_factory) -> Path:
    return compile_board(TROUBLE, "stm32f405", tmp_path_factory.mktemp("trouble"))


@needs_qemu
def test_a_fault_is_reported_by_another_core_and_emulator(f405):
    with run_qemu(f405) as address, connect(address) as wire:
        wire.greet()
        frame = provoke(wire, UNDEFINED)
        assert frame is not None
        assert frame.kind == Kind.FAULT
        fault = Fault.decode(frame.payload)
        assert fault.exception == 6  # UsageFault
        assert read_elf(f405).name_at(fault.pc).startswith("execute_nothing")


def check_overflow(address: str) -> None:
    """The stack meets its guard or leaps over it and leaves the memory: a frame names it."""
    with connect(address) as wire:
        wire.greet()
        frame = provoke(wire, OVERFLOW)
        assert frame is not None
        assert frame.kind == Kind.FAULT
        fault = Fault.decode(frame.payload)
        assert fault.exception in (4, 5)  # MemManage, BusFault
        assert fault.cfsr & (1 << 4 | 1 << 12)  # MSTKERR or STKERR: nothing could be pushed
        assert "stack overflow" in describe_fault(fault)


def test_an_overflowing_stack_is_named(f746, tmp_path):
    with run_virtual(f746, tmp_path) as address:
        check_overflow(address)


@needs_qemu
def test_an_overflowing_stack_is_named_by_another_core_and_emulator(f405):
    with run_qemu(f405) as address:
        check_overflow(address)


def test_a_stack_that_leaps_over_its_guard_is_named():
    below = Fault(5, 0, 0, 0, 1 << 12, 0, 0, 0, 0x1FFFFF80, 0x20000020)
    met = Fault(4, 0x08000124, 0, 0, 0x82, 0, 0x20000004, 0, 0x20000030, 0x20000020)
    other = Fault(4, 0x08000124, 0, 0, 0x82, 0, 0x20001004, 0, 0x20000800, 0x20000020)
    assert ["stack overflow" in describe_fault(f) for f in (below, met, other)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("damage", [0, 1], ids=["whole", "damaged"])
def test_a_sealed_image_is_checked_at_each_start(f746, tmp_path, damage):
    elf, image = tmp_path / "firmware.elf", tmp_path / "firmware.bin"
    shutil.copy(f746, elf)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, image], check=True)
    seal(elf, image)
    segments = read_elf(elf).segments
    assert b"".join(data for _, data in sorted(segments)) == image.read_bytes()  # no gaps
    raw = elf.read_bytes()
    at = raw.index(b"stm32f746g-disco\0")  # a constant that nothing depends on
    elf.write_bytes(raw[:at] + bytes([raw[at] ^ damage]) + raw[at + 1 :])
    with run_virtual(elf, tmp_path) as address, connect(address) as wire:
        assert wire.greet().is_image_good == (not damage)
    with run_virtual(f746, tmp_path) as address, connect(address) as wire:
        assert wire.greet().is_image_good is None  # not sealed

"""What a crash says on cores that tell more or less of it than a Cortex-M4 or M7."""

from __future__ import annotations

from pathlib import Path

import pytest

from lnn_edge.device.elf import read_elf
from lnn_edge.device.framing import Frame
from lnn_edge.device.link.fault import describe_fault
from lnn_edge.device.protocol import Fault, Kind
from tests.firmware.programs import TROUBLE, compile_board, needs_arm_gcc, needs_qemu
from tests.firmware.test_fault import OVERFLOW, UNDEFINED, provoke
from tests.firmware.wire import connect, run_qemu

pytestmark = [pytest.mark.target, needs_arm_gcc, needs_qemu]

HARD_FAULT, MEM_MANAGE, USAGE_FAULT = 3, 4, 6
STACK_OVERFLOW = 1 << 20


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        board: compile_board(TROUBLE, board, tmp_path_factory.mktemp(board))
        for board in ("microbit", "mps2-an385", "mps2-an505", "mps3-an547")
    }


def crash(elf: Path, machine: str, what: int) -> Fault:
    with run_qemu(elf, machine) as address, connect(address) as wire:
        wire.greet()
        frame: Frame | None = provoke(wire, what)
    assert frame is not None
    assert frame.kind == Kind.FAULT
    return Fault.decode(frame.payload)


@pytest.mark.parametrize(
    ("board", "exception", "causes"),
    [
        ("microbit", HARD_FAULT, 0),  # Armv6-M has one fault, and no register that says why
        ("mps2-an385", USAGE_FAULT, 1 << 16),
        ("mps2-an505", USAGE_FAULT, 1 << 16),
        ("mps3-an547", USAGE_FAULT, 1 << 16),
    ],
)
def test_a_fault_is_reported_with_its_place(
    board: str, exception: int, causes: int, programs: dict[str, Path]
) -> None:
    fault = crash(programs[board], board, UNDEFINED)
    assert (fault.exception, fault.cfsr) == (exception, causes)
    assert read_elf(programs[board]).name_at(fault.pc).startswith("execute_nothing")


@pytest.mark.parametrize("board", ["mps2-an505", "mps3-an547"])
def test_the_limit_of_the_stack_is_a_register_on_armv8_m(
    board: str, programs: dict[str, Path]
) -> None:
    fault = crash(programs[board], board, OVERFLOW)
    assert fault.exception == USAGE_FAULT
    assert fault.cfsr & STACK_OVERFLOW
    assert "stack overflow" in describe_fault(fault)


def test_the_stack_has_a_guard_on_a_core_with_the_unit(programs: dict[str, Path]) -> None:
    fault = crash(programs["mps2-an385"], "mps2-an385", OVERFLOW)
    assert fault.exception == MEM_MANAGE
    assert "stack overflow" in describe_fault(fault)

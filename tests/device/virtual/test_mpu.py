"""The memory protection unit: rules as the Armv7-M manual has them, and that they are enforced."""

from __future__ import annotations

from pathlib import Path

import pytest

from lnn_edge.device.virtual.faults import (
    DACCVIOL,
    IACCVIOL,
    MMARVALID,
    MSTKERR,
    PRECISERR,
    STKERR,
)
from lnn_edge.device.virtual.mpu import ALL, NONE, Mpu, Rights
from tests.device.virtual.boards import Board, program
from tests.support.projects import needs_arm_gcc

TYPE, CONTROL, NUMBER, BASE, ATTRIBUTES = 0x90, 0x94, 0x98, 0x9C, 0xA0
ON, IN_FAULTS, DEFAULT_MAP, NEVER = 1, 2, 4, 1 << 28
READ_ONLY = Rights(True, False, True)


def attributes(bits: int, permission: int, more: int = 0) -> int:
    return permission << 24 | bits - 1 << 1 | more | 1


def unit(*regions: tuple[int, int], control: int = ON | DEFAULT_MAP) -> Mpu:
    mpu = Mpu()
    for number, (base, value) in enumerate(regions):
        mpu.write(NUMBER, number)
        mpu.write(BASE, base)
        mpu.write(ATTRIBUTES, value)
    mpu.write(CONTROL, control)
    return mpu


def test_it_has_eight_regions_that_are_off_after_reset():
    mpu = Mpu()
    assert mpu.read(TYPE) == 0x800
    assert (mpu.read(CONTROL), mpu.rights(0)) == (0, ALL)


@pytest.mark.parametrize(
    ("permission", "rights"),
    [
        (0, NONE),
        (1, ALL),
        (2, ALL),
        (3, ALL),
        (4, NONE),
        (5, READ_ONLY),
        (6, READ_ONLY),
        (7, READ_ONLY),
    ],
)
def test_access_permissions_of_privileged_code(permission, rights):
    """DDI 0403E, table B3-15."""
    mpu = unit((0x20000000, attributes(10, permission)))
    assert mpu.rights(0x200003FF) == rights
    assert mpu.rights(0x20000400) == ALL
    never = unit((0x20000000, attributes(10, permission, NEVER)))
    assert never.rights(0x20000000) == Rights(rights.read, rights.write, False)


def test_the_region_of_the_highest_number_rules():
    mpu = unit((0x20000000, attributes(16, 0)), (0x20000100, attributes(8, 3)))
    assert mpu.rights(0x20000100) == ALL
    assert mpu.rights(0x20000200) == NONE
    parts = mpu.segments(0x20000000, 0x20000400)
    assert parts == [
        (0x20000000, 0x20000100, NONE),
        (0x20000100, 0x20000200, ALL),
        (0x20000200, 0x20000400, NONE),
    ]


def test_a_subregion_that_is_off_is_not_of_the_region():
    mpu = unit((0x20000000, attributes(8, 0, 0b00000101 << 8)))
    assert [mpu.rights(0x20000000 + 32 * i) == ALL for i in range(8)] == [
        i in (0, 2) for i in range(8)
    ]
    small = unit((0x20000000, attributes(7, 0, 0xFF << 8)))  # not divided below 256 bytes
    assert small.rights(0x20000000) == NONE


def test_without_the_default_map_nothing_else_may_be_touched_but_the_core():
    mpu = unit((0x20000000, attributes(5, 3)), control=ON)
    assert mpu.rights(0x2000001F) == ALL
    assert mpu.rights(0x20000020) == NONE
    assert mpu.rights(0xE000ED94) == ALL


@pytest.mark.parametrize("control", [ON | DEFAULT_MAP, ON | DEFAULT_MAP | IN_FAULTS])
def test_a_hard_fault_does_without_it_unless_told_otherwise(control):
    mpu = unit((0x20000000, attributes(5, 0)), control=control)
    mpu.is_bypassed = True
    assert mpu.rights(0x20000000) == (NONE if control & IN_FAULTS else ALL)


def test_registers_keep_what_is_written_and_the_base_may_choose_its_region():
    mpu = Mpu()
    mpu.write(BASE, 0x20000040 | 1 << 4 | 5)
    mpu.write(ATTRIBUTES, attributes(6, 3))
    assert (mpu.read(NUMBER), mpu.read(BASE)) == (5, 0x20000045)
    assert mpu.read(ATTRIBUTES) == attributes(6, 3) == mpu.read(ATTRIBUTES + 8)
    assert mpu.rights(0x20000040) == ALL


SET = """
static void rule(uint32_t number, uint32_t base, uint32_t attributes)
{
    R(0xE000ED98) = number; R(0xE000ED9C) = base; R(0xE000EDA0) = attributes;
    R(0xE000ED94) = 5; BARRIER();
}
volatile uint32_t room[512] __attribute__((aligned(2048)));
"""


def run(folder: Path, body: str, more: str = "", handlers: dict[int, str] | None = None) -> Board:
    text = f"{SET}\n{more}\nvoid Reset_Handler(void) {{ {body} DONE(); }}"
    board = Board(program(folder, text, handlers))
    board.run()
    return board


FORBIDDEN = f"rule(0, (uint32_t) &room[8], {attributes(5, 0, NEVER)});"


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize(
    ("access", "at"),
    [
        ("(void) room[8];", 8),
        ("room[15] = 1;", 15),
        ("*(volatile uint8_t *) &room[9] = 1;", 9),
        ('__asm volatile("stm %0, {r1-r4}" :: "r"(&room[6]) : "memory");', 8),
        ('__asm volatile("ldrd r2, r3, [%0]" :: "r"(&room[14]) : "r2", "r3");', 14),
        (
            '__asm volatile("mov r2, sp; mov sp, %0; push {r0-r3}; mov sp, r2" :: "r"(&room[18])'
            ' : "r2");',
            14,
        ),
    ],
)
def test_what_is_forbidden_faults_with_its_address(tmp_path, access, at):
    board = run(tmp_path, f"{FORBIDDEN} {access}")
    fault = board.faults[0]
    assert fault.cfsr & (DACCVIOL | MMARVALID) == DACCVIOL | MMARVALID
    assert fault.address == board.address("room") + 4 * at
    assert fault.function == "Reset_Handler"


@pytest.mark.target
@needs_arm_gcc
def test_what_lies_beside_works_and_keeps_its_values(tmp_path):
    body = f"""
    box[0] = box[1] = 0;
    for (uint32_t i = 0; i < 512; i++) {{ room[i] = i * i; }}
    {FORBIDDEN}
    room[7] += 1; room[16] += 1;
    for (uint32_t i = 0; i < 512; i++) {{ box[0] += (i < 8 || i > 15) ? room[i] : 0; }}
    R(0xE000ED94) = 0; BARRIER();
    room[8] += 1;
    for (uint32_t i = 0; i < 512; i++) {{ box[1] += room[i]; }}
    """
    board = run(tmp_path, body)
    squares = [i * i for i in range(512)]
    assert [fault for fault in board.faults if fault.cfsr] == []
    assert board.box(2) == [sum(squares) - sum(squares[8:16]) + 2, sum(squares) + 3]


@pytest.mark.target
@needs_arm_gcc
def test_read_only_memory_is_read_and_not_written(tmp_path):
    body = f"room[3] = 77; rule(0, (uint32_t) room, {attributes(11, 5)}); box[0] = room[3];"
    board = run(tmp_path, body + "room[3] = 78;")
    assert board.box(1) == [77]
    assert board.faults[0].address == board.address("room") + 12


@pytest.mark.target
@needs_arm_gcc
def test_what_is_not_executed_faults(tmp_path):
    body = f"room[0] = 0x47704770; rule(0, (uint32_t) room, {attributes(11, 3, NEVER)});"
    board = run(tmp_path, body + "((void (*)(void)) ((uint32_t) room + 1))();")
    assert (board.faults[0].cfsr, board.faults[0].pc) == (IACCVIOL, board.address("room"))


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize(("stack", "status"), [("&room[18]", MSTKERR), ("0x20000010", STKERR)])
def test_a_fault_without_room_for_its_frame_is_handled_all_the_same(tmp_path, stack, status):
    """B1.5.11: the handler of the first fault runs, the other waits; only a HardFault locks up."""
    handler = 'NAKED void h(void) { __asm volatile("ldr sp, =_stack_top; bl seen"); }'
    seen = "void h(void); void seen(void); void seen(void) { box[0] = R(0xE000ED28); DONE(); }"
    body = (
        f'{FORBIDDEN} R(0xE000ED24) = 7 << 16;__asm volatile("mov sp, %0; udf #0" :: "r"({stack}));'
    )
    board = run(tmp_path, body, seen + handler, dict.fromkeys((3, 4, 5, 6), "h"))
    assert board.box(1)[0] & status
    assert not board.box(1)[0] & PRECISERR


@pytest.mark.target
@needs_arm_gcc
def test_a_hard_fault_may_touch_what_is_forbidden(tmp_path):
    seen = "void h(void); void h(void) { room[8] = 3; box[0] = room[8]; DONE(); }"
    board = run(tmp_path, f'{FORBIDDEN} __asm volatile("udf #0");', seen, {3: "h"})
    assert board.box(1) == [3]

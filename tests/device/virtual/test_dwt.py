"""The cycle counter: instructions, exact to each of them, and never taken for an Arm part's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lnn_edge.device.virtual.dwt import Dwt
from tests.device.virtual.boards import Board, program
from tests.support.projects import needs_arm_gcc

CTRL, CYCCNT, LAR, LSR = 0, 4, 0xFB0, 0xFB4


class Bench:
    def __init__(self, has_lock: bool = True) -> None:
        self.retired, self.enabled = 1000, True
        counter = SimpleNamespace(is_counting=0, zero_at=0)
        self.dwt = Dwt(has_lock, lambda: self.enabled, lambda: self.retired, counter)


def test_it_counts_from_when_it_is_enabled():
    b = Bench(has_lock=False)
    b.retired += 50
    assert b.dwt.read(CYCCNT) == 0
    b.dwt.write(CTRL, 1)
    b.retired += 70
    assert b.dwt.read(CYCCNT) == 70
    b.dwt.write(CTRL, 0)
    b.retired += 70
    assert b.dwt.read(CYCCNT) == 70


def test_it_can_be_set_and_wraps():
    b = Bench(has_lock=False)
    b.dwt.write(CTRL, 1)
    b.dwt.write(CYCCNT, 0xFFFFFFF0)
    b.retired += 0x11
    assert b.dwt.read(CYCCNT) == 1


def test_a_cortex_m7_must_be_unlocked_first():
    b = Bench()
    assert b.dwt.read(LSR) == 3
    b.dwt.write(CTRL, 1)
    assert b.dwt.read(CTRL) & 1 == 0
    b.dwt.write(LAR, 0xC5ACCE55)
    assert b.dwt.read(LSR) == 1
    b.dwt.write(CTRL, 1)
    assert b.dwt.read(CTRL) & 1 == 1
    b.dwt.write(LAR, 0)
    assert b.dwt.read(LSR) == 3
    b.dwt.write(CTRL, 0)
    assert b.dwt.read(CTRL) & 1 == 1


def test_without_trace_it_stands_still_and_reads_zero():
    b = Bench(has_lock=False)
    b.dwt.write(CTRL, 1)
    b.retired += 10
    b.enabled = False
    b.dwt.trace_changed()
    b.retired += 10
    assert b.dwt.read(CYCCNT) == 0
    b.enabled = True
    b.dwt.trace_changed()
    assert b.dwt.read(CYCCNT) == 10


def test_its_identification_names_no_arm_part():
    dwt = Bench().dwt
    assert [dwt.read(0xFE0), dwt.read(0xFE4)] == [0xDE, 0x0E]  # part 0xEDE
    designer = dwt.read(0xFE4) >> 4 | (dwt.read(0xFE8) & 7) << 4 | (dwt.read(0xFD0) & 0xF) << 8
    assert designer == 0  # Arm's is 0x43B


START = """
    R(0xE000EDFC) |= 1 << 24; R(0xE0001FB0) = 0xC5ACCE55; R(0xE0001004) = 0; R(0xE0001000) |= 1;
"""


def differences(*codes: str) -> str:
    """A program that reads the counter around each piece of code."""
    pieces = [
        f'__asm volatile("ldr r0, [%2, #4]; {code}; ldr r1, [%2, #4]; subs %0, r1, r0"'
        f' : "=&r"(found), "+r"(one) : "r"(0xE0001000) : "r0", "r1", "r2", "r3", "cc", "memory");'
        f" box[{index}] = found;"
        for index, code in enumerate(codes)
    ]
    body = f"{START} uint32_t found, one = 1; {' '.join(pieces)} DONE();"
    return f"void Reset_Handler(void) {{ {body} }}"


PIECES = {
    "": 0,
    "nop": 1,
    "nop.w; nop; nop.w": 3,
    "b 1f; nop; 1:": 1,
    "movs r2, #9; 1: subs r2, #1; bne 1b": 19,
    "cmp %1, #1; itt ne; movne r2, #1; addne r2, #2": 4,
    "cmp %1, #1; ite eq; ldreq r2, [%2, #4]; ldrne r2, [%2, #4]": 4,
    "ldr r2, [%2, #4]; ldr r3, [%2, #4]": 2,
    "push {r4-r7}; pop {r4-r7}": 2,
}


@needs_arm_gcc
@pytest.mark.target
@pytest.mark.parametrize("use_compiler", [True, False])
def test_two_reads_differ_by_the_instructions_between_them(tmp_path, use_compiler):
    board = Board(program(tmp_path, differences(*PIECES)), use_compiler=use_compiler)
    board.finish()
    assert board.box(len(PIECES)) == [count + 1 for count in PIECES.values()]


CONDITIONAL = f"""
void Reset_Handler(void)
{{
    {START}
    uint32_t first, second, kept;
    __asm volatile("cmp %3, %3; itete eq; ldreq %0, [%3, #4]; ldrne %1, [%3, #4]; "
                   "ldreq %1, [%3, #4]; strne %3, [%4]; nop; ldr %2, [%3, #4]"
                   : "=&r"(first), "=&r"(second), "=&r"(kept) : "r"(0xE0001000), "r"(&box[9])
                   : "cc", "memory");
    box[0] = second - first; box[1] = kept - second;
    __asm volatile("cmp %1, #0; it eq; streq %1, [%0, #4]" :: "r"(0xE0001000), "r"(0) : "cc");
    box[2] = R(0xE0001004);
    DONE();
}}
"""


@needs_arm_gcc
@pytest.mark.target
@pytest.mark.parametrize("use_compiler", [True, False])
def test_conditional_accesses_are_exact_too(tmp_path, use_compiler):
    board = Board(program(tmp_path, CONDITIONAL), use_compiler=use_compiler)
    board.finish()
    assert board.box(2) == [2, 3]
    assert 0 < board.box(1, 2)[0] < 8  # it was set to zero just before


TWO_WAYS = f"""
void Reset_Handler(void)
{{
    {START}
    __asm volatile("mov r4, #5; 1: tst r4, #1; ldr r0, [%0, #4]; beq 2f; nop; nop; "
                   "2: nop; ldr r1, [%0, #4]; subs r0, r1, r0; str r0, [%1], #4; subs r4, #1; "
                   "bne 1b"
                   :: "r"(0xE0001000), "r"(&box[0]) : "r0", "r1", "r4", "cc", "memory");
    DONE();
}}
"""


@needs_arm_gcc
@pytest.mark.target
@pytest.mark.parametrize("use_compiler", [True, False])
def test_reads_that_come_again_and_in_other_blocks_are_exact(tmp_path, use_compiler):
    board = Board(program(tmp_path, TWO_WAYS), use_compiler=use_compiler)
    board.finish()
    assert board.box(5) == [5, 3, 5, 3, 5]

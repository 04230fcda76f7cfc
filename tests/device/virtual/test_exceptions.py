"""Exceptions on the core: order, frames, masks, sleep and calls. ARMv7-M B1.5."""

from __future__ import annotations

import pytest

from lnn_edge.device.virtual.faults import BFARVALID, PRECISERR, UNDEFINSTR
from tests.device.virtual.boards import Board, program
from tests.support.projects import needs_arm_gcc

pytestmark = [pytest.mark.target, needs_arm_gcc]

# Interrupts 0 to 3 write their letters to the box as they come and go.
LETTERS = """
#define PEND(irq) do { R(0xE000E200) = 1u << (irq); BARRIER(); } while (0)
#define PRIORITY(irq, value) (*(volatile uint8_t *)(0xE000E400 + (irq)) = (value))
static volatile uint32_t length;
static void note(uint32_t letter) { box[length++] = letter; }
static void on_a(void); static void on_b(void); static void on_c(void); static void on_d(void);
void a(void); void b(void); void c(void); void d(void);
void a(void) { note('a'); on_a(); note('A'); }
void b(void) { note('b'); on_b(); note('B'); }
void c(void) { note('c'); on_c(); note('C'); }
void d(void) { note('d'); on_d(); note('D'); }
void Reset_Handler(void) { length = 0; R(0xE000E100) = 15; run(); note(0); DONE(); }
"""
IRQS = {16: "a", 17: "b", 18: "c", 19: "d"}


def order(tmp_path, body: str, **handlers: str) -> str:
    """Letters in the order in which the handlers came and went."""
    source = "static void run(void);\n" + LETTERS
    for letter in "abcd":
        source += f"static void on_{letter}(void) {{ {handlers.get(letter, '')} }}\n"
    source += f"static void run(void) {{ {body} }}\n"
    board = Board(program(tmp_path, source, IRQS))
    board.finish()
    assert board.faults == []
    letters = board.box(64)
    return "".join(map(chr, letters[: letters.index(0)]))


def test_a_pending_interrupt_comes_at_once(tmp_path):
    assert order(tmp_path, "note('1'); PEND(0); note('2');") == "1aA2"


def test_enabling_a_pending_interrupt_takes_it(tmp_path):
    body = "R(0xE000E180) = 1; PEND(0); note('1'); R(0xE000E100) = 1; BARRIER(); note('2');"
    assert order(tmp_path, body) == "1aA2"


def test_a_higher_priority_preempts_and_a_lower_follows(tmp_path):
    body = "PRIORITY(0, 0x80); PRIORITY(1, 0x40); PRIORITY(2, 0xC0); PEND(0); note('1');"
    assert order(tmp_path, body, a="PEND(1);", b="PEND(2);") == "abBAcC1"


def test_equal_priorities_wait_and_go_by_number(tmp_path):
    body = "PRIORITY(3, 0x10); PEND(3); note('1');"
    equal = "PRIORITY(0, 0x10); PRIORITY(1, 0x10); PRIORITY(2, 0x10); PEND(2); PEND(1); PEND(0);"
    assert order(tmp_path, body, d=equal) == "dDaAbBcC1"


def test_primask_holds_all_back(tmp_path):
    body = """__asm volatile("cpsid i"); PEND(1); PEND(0); note('1');
              __asm volatile("cpsie i; isb"); note('2');"""
    assert order(tmp_path, body) == "1aAbB2"


def test_basepri_holds_the_lower_back(tmp_path):
    body = """PRIORITY(0, 0x80); PRIORITY(1, 0x40);
              __asm volatile("msr basepri, %0; isb" :: "r"(0x60)); PEND(0); note('1'); PEND(1);
              note('2'); __asm volatile("msr basepri, %0; isb" :: "r"(0)); note('3');"""
    assert order(tmp_path, body) == "1bB2aA3"


def test_a_new_priority_counts_for_what_already_waits(tmp_path):
    body = "PRIORITY(0, 0x80); PRIORITY(1, 0x80); PEND(0); note('1');"
    assert order(tmp_path, body, a="PEND(1); note('x'); PRIORITY(1, 0); BARRIER();") == "axbBA1"


def test_a_new_system_priority_counts_for_what_already_waits(tmp_path):
    source = """
    void a(void); void p(void);
    void p(void) { box[0] = box[1]; }
    void a(void)
    {
        R(0xE000ED04) = 1 << 28; BARRIER(); box[1] = 2;
        R(0xE000ED20) = 0; BARRIER(); box[1] = 3;
    }
    void Reset_Handler(void)
    {
        *(volatile uint8_t *)0xE000E400 = 0x40; R(0xE000ED20) = 0x80 << 16; box[1] = 1;
        R(0xE000E100) = 1; R(0xE000E200) = 1; BARRIER();
        DONE();
    }
    """
    board = Board(program(tmp_path, source, {14: "p", 16: "a"}))
    board.finish()
    assert board.box(2) == [2, 3]


def test_sleep_ends_with_an_interrupt_that_primask_holds_back(tmp_path):
    body = """R(0xE000E014) = 999; R(0xE000E010) = 7; __asm volatile("cpsid i"); note('1');
              __asm volatile("wfi"); note('2'); R(0xE000E010) = 0; R(0xE000ED04) = 1 << 25;"""
    assert order(tmp_path, body) == "12"


def test_an_event_before_the_wait_is_not_missed(tmp_path):
    body = """PEND(0); note('1'); __asm volatile("wfe"); note('2');"""
    assert order(tmp_path, body, a='__asm volatile("wfe");') == "aA12"


def test_an_exception_preserves_the_state_of_what_it_interrupts(tmp_path):
    source = """
    void h(void); void run(void);
    NAKED void h(void)
    {
        __asm volatile("mov r0, #0; mov r1, r0; mov r2, r0; mov r3, r0; mov r12, r0; "
                       "vmov s0, r0; vmov s15, r0; cmp r0, #1; vmsr fpscr, r0; bx lr");
    }
    void Reset_Handler(void)
    {
        CPACR |= 0xF << 20; BARRIER();
        for (uint32_t offset = 0; offset < 2; offset++)
        {
            uint32_t sum, flags, before, after;
            __asm volatile(
                "mov %2, sp; sub sp, sp, %5, lsl #2; "
                "mov r0, #1; mov r1, #2; mov r2, #4; mov r3, #8; mov r12, #16; "
                "vmov s0, r1; vmov s15, r2; ldr r4, =0x30000000; vmsr fpscr, r4; cmp r0, r0; "
                "ldr r4, =0xE000ED04; mov r5, #1 << 28; str r5, [r4]; dsb; isb; " /* PendSV */
                "mrs %1, apsr; add r0, r1; add r0, r2; add r0, r3; add r0, r12; "
                "vmov r1, s0; add r0, r1; vmov r1, s15; add r0, r1; vmrs r1, fpscr; add r0, r1; "
                "mov %0, r0; add sp, sp, %5, lsl #2; mov %3, sp"
                : "=&r"(sum), "=&r"(flags), "=&r"(before), "=&r"(after) : "0"(0), "r"(offset)
                : "r0", "r1", "r2", "r3", "r4", "r5", "r12", "s0", "s15", "cc", "memory");
            box[4 * offset] = sum; box[4 * offset + 1] = flags >> 28;
            box[4 * offset + 2] = before - after;
        }
        DONE();
    }
    """
    board = Board(program(tmp_path, source, {14: "h"}))
    board.finish()
    for first in (0, 4):  # with the stack aligned to eight and not
        assert board.box(3, first) == [0x30000000 + 31 + 2 + 4, 6, 0]  # Z and C


def test_a_thread_on_its_own_stack_comes_back_to_it(tmp_path):
    source = """
    void h(uint32_t *frame); void Svc(void);
    void h(uint32_t *frame) { box[0] = frame[0] + 1; frame[0] = 40; }
    NAKED void Svc(void) { __asm volatile("mrs r0, psp; push {r3, lr}; bl h; pop {r3, pc}"); }
    void Reset_Handler(void)
    {
        uint32_t got;
        __asm volatile("msr psp, %1; mov r0, #2; msr control, r0; isb; "
                       "mov r0, #7; svc 0; add %0, r0, #2"
                       : "=r"(got) : "r"(&box[60]) : "r0", "memory");
        box[1] = got;
        __asm volatile("mrs %0, psp" : "=r"(box[2]));
        __asm volatile("mrs %0, control" : "=r"(box[3]));
        DONE();
    }
    """
    board = Board(program(tmp_path, source, {11: "Svc"}))
    board.finish()
    assert board.box(4) == [8, 42, board.address("box") + 240, 2]


FAULTS = """
void h(void);
void h(void)
{
    __asm volatile("mrs %0, ipsr" : "=r"(box[1]));
    box[2] = R(0xE000ED28); box[3] = R(0xE000ED2C); box[4] = R(0xE000ED38); box[5] = R(0xE000ED24);
    R(0xE000ED28) = 0xFFFFFFFF; R(0xE000ED2C) = 0xFFFFFFFF; box[6] = R(0xE000ED28) | R(0xE000ED2C);
    DONE();
}
void Reset_Handler(void) { R(0xE000ED24) = box[0]; BARRIER(); BODY; DONE(); }
"""
BUS, USAGE, FORCED = 1 << 17, 1 << 18, 1 << 30
NOWHERE = "R(0x60000000) = 1"
HELD_BACK = """*(volatile uint8_t *)0xE000ED1F = 0x80;
    __asm volatile("msr basepri, %0; svc 0" :: "r"(0x40))"""
UNDEFINED = '__asm volatile("udf #0")'


@pytest.mark.parametrize(
    ("body", "enabled", "exception", "cfsr", "hfsr"),
    [
        (NOWHERE, 0, 3, PRECISERR | BFARVALID, FORCED),
        (NOWHERE, USAGE, 3, PRECISERR | BFARVALID, FORCED),
        (NOWHERE, BUS, 5, PRECISERR | BFARVALID, 0),
        (UNDEFINED, BUS, 3, UNDEFINSTR, FORCED),
        (UNDEFINED, USAGE, 6, UNDEFINSTR, 0),
        (f'__asm volatile("cpsid i"); {UNDEFINED}', USAGE, 3, UNDEFINSTR, FORCED),
        ('__asm volatile("cpsid i; svc 0")', USAGE, 3, 0, FORCED),
        (HELD_BACK, USAGE, 3, 0, FORCED),  # UsageFault could come, but an SVC is none
    ],
)
def test_a_fault_goes_to_its_handler_or_escalates(tmp_path, body, enabled, exception, cfsr, hfsr):
    source = FAULTS.replace("BODY", body)
    board = Board(program(tmp_path, source, dict.fromkeys(range(3, 12), "h")))
    board.fill_box(enabled)
    board.finish()
    assert board.box(3, 1) == [exception, cfsr, hfsr]
    if cfsr & BFARVALID:
        assert board.box(1, 4) == [0x60000000]
    active = {3: 0, 5: 1 << 1, 6: 1 << 3}[exception]
    assert board.box(1, 5) == [enabled | active]
    assert board.box(1, 6) == [0]  # a one clears
    (fault,) = board.faults
    assert fault.handled


def test_system_priorities_have_four_bits(tmp_path):
    source = """
    void Reset_Handler(void)
    {
        *(volatile uint8_t *)0xE000ED22 = 0xFF; /* PendSV */
        box[0] = R(0xE000ED20);
        DONE();
    }
    """
    board = Board(program(tmp_path, source))
    board.finish()
    assert board.box(1) == [0x00F00000]


def test_software_can_reset_the_board(tmp_path):
    source = """
    void Reset_Handler(void)
    {
        if (box[0]++ == 1) { box[1] = R(0x40023874); DONE(); }
        R(0x40023874) |= 1 << 24;
        R(0xE000ED0C) = 0x05FA0004;
        for (;;) { }
    }
    """
    board = Board(program(tmp_path, source))
    board.fill_box(0)
    board.finish()
    assert board.box(2) == [2, 1 << 28 | 1 << 26]  # by software, and the pin

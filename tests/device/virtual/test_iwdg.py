"""The watchdog bites when it is not fed, after the time its registers say. RM0385 chapter 27."""

from __future__ import annotations

import pytest

from lnn_edge.device.virtual.iwdg import Iwdg
from tests.device.virtual.boards import Board, advance, bench, program
from tests.support.projects import needs_arm_gcc

KR, PR, RLR = 0, 4, 8
START, UNLOCK, RELOAD = 0xCCCC, 0x5555, 0xAAAA
HZ = 16_000_000


class Bench:
    def __init__(self) -> None:
        self.timeline = bench()
        self.bites: list[int] = []
        self.dog = Iwdg(self.timeline, lambda: HZ, lambda: self.bites.append(self.timeline.now))


def test_it_bites_after_its_time():
    b = Bench()
    b.dog.write(KR, UNLOCK)
    b.dog.write(PR, 2)
    b.dog.write(RLR, 999)
    b.dog.write(KR, START)
    advance(b.timeline, HZ)
    assert b.bites == [1000 * 16 * HZ // 32_000]


def test_the_longest_time_is_the_one_after_reset():
    b = Bench()
    b.dog.write(KR, START)
    advance(b.timeline, HZ)
    assert b.bites == [4096 * 4 * HZ // 32_000]


def test_a_fed_watchdog_does_not_bite():
    b = Bench()
    b.dog.write(KR, START)
    for _ in range(20):
        advance(b.timeline, HZ // 2)
        b.dog.write(KR, RELOAD)
    assert b.bites == []


@pytest.mark.parametrize("key", [0, RELOAD])
def test_its_registers_are_locked(key):
    b = Bench()
    b.dog.write(KR, key)
    b.dog.write(RLR, 5)
    b.dog.write(PR, 5)
    assert (b.dog.read(RLR), b.dog.read(PR)) == (0xFFF, 0)


def test_it_cannot_be_stopped_but_by_a_reset():
    b = Bench()
    b.dog.write(KR, START)
    b.dog.write(KR, 0)
    assert b.dog.is_running
    b.dog.reset()
    advance(b.timeline, 10 * HZ)
    assert b.bites == []


BITTEN = """
void Reset_Handler(void)
{
    box[1] = R(0x40023874); /* RCC_CSR */
    if (box[0]++ == 1) { DONE(); }
    R(0x40003000) = 0xCCCC;
    for (;;) { }
}
"""


@needs_arm_gcc
@pytest.mark.target
def test_a_bite_resets_the_board_and_leaves_memory_and_a_cause(tmp_path):
    board = Board(program(tmp_path, BITTEN))
    board.fill_box(0)
    board.finish()
    runs, cause = board.box(2)
    assert (runs, cause) == (2, 1 << 29 | 1 << 27 | 1 << 26)  # watchdog; power-on was not cleared
    assert board.retired > 4096 * 4 * HZ // 32_000


ASLEEP = """
void Reset_Handler(void)
{
    if (box[0]++ == 1) { DONE(); }
    R(0x40023844) = 1U << 4; /* RCC_APB2ENR: USART1 */
    R(0x4001100C) = 139;     /* BRR: 115,200 at 16 MHz */
    R(0x40011000) = 5;       /* CR1: UE, RE */
    R(0x40003000) = 0x5555;
    R(0x40003008) = 39;      /* RLR: 5 ms */
    R(0x40003000) = 0xCCCC;
    for (;;) { __asm volatile("wfi"); }
}
"""


@needs_arm_gcc
@pytest.mark.target
def test_a_bite_wakes_a_core_that_sleeps_while_bytes_arrive(tmp_path):
    board = Board(program(tmp_path, ASLEEP))
    board.fill_box(0)
    board.machine.send(bytes(100))  # 8.7 ms on the wire, the bite falls among them
    board.finish()
    assert board.box(1) == [2]

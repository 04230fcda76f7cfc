"""Which exception runs next. ARMv7-M B1.5 and B3.4."""

from __future__ import annotations

import pytest

from lnn_edge.device.virtual.nvic import FIRST_IRQ, HARD_FAULT, NMI, PENDSV, SYSTICK, Masks, Nvic

ISER, ICER, ISPR, ICPR, IABR, IPR = 0, 0x80, 0x100, 0x180, 0x200, 0x300
OPEN = Masks(0, 0, 0)


@pytest.fixture
def nvic() -> Nvic:
    return Nvic(lambda: None)


def set_up(nvic: Nvic, **priorities: int) -> None:
    """Enable and pend interrupts: irq3=0x40 and so on."""
    for name, priority in priorities.items():
        irq = int(name.removeprefix("irq"))
        nvic.store(IPR + irq, 1, priority)
        nvic.write(ISER + irq // 32 * 4, 1 << irq % 32)
        nvic.write(ISPR + irq // 32 * 4, 1 << irq % 32)


def test_only_enabled_interrupts_run(nvic):
    nvic.write(ISPR, 1 << 5)
    assert nvic.ready(OPEN) is None
    nvic.write(ISER, 1 << 5)
    assert nvic.ready(OPEN) == FIRST_IRQ + 5
    nvic.write(ICER, 1 << 5)
    assert nvic.ready(OPEN) is None
    assert nvic.read(ISPR) == nvic.read(ICPR) == 1 << 5
    nvic.write(ICPR, 1 << 5)
    assert nvic.read(ISPR) == 0


def test_the_lowest_priority_value_goes_first_then_the_lowest_number(nvic):
    set_up(nvic, irq3=0x80, irq40=0x10, irq90=0x10)
    order = []
    while (number := nvic.ready(OPEN)) is not None:
        nvic.activate(number)
        nvic.deactivate(number)
        order.append(number - FIRST_IRQ)
    assert order == [40, 90, 3]


def test_only_a_higher_priority_preempts(nvic):
    set_up(nvic, irq1=0x40)
    nvic.activate(FIRST_IRQ + 1)
    set_up(nvic, irq2=0x40, irq3=0x50)
    assert nvic.ready(OPEN) is None
    set_up(nvic, irq4=0x30)
    assert nvic.ready(OPEN) == FIRST_IRQ + 4
    nvic.activate(FIRST_IRQ + 4)
    assert nvic.read(IABR) == 1 << 1 | 1 << 4


def test_subpriorities_order_but_do_not_preempt(nvic):
    nvic.set_priority_group(6)  # one bit preempts
    set_up(nvic, irq1=0x40, irq2=0x10)
    assert nvic.ready(OPEN) == FIRST_IRQ + 2
    nvic.activate(FIRST_IRQ + 1)
    assert nvic.ready(OPEN) is None
    set_up(nvic, irq1=0x80)
    nvic.active.clear()
    nvic.activate(FIRST_IRQ + 1)
    assert nvic.ready(OPEN) == FIRST_IRQ + 2


@pytest.mark.parametrize(
    ("masks", "runs"),
    [
        (OPEN, True),
        (Masks(1, 0, 0), False),
        (Masks(0, 0x40, 0), False),
        (Masks(0, 0x50, 0), True),
        (Masks(0, 0, 1), False),
    ],
)
def test_masks_hold_interrupts_back(nvic, masks, runs):
    set_up(nvic, irq7=0x40)
    assert (nvic.ready(masks) is not None) == runs
    assert nvic.candidate() == FIRST_IRQ + 7


def test_faults_and_nmi_pass_the_masks_of_interrupts(nvic):
    nvic.pend(HARD_FAULT)
    assert nvic.ready(Masks(1, 0x10, 0)) == HARD_FAULT
    assert nvic.ready(Masks(0, 0, 1)) is None
    nvic.pend(NMI)
    assert nvic.ready(Masks(1, 0x10, 1)) == NMI


def test_system_exceptions_need_no_enable(nvic):
    nvic.pend(PENDSV)
    nvic.pend(SYSTICK)
    nvic.priority[PENDSV] = 0xF0
    assert nvic.ready(OPEN) == SYSTICK


def test_a_line_that_stays_high_pends_again(nvic):
    set_up(nvic, irq37=0)
    nvic.set_line(37, True)
    nvic.activate(FIRST_IRQ + 37)
    assert nvic.ready(OPEN) is None
    nvic.deactivate(FIRST_IRQ + 37)
    assert nvic.ready(OPEN) == FIRST_IRQ + 37
    nvic.write(ICPR + 4, 1 << 5)
    assert nvic.ready(OPEN) == FIRST_IRQ + 37  # the line wins
    nvic.activate(FIRST_IRQ + 37)
    nvic.set_line(37, False)
    nvic.deactivate(FIRST_IRQ + 37)
    assert nvic.ready(OPEN) is None


def test_a_pulse_is_remembered(nvic):
    set_up(nvic, irq37=0)
    nvic.write(ICPR + 4, 1 << 5)
    nvic.set_line(37, True)
    nvic.set_line(37, False)
    assert nvic.ready(OPEN) == FIRST_IRQ + 37


def test_four_bits_of_a_priority_exist(nvic):
    nvic.write(IPR, 0xFFFFFFFF)
    assert nvic.read(IPR) == 0xF0F0F0F0
    nvic.store(IPR + 2, 1, 0x2F)
    assert nvic.read(IPR) == 0xF020F0F0


def test_interrupts_beyond_the_last_do_not_exist(nvic):
    nvic.write(ISER + 12, 0xFFFFFFFF)
    assert nvic.read(ISER + 12) == 3  # 96 and 97


@pytest.mark.parametrize("offset", [ISER, ICER, ISPR, ICPR, IPR])
def test_each_write_makes_the_core_look(offset):
    looks = []
    Nvic(lambda: looks.append(1)).write(offset, 1)
    assert looks == [1]

"""Clocks as start-up code programs them. RM0385 chapters 3 to 5."""

from __future__ import annotations

import pytest

from lnn_edge.device.virtual.rcc import FlashInterface, Pwr, Rcc

CR, PLLCFGR, CFGR, AHB1ENR, APB1ENR, APB2ENR, CSR, DCKCFGR2 = (
    0x00,
    0x04,
    0x08,
    0x30,
    0x40,
    0x44,
    0x74,
    0x90,
)
HSERDY, PLLRDY = 1 << 17, 1 << 25
HSEON, PLLON = 1 << 16, 1 << 24
M25_N432_P2_HSE = 25 | 432 << 6 | 1 << 22
APB1_BY_4, APB2_BY_2 = 5 << 10, 4 << 13


@pytest.fixture
def changes() -> list[tuple[int, int]]:
    return []


def chip(changes: list[tuple[int, int]], hse_hz: int = 25_000_000) -> Rcc:
    return Rcc(hse_hz, lambda old, new: changes.append((old, new)))


def start_pll(rcc: Rcc) -> None:
    rcc.write(CR, rcc.read(CR) | HSEON)
    rcc.write(PLLCFGR, M25_N432_P2_HSE)
    rcc.write(CR, rcc.read(CR) | PLLON)
    rcc.write(CFGR, APB1_BY_4 | APB2_BY_2)
    rcc.write(CFGR, rcc.read(CFGR) & ~0xC | 2)


def test_it_starts_on_the_internal_oscillator(changes):
    rcc = chip(changes)
    assert rcc.hclk_hz == rcc.pclk_hz("apb1") == rcc.pclk_hz("apb2") == 16_000_000
    assert rcc.read(CR) & 3 == 3
    assert not rcc.read(CR) & (HSERDY | PLLRDY)


def test_the_pll_leads_to_216_mhz(changes):
    rcc = chip(changes)
    start_pll(rcc)
    assert rcc.read(CR) & (HSERDY | PLLRDY) == HSERDY | PLLRDY
    assert rcc.read(CFGR) >> 2 & 3 == 2  # SWS
    assert rcc.hclk_hz == 216_000_000
    assert (rcc.pclk_hz("apb1"), rcc.pclk_hz("apb2")) == (54_000_000, 108_000_000)
    assert changes == [(16_000_000, 216_000_000)]


def test_a_reset_goes_back_to_the_internal_oscillator(changes):
    rcc = chip(changes)
    start_pll(rcc)
    rcc.cause = 1 << 29
    rcc.reset()
    assert rcc.hclk_hz == 16_000_000
    assert changes[-1] == (216_000_000, 16_000_000)
    assert rcc.read(CSR) == 1 << 29
    rcc.write(CSR, 1 << 24)
    assert rcc.read(CSR) == 0


def test_without_a_crystal_nothing_that_needs_it_gets_ready(changes):
    rcc = chip(changes, hse_hz=0)
    start_pll(rcc)
    assert not rcc.read(CR) & HSERDY
    assert rcc.read(CFGR) >> 2 & 3 == 0
    assert (rcc.hclk_hz, changes) == (16_000_000, [])


def test_the_pll_cannot_be_changed_while_it_runs(changes):
    rcc = chip(changes)
    start_pll(rcc)
    rcc.write(PLLCFGR, 8 | 100 << 6)
    assert rcc.read(PLLCFGR) == M25_N432_P2_HSE
    assert rcc.hclk_hz == 216_000_000


@pytest.mark.parametrize(("field", "divider"), [(0, 1), (8, 2), (11, 16), (12, 64), (15, 512)])
def test_the_core_clock_is_divided(changes, field, divider):
    rcc = chip(changes)
    rcc.write(CFGR, field << 4)
    assert rcc.hclk_hz == 16_000_000 // divider


@pytest.mark.parametrize(
    ("choice", "hertz"), [(0, 108_000_000), (1, 216_000_000), (2, 16_000_000), (3, 0)]
)
def test_a_usart_chooses_its_clock(changes, choice, hertz):
    rcc = chip(changes)
    start_pll(rcc)
    rcc.write(DCKCFGR2, choice << 4)
    assert rcc.usart_hz("apb2", 4) == hertz


def test_peripherals_have_their_enable_bits(changes):
    rcc = chip(changes)
    for bus, register, bit in (("ahb1", AHB1ENR, 3), ("apb1", APB1ENR, 18), ("apb2", APB2ENR, 4)):
        assert not rcc.is_on(bus, bit)
        rcc.write(register, 1 << bit)
        assert rcc.is_on(bus, bit)


def test_over_drive_gets_ready_when_it_is_switched_on():
    power = Pwr()
    assert power.read(4) & 0x34000 == 0x4000  # the regulator is ready
    power.write(0, power.read(0) | 1 << 16)
    assert power.read(4) & 0x30000 == 1 << 16
    power.write(0, power.read(0) | 1 << 17)
    assert power.read(4) & 0x30000 == 3 << 16


def test_wait_states_are_kept_and_flash_stays_locked():
    flash = FlashInterface()
    flash.write(0, 0x307)
    assert flash.read(0) == 0x307
    flash.write(0x10, 0)
    assert flash.read(0x10) == 1 << 31

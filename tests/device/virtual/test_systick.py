"""SysTick: period, flag, interrupt and value. ARMv7-M B3.3."""

from __future__ import annotations

from lnn_edge.device.virtual.systick import SysTick
from tests.device.virtual.boards import advance, bench

CSR, RVR, CVR = 0, 4, 8
ENABLE, TICKINT, CORE_CLOCK, COUNTFLAG = 1, 2, 4, 1 << 16


class Bench:
    def __init__(self, reload: int = 99, control: int = ENABLE | TICKINT | CORE_CLOCK) -> None:
        self.timeline = bench()
        self.fired: list[int] = []
        self.tick = SysTick(
            self.timeline, lambda: self.fired.append(self.timeline.now), lambda _a, _v: None
        )
        self.tick.write(RVR, reload)
        self.tick.write(CVR, 0)
        self.tick.write(CSR, control)


def test_it_fires_every_reload_plus_one_clocks():
    b = Bench()
    advance(b.timeline, 450)
    assert b.fired == [100, 200, 300, 400]


def test_the_other_clock_source_is_eight_times_slower():
    b = Bench(control=ENABLE | TICKINT)
    advance(b.timeline, 1700)
    assert b.fired == [800, 1600]


def test_it_counts_down_and_wraps():
    b = Bench()
    advance(b.timeline, 30)
    assert b.tick.read(CVR) == 70
    advance(b.timeline, 100)
    assert b.tick.read(CVR) == 70


def test_the_flag_is_cleared_by_reading_it():
    b = Bench(control=ENABLE | CORE_CLOCK)
    advance(b.timeline, 99)
    assert not b.tick.read(CSR) & COUNTFLAG
    advance(b.timeline, 1)
    assert b.tick.read(CSR) & COUNTFLAG
    assert not b.tick.read(CSR) & COUNTFLAG
    assert b.fired == []  # without TICKINT


def test_a_stopped_counter_keeps_its_value_and_goes_on_from_it():
    b = Bench()
    advance(b.timeline, 30)
    b.tick.write(CSR, CORE_CLOCK)
    advance(b.timeline, 500)
    assert (b.tick.read(CVR), b.fired) == (70, [])
    b.tick.write(CSR, ENABLE | TICKINT | CORE_CLOCK)
    advance(b.timeline, 69)
    assert b.fired == []
    advance(b.timeline, 1)
    assert len(b.fired) == 1


def test_writing_the_value_starts_over():
    b = Bench()
    advance(b.timeline, 60)
    b.tick.write(CVR, 12345)
    advance(b.timeline, 99)
    assert b.fired == []
    advance(b.timeline, 1)
    assert b.fired == [160]


def test_a_new_reload_value_counts_from_the_next_period():
    b = Bench()
    b.tick.write(RVR, 49)
    advance(b.timeline, 210)
    assert b.fired == [100, 150, 200]


def test_a_zero_reload_value_stops_it():
    b = Bench()
    b.tick.write(RVR, 0)
    advance(b.timeline, 1000)
    assert b.fired == [100]
    assert b.tick.read(CVR) == 0


def test_its_period_is_counted_in_clocks_whatever_their_rate():
    b = Bench()
    advance(b.timeline, 30)
    b.timeline.rescale(16_000_000, 216_000_000)
    assert b.tick.read(CVR) == 70
    advance(b.timeline, 270)
    assert b.fired == [100, 200, 300]

"""Virtual time: events fire in order, and keep their distance when the core clock changes."""

from __future__ import annotations

from tests.device.virtual.boards import advance, bench


def test_events_fire_in_order_and_are_told_their_time():
    timeline, fired = bench(), []
    for name, at in (("late", 30), ("early", 10), ("middle", 20)):
        timeline.set(name, at, lambda at, n=name: fired.append((n, at)), patient=False)
    timeline.skip_to(25)
    timeline.fire_due()
    assert fired == [("early", 10), ("middle", 20)]
    assert timeline.due("late") == 30
    timeline.clear("late")
    advance(timeline, 100)
    assert len(fired) == 2


def test_an_event_may_plan_itself_again():
    timeline, fired = bench(), []

    def fire(at):
        fired.append(at)
        timeline.set("again", at + 10, fire, patient=True)

    timeline.set("again", 10, fire, patient=True)
    advance(timeline, 45)
    assert fired == [10, 20, 30, 40]


def test_a_change_of_the_core_clock_keeps_seconds_or_clocks():
    timeline = bench()
    timeline.set("byte", 160, lambda _: None, patient=False)
    timeline.set("tick", 160, lambda _: None, patient=True, counts_clocks=True)
    timeline.skip_to(60)
    timeline.rescale(16, 216)
    assert timeline.due("byte") == 60 + 100 * 216 // 16
    assert timeline.due("tick") == 160
    timeline.skip_to(60 + 216)
    assert timeline.seconds(216) == 60 / 16 + 1


def test_an_event_that_comes_nearer_stops_the_core_in_time():
    timeline = bench()
    timeline.set("byte", 216_000, lambda _: None, patient=False)
    timeline.arm()
    timeline.rescale(216, 16)
    assert timeline._state.stop_at == 16_000

"""Virtual time: one core clock per retired instruction, plus the time the core slept or waited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lnn_edge.device.virtual.counter import AbstractCounter

SLICE = 400_000  # longest run without a look at the host, instructions


@dataclass(frozen=True)
class Event:
    """Something due.

    Args:
        at: Virtual time, core clocks.
        fire: What happens then; told `at`, which may have passed a little.
        patient: True when the host should wait for it in real time while the core sleeps (a
            timer), False when an idle core may skip straight to it (a byte on the wire).
        counts_clocks: True when a change of the core clock leaves its distance in clocks (SysTick),
            False when it leaves its distance in seconds.
    """

    at: int
    fire: Callable[[int], None]
    patient: bool
    counts_clocks: bool


class Timeline:
    """Clock and pending events of a board.

    Args:
        counter: Its retired instructions advance the clock.
    """

    def __init__(self, counter: AbstractCounter) -> None:
        self._state = counter.state
        self._skipped = 0
        self._rescaled_at, self._seconds_before = 0, 0.0
        self._events: dict[str, Event] = {}

    @property
    def now(self) -> int:
        """Core clocks since power-on."""
        return int(self._state.retired) + self._skipped

    def seconds(self, core_hz: int) -> float:
        """Seconds since power-on, the core clock being `core_hz` now."""
        return self._seconds_before + (self.now - self._rescaled_at) / core_hz

    def set(
        self,
        name: str,
        at: int,
        fire: Callable[[int], None],
        *,
        patient: bool,
        counts_clocks: bool = False,
    ) -> None:
        """Plan an event; one of the same name is replaced. See `Event`."""
        self._events[name] = Event(at, fire, patient, counts_clocks)
        self._state.stop_at = min(self._state.stop_at, max(at - self._skipped, 0))

    def move(self, name: str, at: int) -> None:
        """Give a planned event another time."""
        event = self._events[name]
        self.set(name, at, event.fire, patient=event.patient, counts_clocks=event.counts_clocks)

    def clear(self, name: str) -> None:
        """Drop an event, if planned."""
        self._events.pop(name, None)

    def due(self, name: str) -> int | None:
        """When the event of this name fires, None if none is planned."""
        event = self._events.get(name)
        return None if event is None else event.at

    def next(self, *, patient: bool) -> int | None:
        """Time of the earliest event of a sort."""
        times = [event.at for event in self._events.values() if event.patient == patient]
        return min(times) if times else None

    def skip_to(self, at: int) -> None:
        """Let time pass without instructions."""
        self._skipped += max(0, at - self.now)

    def fire_due(self) -> None:
        """Fire what is due, earliest first."""
        while self._events:
            name = min(self._events, key=lambda key: self._events[key].at)
            if self._events[name].at > self.now:
                return
            event = self._events.pop(name)
            event.fire(event.at)

    def arm(self) -> None:
        """Have the counter stop at the next event, or after a slice."""
        retired = int(self._state.retired)
        due = min((event.at for event in self._events.values()), default=self.now + SLICE)
        self._state.stop_at = max(retired, min(due - self._skipped, retired + SLICE))
        self._state.request = 0

    def interrupt(self) -> None:
        """Come back at the next block boundary."""
        self._state.request = 1

    def rescale(self, old_hz: int, new_hz: int) -> None:
        """The core clock changed: what was planned in seconds has another distance in clocks."""
        now = self.now
        self._seconds_before, self._rescaled_at = self.seconds(old_hz), now
        for name, event in list(self._events.items()):
            if not event.counts_clocks:
                at = now + (event.at - now) * new_hz // old_hz
                self.set(name, at, event.fire, patient=event.patient)

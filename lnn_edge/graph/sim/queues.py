"""Firings that wait for their decision: twin of the queues in firmware/runtime/lnn_runtime.c."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.stage import DecidingTrigger, EventTrigger, EveryTrigger

MOST_AHEAD = 1 << 24  # frames that an event may lie ahead, or it would hold up all others for ever


@dataclass(frozen=True)
class Counters:
    """What went wrong outside the arithmetic; the order is that of lnn_counters_t."""

    event_overflows: int = 0
    events_rejected: int = 0
    frames_skipped: int = 0
    dt_saturations: int = 0


class AbstractQueue(abc.ABC):
    """Firings of the deciding stage that are known and not decided; counts what it drops."""

    def __init__(self) -> None:
        self.counters = Counters()

    @property
    @abc.abstractmethod
    def window_start(self) -> int:
        """Index of the first frame that the oldest firing needs."""

    @abc.abstractmethod
    def note_frame(self, frames: int) -> None:
        """Record that `frames` frames have arrived."""

    @abc.abstractmethod
    def push(self, stamp: int, frames: int) -> bool:
        """Queue an event after `frames` frames; return False if it was dropped (and counted)."""

    @abc.abstractmethod
    def is_ready(self, frames: int) -> bool:
        """Return whether the oldest firing can be decided after `frames` frames."""

    @abc.abstractmethod
    def drop(self) -> None:
        """Forget the oldest firing."""

    @abc.abstractmethod
    def take(self) -> tuple[int, Values]:
        """Remove the oldest firing; return its stamp and the stage's inputs besides the window."""

    @abc.abstractmethod
    def words(self) -> tuple[list[int], list[int]]:
        """Return its part of the state blob: the words before the counters and those after."""

    def count(self, **more: int) -> None:
        """Add to counters by name."""
        values = {name: getattr(self.counters, name) + n for name, n in more.items()}
        self.counters = replace(self.counters, **values)


class EventQueue(AbstractQueue):
    """Events in stamp order; see EventTrigger."""

    def __init__(self, trigger: EventTrigger) -> None:
        super().__init__()
        self._trigger = trigger
        self._events: list[int] = []
        self._last: int | None = None

    @property
    def window_start(self) -> int:
        """`pre` frames before the oldest event."""
        return self._events[0] - self._trigger.pre

    def note_frame(self, frames: int) -> None:
        """Do nothing: events come from outside."""

    def push(self, stamp: int, frames: int) -> bool:
        """Queue an event unless it is too far ahead, not after the last one, or one too many."""
        newest = self._events[-1] if self._events else self._last
        if stamp - frames > MOST_AHEAD or (newest is not None and stamp <= newest):
            self.count(events_rejected=1)
            return False
        if len(self._events) == self._trigger.capacity:
            self.count(event_overflows=1)
            return False
        self._events.append(stamp)
        return True

    def is_ready(self, frames: int) -> bool:
        """Return whether the window is whole and the wait for the next event is over."""
        trigger = self._trigger
        if not self._events or frames < self._events[0] + trigger.post:
            return False
        return len(self._events) > 1 or frames >= self._events[0] + trigger.wait

    def drop(self) -> None:
        """Forget the oldest event; the next dt does not see it."""
        self._events.pop(0)

    def take(self) -> tuple[int, Values]:
        """Return the oldest event, dt and dt_next."""
        trigger, stamp = self._trigger, self._events[0]
        elapsed = trigger.first_dt if self._last is None else stamp - self._last
        inputs = {trigger.dt.name: self._limit(elapsed, trigger.dt)}
        if trigger.dt_next is not None:
            gap = self._events[1] - stamp if len(self._events) > 1 else trigger.wait
            inputs[trigger.dt_next.name] = self._limit(min(gap, trigger.wait), trigger.dt_next)
        self._last = self._events.pop(0)
        return stamp, inputs

    def words(self) -> tuple[list[int], list[int]]:
        """Return count and last stamp; behind the counters the stamps."""
        last = 0 if self._last is None else self._last
        stamps = self._events + [0] * (self._trigger.capacity - len(self._events))
        return [len(self._events), last, int(self._last is not None)], stamps

    def _limit(self, value: int, tensor: QTensor) -> np.ndarray:
        limited = min(max(value, tensor.qmin), tensor.qmax)
        self.count(dt_saturations=int(limited != value))
        return np.array([limited], np.int64)


class FrameQueue(AbstractQueue):
    """At most one firing, on a frame that arrived; see EveryTrigger."""

    def __init__(self, trigger: EveryTrigger) -> None:
        super().__init__()
        self._trigger = trigger
        self._due = 0  # frames up to the one to decide on, 0 for none

    @property
    def window_start(self) -> int:
        """As far back as the window reaches from the firing's own frame."""
        return self._due - self._trigger.reach

    def note_frame(self, frames: int) -> None:
        """Fire if it is time; a firing that still waits is kept instead."""
        if not self._trigger.fires_after(frames):
            return
        if self._due:
            self.count(event_overflows=1)
        else:
            self._due = frames

    def push(self, stamp: int, frames: int) -> bool:
        """Refuse: this model takes no events."""
        self.count(events_rejected=1)
        return False

    def is_ready(self, frames: int) -> bool:
        """Return whether a firing waits."""
        return self._due != 0

    def drop(self) -> None:
        """Forget the firing."""
        self._due = 0

    def take(self) -> tuple[int, Values]:
        """Return the frame; the window is the only input."""
        stamp, self._due = self._due - 1, 0
        return stamp, {}

    def words(self) -> tuple[list[int], list[int]]:
        """Return the one word."""
        return [self._due], []


def make_queue(trigger: DecidingTrigger) -> AbstractQueue:
    """Return the queue of a trigger at the start of a record."""
    return EventQueue(trigger) if isinstance(trigger, EventTrigger) else FrameQueue(trigger)

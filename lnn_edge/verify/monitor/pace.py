"""When samples are due: real time, a multiple of it, or at once."""

from __future__ import annotations

import math
import time
from threading import Condition

_LATE_S = 1.0  # what is later than this is not caught up: the play goes on from there


class Pace:
    """The clock of a play. A view pauses and stops it, from any thread.

    Args:
        speed: Seconds of signal per second; math.inf is as fast as the board takes it.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._changed = Condition()
        self._origin = time.monotonic()
        self._paused_at: float | None = None
        self._is_stopped = False

    @property
    def is_paused(self) -> bool:
        """Whether the play stands still."""
        return self._paused_at is not None

    @property
    def is_stopped(self) -> bool:
        """Whether the play is over."""
        return self._is_stopped

    @property
    def is_timed(self) -> bool:
        """Whether samples wait for their time."""
        return math.isfinite(self.speed)

    def begin(self) -> None:
        """Let second 0 of the signal be now."""
        with self._changed:
            self._origin = time.monotonic()

    def toggle(self) -> None:
        """Pause, or go on."""
        with self._changed:
            now = time.monotonic()
            if self._paused_at is None:
                self._paused_at = now
            else:
                self._origin += now - self._paused_at
                self._paused_at = None
            self._changed.notify_all()

    def stop(self) -> None:
        """End the play."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def wait(self, due_s: float | None) -> bool:
        """Wait until a second of the signal is due; return False once the play is stopped.

        Args:
            due_s: None waits only while the play is paused.
        """
        with self._changed:
            while not self._is_stopped:
                left = self._left_s(due_s)
                if not self.is_paused and left <= 0:
                    self._origin += max(0.0, -left - _LATE_S)
                    return True
                self._changed.wait(None if self.is_paused else left)
            return False

    def rest(self, seconds: float) -> None:
        """Wait for so long, or until something changes."""
        with self._changed:
            self._changed.wait(seconds)

    def _left_s(self, due_s: float | None) -> float:
        if due_s is None or not self.is_timed:
            return 0.0
        return self._origin + due_s / self.speed - time.monotonic()

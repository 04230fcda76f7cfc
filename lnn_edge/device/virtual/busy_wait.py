"""Notices when the core waits in a loop, so that time can be skipped."""

from __future__ import annotations

_POLLS = 4  # reads of one unchanged register that make a busy-wait
_DISTANCE = 200  # instructions between two of them


class BusyWait:
    """Follows the reads of registers that firmware waits for."""

    def __init__(self) -> None:
        self._key, self._count, self._at = (0, 0), 0, 0

    def saw(self, register: int, value: int, now: int) -> bool:
        """Return whether this read makes it a busy-wait, and begin to count anew if so.

        Args:
            register: Its address.
            value: What it read.
            now: Retired instructions.
        """
        same = now - self._at <= _DISTANCE and self._key == (register, value)
        self._count = self._count + 1 if same else 0
        self._key, self._at = (register, value), now
        is_waiting = self._count >= _POLLS
        self._count *= not is_waiting
        return is_waiting

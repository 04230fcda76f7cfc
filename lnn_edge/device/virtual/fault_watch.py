"""Follows a fault from its first instruction to the reset, and says when the board is stuck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lnn_edge.device.elf import Elf
from lnn_edge.device.virtual.faults import BoardStoppedError, Cause, Fault
from lnn_edge.device.virtual.timeline import Timeline

_SAME_FAULT_LIMIT = 1000  # a handler that returns to the instruction that faults
_RESET_LIMIT = 3  # watchdog resets after a fault, with nothing received in between


@dataclass(frozen=True)
class _First:
    """The fault that all others come of.

    Attributes:
        cause: What its instruction did.
        place: Its PC and LR.
        at: Virtual time.
    """

    cause: Cause
    place: tuple[int, int]
    at: int


class FaultWatch:
    """What is known of the faults of a board.

    Args:
        image: For names of functions.
        timeline: Virtual time.
        on_fault: Called with each fault.
    """

    def __init__(
        self, image: Elf, timeline: Timeline, on_fault: Callable[[Fault], None] | None
    ) -> None:
        self._image, self._timeline, self._on_fault = image, timeline, on_fault
        self._first: _First | None = None
        self._last_pc, self._same = -1, 0
        self._resets, self._received = 0, 0

    @property
    def place(self) -> tuple[int, int] | None:
        """PC and LR of the fault that is being handled; None when there is none."""
        return None if self._first is None else self._first.place

    def record(self, cause: Cause, pc: int, lr: int, retired: int, *, handled: bool) -> None:
        """Note a fault; what fails in a handler comes of the first one."""
        if self._first is None:
            self._first = _First(cause, (pc, lr), self._timeline.now)
        if self._on_fault is not None:
            name = self._image.name_at
            own = cause.what, pc, name(pc), lr, name(lr), cause.cfsr, cause.address
            self._on_fault(Fault(*own, handled=handled, instructions=retired))

    def after_the_first(self, cause: Cause, pc: int) -> str:
        """Return a cause in words, with the one before it."""
        if self._first is None:
            return cause.what
        return f"{self._first.cause.what}, then {cause.what} at {pc:#010x}"

    def end(self) -> None:
        """No handler runs any more."""
        self._first = None

    def note_reset(self, received: int) -> None:
        """Begin anew.

        Args:
            received: Bytes that the host has sent in all.

        Raises:
            BoardStoppedError: The board does nothing but fault and reset.
        """
        if self._first is not None:
            self._resets = self._resets + 1 if received == self._received else 1
            if self._resets >= _RESET_LIMIT:
                what = self._first.cause.what
                raise BoardStoppedError(f"{what} after each of {_RESET_LIMIT} resets")
        self._received = received
        self._first = None

    def check_progress(self, cause: Cause, pc: int) -> None:
        """Refuse a handler that returns to the instruction that faults."""
        self._same = self._same + 1 if pc == self._last_pc else 0
        self._last_pc = pc
        if self._same >= _SAME_FAULT_LIMIT:
            raise BoardStoppedError(f"endless fault loop: {cause.what}")

    def check_duration(self, second: int, watchdog_runs: bool) -> None:
        """Refuse a handler that neither returns nor is ended by the watchdog within a second.

        Args:
            second: In core clocks.
            watchdog_runs: Whether a reset will come.
        """
        if self._first is not None and self._timeline.now - self._first.at > second:
            self.check_waiting(watchdog_runs)

    def check_waiting(self, watchdog_runs: bool) -> None:
        """Refuse a handler that waits and has nothing to wait for but the host."""
        if self._first is not None and not watchdog_runs:
            what = self._first.cause.what
            raise BoardStoppedError(f"{what} (the fault handler did not return or reset)")

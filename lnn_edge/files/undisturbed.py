"""What must not be left half-way: an interruption waits until it is through."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back the signals that this program handles; the last that came is handled behind."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    is_main = threading.current_thread() is threading.main_thread()
    found = {n: signal.getsignal(n) for n in _NUMBERS} if is_main else {}
    handlers = {n: handler for n, handler in found.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        handlers[came[-1]](came[-1], None)

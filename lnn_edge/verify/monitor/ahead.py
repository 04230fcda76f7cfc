"""Iterators that run ahead in a thread of their own, so that a wait for one holds up no other."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
LOOK_S = 0.1  # between two looks whether all is to stop


class Ahead(Generic[Item]):
    """The items of a generator, made in a thread; an error of it is raised where they are taken.

    Args:
        items: Closed in its thread when it ends or is stopped.
        most: Items that may wait; the generator then waits too.
        is_stopped: Asked now and then.
    """

    def __init__(
        self, items: Generator[Item, None, None], most: int, is_stopped: Callable[[], bool]
    ) -> None:
        self._items, self._is_stopped = items, is_stopped
        self._queue: Queue[Item] = Queue(most)
        self._ended = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items that have been made and not taken."""
        return self._queue.qsize()

    @property
    def is_over(self) -> bool:
        """Whether there will be no further item; an error counts as one."""
        return self._ended.is_set() and self._queue.empty() and self._error is None

    def take(self, timeout_s: float = LOOK_S) -> Item | None:
        """Return the next item, None if there is none within the time.

        Raises:
            Exception: What the generator ended with, once its items have been taken.
        """
        try:
            return self._queue.get(timeout=timeout_s) if timeout_s else self._queue.get_nowait()
        except Empty:
            if self._ended.is_set() and self._queue.empty() and self._error is not None:
                error, self._error = self._error, None
                raise error from None
            return None

    def join(self, timeout_s: float) -> None:
        """Wait for the thread."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:
            self._error = error
        finally:
            self._items.close()
            self._ended.set()

    def _put(self, item: Item) -> bool:
        while not self._is_stopped():
            try:
                self._queue.put(item, timeout=LOOK_S)
            except Full:
                continue
            return True
        return False


class Polled(io.RawIOBase):
    """A stream of bytes that ends when it is stopped, even while nothing comes.

    Args:
        read: Waits for bytes, seconds at most; b"" if none came, None at the end.
        is_stopped: Asked now and then.
    """

    def __init__(
        self, read: Callable[[float], bytes | None], is_stopped: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._read, self._is_stopped, self._left = read, is_stopped, b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer with what comes first; 0 at the end."""
        while not self._left and not self._is_stopped():
            data = self._read(LOOK_S)
            if data is None:
                return 0
            self._left = data
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

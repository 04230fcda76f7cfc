"""How many threads torch takes, and the recurrences in C, whose results do not depend on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_TURNS = 3
_GAIN = 0.9  # of the time of fewer threads, or more threads are not worth it
_FOR_SCANS: ContextVar[int | None] = ContextVar("threads of recurrences in C", default=None)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: steps this small lose more to waiting than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_of_scans() -> int:
    """Return how many threads a recurrence in C takes: as many as torch, unless told."""
    return _FOR_SCANS.get() or torch.get_num_threads()


@contextmanager
def scans_on(threads: int) -> Iterator[None]:
    """Run recurrences in C on that many threads, whatever torch has."""
    token = _FOR_SCANS.set(threads)
    try:
        yield
    finally:
        _FOR_SCANS.reset(token)


def fastest_threads(run: Callable[[], object], most: int) -> int:
    """Return on how many threads of recurrences a function is fastest: 1, 2, 4 ... if it pays.

    Args:
        run: What is timed, a few times on each number of threads, in turns.
        most: Threads that may be taken.
    """
    counts = [2**n for n in range(most.bit_length())]
    if counts == [1]:
        return 1
    seconds = dict.fromkeys(counts, float("inf"))
    for _ in range(_TURNS):
        for count in counts:
            with scans_on(count):
                begin = time.perf_counter()
                run()
                seconds[count] = min(seconds[count], time.perf_counter() - begin)
    best = 1
    for count in counts[1:]:
        best = count if seconds[count] < _GAIN * seconds[best] else best
    return best

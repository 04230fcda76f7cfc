"""Rings at run time: twin of the rings in firmware/runtime/lnn_runtime.c, slot by slot."""

from __future__ import annotations

import abc

import numpy as np

from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.stage import EveryTrigger, Ring, every_trigger


class AbstractRingMemory(abc.ABC):
    """The last frames of a ring; lost ones repeat the last.

    It starts full of zeros, or the first frame fills it.

    Attributes:
        frames: Index of the next frame.
        is_fresh: Whether a frame arrived in this turn.
    """

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.frames = 0
        self.is_fresh = False
        self._is_primed = ring.starts_at_zero
        self._data = np.zeros((ring.length, *ring.frame.shape), ring.frame.dtype)
        if ring.starts_at_zero:
            self._data[:] = ring.zero

    @abc.abstractmethod
    def _store(self, frame: np.ndarray) -> None:
        """Put the next frame, whose index is `frames`, into its slot."""

    @abc.abstractmethod
    def window(self, first: int, count: int, dilation: int = 1) -> np.ndarray:
        """Return `count` frames from `first` on, `dilation` apart, int64."""

    @property
    @abc.abstractmethod
    def _last(self) -> np.ndarray:
        """The newest frame."""

    @abc.abstractmethod
    def skip(self, count: int) -> None:
        """Account for lost frames: the last frame stands in their place."""

    def push(self, frame: np.ndarray) -> None:
        """Append a frame."""
        if not self._is_primed:
            self._data[:] = frame
            self._is_primed = True
        self._store(frame)
        self.frames += 1
        self.is_fresh = True

    def words(self) -> list[int]:
        """Return the counters of the state blob."""
        return [self.frames, int(self._is_primed)]

    def packed(self) -> bytes:
        """Return the frames as they lie in memory, padded to 4 bytes."""
        raw = self._data.astype(self._data.dtype.newbyteorder("<")).tobytes()
        return raw + bytes(-len(raw) % 4)


class CircularRing(AbstractRingMemory):
    """Frame n lies in slot n modulo length."""

    def _store(self, frame: np.ndarray) -> None:
        self._data[self.frames % self.ring.length] = frame

    @property
    def _last(self) -> np.ndarray:
        last: np.ndarray = self._data[(self.frames - 1) % self.ring.length]
        return last.copy()

    def window(self, first: int, count: int, dilation: int = 1) -> np.ndarray:
        """Return `count` frames from `first` on, `dilation` apart, int64."""
        slots = (first + np.arange(count) * dilation) % self.ring.length
        return self._data[slots].astype(np.int64)

    def skip(self, count: int) -> None:
        """Account for lost frames: the last frame stands in their place."""
        if self._is_primed:
            slots = self.frames + np.arange(min(count, self.ring.length))
            self._data[slots % self.ring.length] = self._last
        self.frames += count


class SlidingRing(AbstractRingMemory):
    """Frames lie in order: when the reader fires the ring is its window, then it moves by a hop.

    Args:
        ring: As long as the window.
        trigger: Of the only reader.
    """

    def __init__(self, ring: Ring, trigger: EveryTrigger) -> None:
        super().__init__(ring)
        self._trigger = trigger

    def _slot(self, frame: int) -> int:
        """Return the slot of a frame that is in the next window or the last of the one before."""
        return self.ring.length - (self._trigger.next_firing(self.frames) - frame)

    def _store(self, frame: np.ndarray) -> None:
        self._data[self._slot(self.frames)] = frame

    @property
    def _last(self) -> np.ndarray:
        last: np.ndarray = self._data[self._slot(self.frames - 1)]
        return last.copy()

    def window(self, first: int, count: int, dilation: int = 1) -> np.ndarray:
        """Return the whole ring, int64; only after a frame on which the reader fires."""
        length = self.ring.length
        assert (first, count, dilation) == (self.frames - length, length, 1)
        return self._data.astype(np.int64)

    def advance(self) -> None:
        """Move on by a hop; the reader has run."""
        kept = self.ring.length - self._trigger.hop
        self._data[:kept] = self._data[self._trigger.hop :].copy()

    def skip(self, count: int) -> None:
        """Account for lost frames: the last frame stands in their place, no window is read."""
        if self.frames == 0 or not self._is_primed:  # all slots are alike
            self.frames += count
            return
        last = self._last
        if count >= self.ring.length + self._trigger.hop:
            self._data[:] = last
            self.frames += count
            return
        for _ in range(count):
            self._store(last)
            self.frames += 1
            if self._trigger.fires_after(self.frames):
                self.advance()


def make_ring_memory(pipeline: Pipeline, ring: Ring) -> AbstractRingMemory:
    """Return the memory of a pipeline's ring at the start of a record."""
    if not pipeline.slides(ring):
        return CircularRing(ring)
    return SlidingRing(ring, every_trigger(pipeline.readers(ring)[0]))

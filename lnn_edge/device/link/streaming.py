"""Cuts a recording with its events into DATA requests that fit a frame.

Pure: no port here. What the board computes does not depend on the cut (docs/protocol.md).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from lnn_edge.device.protocol import DATA_HEAD_BYTES, STAMP_BYTES, Data
from lnn_edge.errors import LinkError

MAX_EVENTS = 255  # events:u8


class FrameQueue:
    """Frames and events that wait to be sent.

    Args:
        frames: Samples, shape (N, C) int16.
        events: Stamps as sample indices since RESET, not descending, none beyond the last frame.
        first: Index of frames[0] since RESET.
        channels: Channels the model takes.
        max_payload: Bytes a request may carry.
        foreseen: Frames since RESET after which the model is expected to decide, in their order.
            A request ends where decisions fill its reply: what follows would be sent in vain. An
            expectation that does not come true costs time and nothing else.
        per_reply: Decisions that fill a reply.

    Raises:
        LinkError: Shape, type or order is not as described.
    """

    def __init__(
        self,
        frames: npt.NDArray[np.int16],  # (N, C)
        events: Sequence[int],
        first: int,
        channels: int,
        max_payload: int,
        foreseen: Iterable[int] = (),
        per_reply: int = 1,
    ) -> None:
        """Check and hold the recording."""
        _check_frames(frames, channels)
        self._frames = np.ascontiguousarray(frames, dtype="<i2")
        self._stamps = [int(stamp) for stamp in events]
        _check_stamps(self._stamps, first, len(frames))
        self._start = first
        self._room = max_payload - DATA_HEAD_BYTES
        self._frame_bytes = 2 * channels
        self._sent_frames = 0
        self._sent_events = 0
        self._more = False
        self._foreseen, self._per_reply = iter(foreseen), per_reply
        self._ahead: list[int] = []  # expected decisions that have been asked for

    def next_request(self, window: int | None = None) -> Data | None:
        """Return the longest request that fits, or None when there is nothing more to ask for.

        Args:
            window: Bytes it may carry, where the line bears less than the board takes; a request
                carries a frame with its events all the same.
        """
        if self._sent_frames == len(self._frames):
            return Data(self._start + self._sent_frames, 0, (), b"") if self._more else None
        count = self._wanted(self._fitting(window))
        first = self._start + self._sent_frames
        due = self._due(self._sent_frames + count)
        samples = self._frames[self._sent_frames : self._sent_frames + count].tobytes()
        return Data(first, count, tuple(self._stamps[self._sent_events : due]), samples)

    def consume(self, frames: int, more: bool) -> None:
        """Drop the first `frames` frames of the last request, with their events.

        Args:
            frames: Frames that the board consumed.
            more: The board may have further results to ask for.
        """
        self._more = more
        if frames == 0:  # not even the events that were due before this request
            return
        self._sent_events = self._due(self._sent_frames + frames)
        self._sent_frames += frames

    def _fitting(self, window: int | None) -> int:
        """Most frames that fit together with the events that fall due in them."""
        room = self._room if window is None else min(self._room, window - DATA_HEAD_BYTES)
        count = len(self._frames) - self._sent_frames
        while True:
            events = self._due(self._sent_frames + count) - self._sent_events
            fitting = (room - STAMP_BYTES * events) // self._frame_bytes
            if count <= fitting and events <= MAX_EVENTS:
                return count
            if count == 1 and room < self._room:
                room = self._room
                continue
            if count == 1:
                raise LinkError(
                    f"{events} events on sample {self._start + self._sent_frames}"
                    " do not fit one request: thin the events out"
                )
            # Fewer frames bring fewer events: approached from above, the first fit is the longest.
            count = max(1, min(count - 1, room // self._frame_bytes))

    def _wanted(self, fitting: int) -> int:
        """Of the frames that fit, those up to the decision that fills the reply."""
        sent = self._start + self._sent_frames
        self._ahead = ahead = [frames for frames in self._ahead if frames > sent]
        full = self._per_reply
        while len(ahead) < full and (not ahead or ahead[-1] < sent + fitting):
            frames = next(self._foreseen, None)
            if frames is None:
                break
            if frames > sent:
                ahead.append(frames)
        return fitting if len(ahead) < full else min(fitting, ahead[full - 1] - sent)

    def _due(self, frames: int) -> int:
        """Number of events with a stamp before frame `frames` of this queue."""
        return bisect.bisect_left(self._stamps, self._start + frames, lo=self._sent_events)


def _check_frames(frames: npt.NDArray[np.int16], channels: int) -> None:
    if frames.dtype != np.int16 or frames.ndim != 2 or frames.shape[1] != channels:
        raise LinkError(
            f"recording of shape {frames.shape} and type {frames.dtype}: the model on the board"
            f" takes int16 frames of {channels} channels"
        )


def _check_stamps(stamps: list[int], first: int, count: int) -> None:
    end = first + count
    if any(late < early for early, late in itertools.pairwise(stamps)):
        raise LinkError("event stamps descend: sort them")
    outside = [stamp for stamp in stamps if not 0 <= stamp < end]
    if outside or (stamps and not count):
        bad = outside[0] if outside else stamps[0]
        raise LinkError(
            f"event at sample {bad}, but the samples sent are {first} to {end - 1}:"
            " send each event with the samples up to it"
        )

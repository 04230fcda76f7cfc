"""What brings a board that was reset back to where its stream was. Pure: no port here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lnn_edge.device.protocol import Data, ResultRecord, Stats

_LEAST_BYTES = 8_192  # of requests between two states: a second at 115,200 baud
_STATES = 16  # a state is fetched after as many times its size at the least


@dataclass(frozen=True)
class Checkpoint:
    """Where a stream can be taken up.

    Attributes:
        frames: Since RESET, that the model has taken.
        decisions: Since RESET, that have come.
        state: Blob of the model after them (docs/graph.md).
        stats: Counters of the board then.
    """

    frames: int
    decisions: int
    state: bytes
    stats: Stats


@dataclass
class Replay:
    """A state, and what the board has taken since.

    Attributes:
        state: Blob; None stands for the state after RESET.
        stats: Counters of the board then; None if they were not read.
        requests: Taken since, in their order, each cut to what was consumed of it.
        decisions: Handed on that the requests lead to, the first of them.
        ahead: Decided before the state and not handed on.
        is_repeated: Whether it has brought a board back once.
    """

    state: bytes | None = None
    stats: Stats | None = None
    requests: list[Data] = field(default_factory=list)
    decisions: int = 0
    ahead: list[ResultRecord] = field(default_factory=list)
    is_repeated: bool = False

    def take(self, request: Data, consumed: int, records: Sequence[ResultRecord]) -> None:
        """Note what was consumed of a request, and what it led to."""
        self.decisions += len(records)
        if consumed:
            end = request.first + consumed
            share = len(request.samples) // request.frames * consumed
            stamps = tuple(stamp for stamp in request.stamps if stamp < end)
            self.requests.append(Data(request.first, consumed, stamps, request.samples[:share]))

    def hand_on(self, count: int) -> None:
        """Note that `count` decisions, all those made ahead, have been handed on."""
        self.decisions += count - len(self.ahead)
        self.ahead = []

    def waiting(self, records: Sequence[ResultRecord]) -> list[ResultRecord]:
        """Of what the requests lead to when they are sent again: what has not been handed on."""
        return [*self.ahead, *records[self.decisions :]]

    def shortened(
        self, done: int, records: Sequence[ResultRecord], state: bytes, stats: Stats
    ) -> Replay:
        """Return what is left to repeat after the first `done` requests and their decisions."""
        left = max(0, self.decisions - len(records))
        return Replay(state, stats, self.requests[done:], left, self.waiting(records), True)

    def is_due(self, state_bytes: int) -> bool:
        """Whether a new state should be fetched: it costs a sixteenth of the line at most.

        After a reset it is due at once, so that resets which come often leave what was reached.
        """
        taken = sum(len(request.samples) for request in self.requests)
        return self.is_repeated or taken >= max(_LEAST_BYTES, _STATES * state_bytes)


def frames_of(request: Data, channels: int) -> np.ndarray:
    """Return the frames of a request, (N, channels) int16."""
    return np.frombuffer(request.samples, "<i2").reshape(request.frames, channels)

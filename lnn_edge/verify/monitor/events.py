"""What happens while a board is monitored. All that a view shows is in these events."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Started:
    """The board has answered.

    Attributes:
        model: Name of the model.
        board: Name of the board.
        link: As given, such as virtual.
        channels: Name of each channel.
        units: Unit of each channel, "" where the model tells none.
        rate_hz: Samples per second; None if the model tells none.
        outputs: Name of each output that is a number: of a score its class.
        signal: Of what the flaws are, the decision and each channel; () where none are told.
        classes: What is decided between; () where outputs are values.
        cost_unit: "instructions" (exact, emulated), "cycles", or "" where nothing counts.
        core_clock_hz: Of the board.
    """

    model: str
    board: str
    link: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    rate_hz: float | None
    outputs: tuple[str, ...]
    signal: tuple[str, ...]
    classes: tuple[str, ...]
    cost_unit: str
    core_clock_hz: int


@dataclass(frozen=True)
class RecordingBegan:
    """The model was reset and a recording begins; frames is None of a live stream."""

    recording: str
    frames: int | None


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples on their way to the board.

    Attributes:
        first: Index of the first in its recording.
        values: (N, C) float64 in the units of the channels.
    """

    first: int
    values: np.ndarray


@dataclass(frozen=True)
class Decided:
    """A decision of the board.

    Attributes:
        recording: Its name.
        sample: The event, or the last frame, that it is of.
        time_s: The same in seconds; in frames where the model tells no rate.
        decision: Class, or classes joined by "+"; "" where outputs are values.
        steps: Outputs as the board sent them, int16.
        values: Those that are numbers, in real units; scores are log odds.
        signal: What is wrong with the signal, in words, in the order of Started.signal.
        cost: What deciding took, in Started.cost_unit; 0 where nothing counts.
    """

    recording: str
    sample: int
    time_s: float
    decision: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    signal: tuple[str, ...]
    cost: int


@dataclass(frozen=True)
class BoardStatus:
    """Where the play is, and how full the buffers are, about once a second.

    Attributes:
        frames: Of this recording, that the board has taken.
        decisions: Of this recording.
        speed: Seconds of signal per second since the status before; 0 where there is no rate.
        sample_cost: What a sample takes apart from decisions, mean of this recording.
        source_waiting: Frames of a live source that have not been sent.
        receive_overflows: Bytes that the board's UART or its buffer lost since its start.
        event_overflows: Events that found the model's queue full.
        frames_skipped: Frames that never came.
        stack_free_bytes: Never used so far; 0 where the device does not measure it.
        retries: Requests sent again, since the link was opened.
        recoveries: Resets of the board that were undone, since then.
    """

    frames: int
    decisions: int
    speed: float
    sample_cost: float
    source_waiting: int
    receive_overflows: int
    event_overflows: int
    frames_skipped: int
    stack_free_bytes: int
    retries: int
    recoveries: int


@dataclass(frozen=True)
class LineLost:
    """A line of a live source that is not a frame; the model takes it as one that never came."""

    number: int
    reason: str


@dataclass(frozen=True)
class Waiting:
    """The board has been silent for so long; the play goes on where it was once it answers."""

    seconds: float


@dataclass(frozen=True)
class Paused:
    """The play was paused, or goes on."""

    is_paused: bool


@dataclass(frozen=True)
class RecordingEnded:
    """A recording is through."""

    recording: str
    frames: int
    decisions: int


Event = (
    Started
    | RecordingBegan
    | Samples
    | Decided
    | BoardStatus
    | LineLost
    | Waiting
    | Paused
    | RecordingEnded
)


def document(event: Event) -> dict[str, Any]:
    """Return an event as JSON; "event" names it, such as recording_began."""
    name = re.sub(r"(?<=.)(?=[A-Z])", "_", type(event).__name__).lower()
    facts = asdict(event)
    if isinstance(event, Samples):
        facts["values"] = event.values.tolist()
    return {"event": name, **facts}

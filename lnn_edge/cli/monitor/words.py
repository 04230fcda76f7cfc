"""The events of a monitor in words, for the terminal and for plain lines."""

from __future__ import annotations

from lnn_edge.verify.monitor.events import (
    BoardStatus,
    Decided,
    Event,
    LineLost,
    Paused,
    RecordingBegan,
    RecordingEnded,
    Started,
    Waiting,
)


def columns(started: Started) -> list[str]:
    """Return the names of decision_cells()."""
    return ["recording", "time", "decision", *started.outputs, *started.signal, started.cost_unit]


def decision_cells(started: Started, decided: Decided) -> list[str]:
    """Return a decision as a row; a cell is empty where the model or the board has nothing."""
    unit = " s" if started.rate_hz else ""
    values = [f"{value:+.2f}" for value in decided.values]
    cost = f"{decided.cost:,}" if started.cost_unit else ""
    time = f"{decided.time_s:.3f}{unit}"
    return [decided.recording, time, decided.decision, *values, *decided.signal, cost]


def decision_line(started: Started, decided: Decided) -> str:
    """Return a decision as a line, with the names of its values."""
    recording, time, said, *values, cost = decision_cells(started, decided)
    named = [
        f"{name} {v}" for name, v in zip((*started.outputs, *started.signal), values, strict=True)
    ]
    cost = f"{cost} {started.cost_unit}" if cost else ""
    return "  ".join(c for c in (recording, time, said, *named, cost) if c)


def sentence(event: Event) -> str:
    """Return an event other than a decision as one line; "" where there is nothing to say."""
    match event:
        case Started():
            return f"{event.model} on {event.board} ({event.link})"
        case RecordingBegan(recording, frames):
            return f"{recording}: " + (f"{frames:,} samples" if frames else "a live stream")
        case RecordingEnded():
            return f"{event.recording}: {event.frames:,} samples, {event.decisions:,} decisions"
        case LineLost():
            return f"line {event.number} is lost: {event.reason}"
        case Paused():
            return "paused" if event.is_paused else "going on"
        case Waiting():
            return f"the board has been silent for {event.seconds:.0f} s; waiting for it"
    return ""


def status_line(started: Started, status: BoardStatus) -> str:
    """Return where the play is."""
    cost = f"{status.sample_cost:,.0f} {started.cost_unit} a sample" if started.cost_unit else ""
    speed = f"{status.speed:.1f} x real time" if started.rate_hz else ""
    parts = [f"{status.frames:,} samples", f"{status.decisions:,} decisions", speed, cost]
    return ", ".join(p for p in parts if p)


def buffer_line(status: BoardStatus) -> str:
    """Return how full the buffers are and what was lost in them."""
    free = f"{status.stack_free_bytes:,} bytes of stack free" if status.stack_free_bytes else ""
    parts = [
        f"waiting at the source {status.source_waiting:,}",
        f"bytes lost in receiving {status.receive_overflows:,}",
        f"events lost {status.event_overflows:,}",
        f"samples missing {status.frames_skipped:,}",
        f"requests repeated {status.retries:,}",
        f"resets undone {status.recoveries:,}",
        free,
    ]
    return ", ".join(p for p in parts if p)

"""What a board counts beside its answers: drops, the troubles of its line, what calls take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lnn_edge.device.board_info import Info
from lnn_edge.device.link import LinkCounters
from lnn_edge.device.protocol import Stats
from lnn_edge.graph.sim.queues import Counters

_UNITS = {"instructions": "instructions", "dwt": "cycles"}  # by Info.clock_source


def unit_of(info: Info) -> str:
    """Return what the device counts: "instructions", "cycles", or "" if it has no counter."""
    return _UNITS.get(info.clock_source, "")


@dataclass(frozen=True)
class WrongCounter:
    """A counter of the model that is not the simulator's after a signal."""

    record: str
    counter: str
    expected: int
    got: int

    @property
    def sentence(self) -> str:
        """Say so."""
        return (
            f"{self.record}: the board counts {self.got} {self.counter}, the simulator "
            f"{self.expected}"
        )


def compare_counters(record: str, expected: Counters, got: Stats) -> tuple[WrongCounter, ...]:
    """Return the counters that differ; both count since the same RESET."""
    pairs = ((name, n, int(getattr(got, name))) for name, n in asdict(expected).items())
    return tuple(WrongCounter(record, name, n, m) for name, n, m in pairs if n != m)


@dataclass(frozen=True)
class Line:
    """What the serial line went through. None of it falsifies a bit: all of it is sent again.

    Attributes:
        bad_frames: Damaged blocks that the board dropped.
        uart_overruns: Bytes that the board's UART lost.
        rx_ring_overflows: Bytes that found the board's buffer full.
        duplicates: Requests that the board saw twice.
        sequence_errors: Requests with a number that the board did not expect.
        repeated: Requests that the host sent again, for want of an answer in time.
        bad_replies: Damaged blocks that the host dropped.
        stale_replies: Answers to nothing that the host asked.
        recoveries: Resets of the board, each of which was undone.
        reopened: Times that the port was gone.
    """

    bad_frames: int
    uart_overruns: int
    rx_ring_overflows: int
    duplicates: int
    sequence_errors: int
    repeated: int
    bad_replies: int
    stale_replies: int
    recoveries: int = 0
    reopened: int = 0

    @classmethod
    def between(cls, stats: tuple[Stats, Stats], host: tuple[LinkCounters, LinkCounters]) -> Line:
        """Return what came between two looks at the counters of both ends.

        A board that was reset meanwhile has forgotten some of it.
        """
        (before, after), (first, last) = stats, host
        return cls(
            max(0, after.bad_frames - before.bad_frames),
            max(0, after.uart_overruns - before.uart_overruns),
            max(0, after.rx_ring_overflows - before.rx_ring_overflows),
            max(0, after.duplicates - before.duplicates),
            max(0, after.sequence_errors - before.sequence_errors),
            last.retries - first.retries,
            last.bad_frames - first.bad_frames,
            last.stale_replies - first.stale_replies,
            last.recoveries - first.recoveries,
            last.reopened - first.reopened,
        )

    @property
    def sentence(self) -> str | None:
        """Say what was lost, None if nothing was.

        A request that the host repeats because the board is slow makes a duplicate and a stale
        reply, and loses nothing.
        """
        unasked = max(0, self.duplicates - self.repeated)
        lost = (
            ("damaged blocks at the board", self.bad_frames),
            ("bytes lost in its UART", self.uart_overruns),
            ("bytes that found its buffer full", self.rx_ring_overflows),
            ("requests that came twice and were sent once", unasked),
            ("requests out of sequence", self.sequence_errors),
            ("damaged blocks at the host", self.bad_replies),
            ("resets of the board in mid-stream", self.recoveries),
            ("times without the port", self.reopened),
        )
        if not any(n for _, n in lost):
            return None
        told = [f"{what} {n:,}" for what, n in (*lost, ("sent again", self.repeated)) if n]
        return f"the line lost data, which falsifies no result: {', '.join(told)}"


@dataclass(frozen=True)
class LargestCall:
    """The most that one sample made the model compute: what its interrupt would have to bear.

    Attributes:
        unit: "instructions" (exact, emulated) or "cycles".
        count: Of one frame with its events and every poll until the model is idle.
        push: The most of giving the frame alone.
        poll: The most of one poll.
        sample_period_clocks: Core clocks between two samples, None where the model has no rate.
    """

    unit: str
    count: int
    push: int
    poll: int
    sample_period_clocks: float | None

    @property
    def sentence(self) -> str:
        """Set it against the sample period."""
        period = self.sample_period_clocks
        text = (
            f"the largest call, one sample with all that it leads to, takes {self.count:,} "
            f"{self.unit} (a push at most {self.push:,}, a poll {self.poll:,})"
        )
        if period is None:
            return text
        text += f"; a sample period is {period:,.0f} core clocks"
        if self.unit == "instructions":
            return text + " (uncalibrated: an instruction is not a cycle)"
        return text + (", which is less: samples wait meanwhile" if self.count > period else "")


@dataclass(frozen=True)
class DecisionCost:
    """What a decision takes, mean over all of them.

    Attributes:
        unit: As LargestCall.unit.
        decision: The poll that decides.
        samples: The frames since the decision before, with their events and idle polls.
        frames: Number of these frames.
    """

    unit: str
    decision: float
    samples: float
    frames: float

    @property
    def calls(self) -> float:
        """Both together: all that the model's calls take."""
        return self.decision + self.samples

    @property
    def sentence(self) -> str:
        """Say what each figure counts."""
        return (
            f"a decision takes {self.decision:,.0f} {self.unit} in the mean, its "
            f"{self.frames:,.0f} samples {self.samples:,.0f}, both {self.calls:,.0f}"
        )


def largest_call(
    info: Info, stats: Sequence[Stats], sample_rate_hz: float | None
) -> LargestCall | None:
    """Return the largest call of all signals, None where the device has no counter.

    Args:
        info: Of the device.
        stats: After each signal, before the next RESET.
        sample_rate_hz: Of the model.
    """
    unit = unit_of(info)
    if not unit:
        return None
    return LargestCall(
        unit,
        max(s.largest_frame for s in stats),
        max(s.largest_push for s in stats),
        max(s.largest_poll for s in stats),
        info.core_clock_hz / sample_rate_hz if sample_rate_hz else None,
    )


def decision_cost(
    info: Info, stats: Sequence[Stats], frames: int, decisions: int
) -> DecisionCost | None:
    """Return the mean cost over all signals, None without a counter or a decision.

    Args:
        info: Of the device.
        stats: After each signal, before the next RESET.
        frames: Streamed in all.
        decisions: Made in all.
    """
    unit = unit_of(info)
    if not unit or not decisions:
        return None
    deciding = sum(s.decisions_cost for s in stats)
    samples = sum(s.frames_cost for s in stats) - deciding
    return DecisionCost(unit, deciding / decisions, samples / decisions, frames / decisions)

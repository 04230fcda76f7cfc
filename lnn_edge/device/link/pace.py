"""How long to wait for a reply, and how much to send at once: both as the line was lately."""

from __future__ import annotations

from dataclasses import dataclass

_SHARE_OF_MEAN, _SHARE_OF_SPREAD, _SPREADS = 1 / 8, 1 / 4, 4  # RFC 6298, 2.3
_LEAST_SHARE = 1 / 20  # of the longest wait: a busy machine is no lost request
_STEPS = 64  # from nothing to the largest request


@dataclass(frozen=True)
class RoundTrip:
    """Time from a request to its reply: mean and mean distance from it, in seconds (RFC 6298)."""

    mean_s: float
    spread_s: float

    @classmethod
    def measured(cls, seconds: float, before: RoundTrip | None) -> RoundTrip:
        """Return what one more reply makes of it, which must be of a request sent once."""
        if before is None:
            return cls(seconds, seconds / 2)
        distance = abs(seconds - before.mean_s)
        return cls(
            before.mean_s + _SHARE_OF_MEAN * (seconds - before.mean_s),
            before.spread_s + _SHARE_OF_SPREAD * (distance - before.spread_s),
        )

    def wait_s(self, longest_s: float) -> float:
        """How long a reply may take before its request is sent again."""
        expected = self.mean_s + _SPREADS * self.spread_s
        return min(longest_s, max(expected, _LEAST_SHARE * longest_s))


class Window:
    """Bytes that a request may carry: half after a loss, a little more after each success.

    Args:
        full: Most that both sides take.
        least: What it does not fall below.

    Attributes:
        bytes: Of payload.
    """

    def __init__(self, full: int, least: int) -> None:
        """Start with the largest requests."""
        self._full, self._least = full, min(full, least)
        self.bytes = full

    def lost(self) -> None:
        """Halve it."""
        self.bytes = max(self._least, self.bytes // 2)

    def passed(self) -> None:
        """Let it grow."""
        self.bytes = min(self._full, self.bytes + self._full // _STEPS)

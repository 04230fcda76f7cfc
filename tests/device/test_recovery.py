"""What a replay holds: each decision is handed on once, wherever it is shortened."""

from __future__ import annotations

import pytest

from lnn_edge.device.link.recovery import Replay
from lnn_edge.device.protocol import Data, ResultRecord, Stats

STATS = Stats(*range(18))
DECIDED = [ResultRecord(stamp, 0, (stamp,)) for stamp in range(6)]
CUTS = [2, 4, 6]  # decisions up to the end of each request


def replay(handed_on: int) -> Replay:
    """Three requests of two frames, which lead to two decisions each; so many were handed on."""
    made = Replay(b"first")
    for i in range(3):
        before = CUTS[i] - 2
        made.take(Data(2 * i, 2, (), bytes(8)), 2, DECIDED[before : min(CUTS[i], handed_on)])
    return made


@pytest.mark.parametrize("handed_on", range(7))
@pytest.mark.parametrize("done", [1, 2, 3])
def test_what_is_left_leads_to_what_was_not_handed_on(handed_on: int, done: int) -> None:
    whole = replay(handed_on)
    assert whole.waiting(DECIDED) == DECIDED[handed_on:]
    short = whole.shortened(done, DECIDED[: CUTS[done - 1]], b"second", STATS)
    assert (short.state, short.stats, short.is_repeated) == (b"second", STATS, True)
    assert [data.first for data in short.requests] == [0, 2, 4][done:]
    assert short.waiting(DECIDED[CUTS[done - 1] :]) == DECIDED[handed_on:]


def test_what_was_decided_ahead_is_handed_on_once() -> None:
    whole = replay(3)
    whole.hand_on(len(whole.waiting(DECIDED)))
    assert whole.waiting(DECIDED) == []
    short = replay(1).shortened(1, DECIDED[:2], b"second", STATS)
    assert short.ahead == DECIDED[1:2]
    short.hand_on(len(short.waiting(DECIDED[2:])))
    assert (short.ahead, short.waiting(DECIDED[2:])) == ([], [])

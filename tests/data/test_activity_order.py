"""Runs of activity without the protocol: nothing of a segment is lost or changed."""

from __future__ import annotations

import numpy as np

from lnn_edge.data.uci_har import WINDOW
from scripts.activity_order import orders_of, segments_of
from tests.support.recordings import motion


def test_segments_in_random_order_hold_the_same_windows() -> None:
    runs = [motion(1, 60), motion(2, 60)]
    orders = orders_of(runs)
    wanted: dict[bytes, str] = {}
    for run in runs:
        for mark in run.record.marks:
            wanted[window(run.frames, mark.sample)] = mark.symbol
    for order, others in orders.items():
        found = {window(r.frames, m.sample): m.symbol for r in others for m in r.record.marks}
        assert found == wanted, order
        for r in others:
            for m in r.record.marks:
                assert (r.labels[m.sample - WINDOW + 1 : m.sample + 1] == r.labels[m.sample]).all()
    mixed, alone = orders["shuffled"], orders["alone"]
    assert any((a.frames[:500] != b.frames[:500]).any() for a, b in zip(runs, mixed, strict=True))
    assert all(len(r.record.intervals) == 1 for r in alone)
    assert len(alone) == sum(len(segments_of(r.record)) for r in runs) > len(runs)


def window(frames: np.ndarray, last: int) -> bytes:
    return frames[last - WINDOW + 1 : last + 1].tobytes()

"""The number of threads that is fastest, by a clock that the test turns."""

from __future__ import annotations

import pytest
import torch

from lnn_edge.nn import threads
from lnn_edge.nn.threads import fastest_threads, one_thread, scans_on, threads_of_scans


@pytest.mark.parametrize(
    ("most", "seconds", "best"),
    [
        (1, {}, 1),
        (2, {1: 1.0, 2: 0.6}, 2),
        (2, {1: 1.0, 2: 0.95}, 1),
        (6, {1: 1.0, 2: 0.6, 4: 0.4}, 4),
        (4, {1: 1.0, 2: 1.5, 4: 0.5}, 4),
    ],
)
def test_more_threads_are_taken_where_they_pay(
    monkeypatch: pytest.MonkeyPatch, most: int, seconds: dict[int, float], best: int
) -> None:
    now = 0.0

    def run() -> None:
        nonlocal now
        now += seconds[threads_of_scans()]

    monkeypatch.setattr(threads.time, "perf_counter", lambda: now)
    assert fastest_threads(run, most) == best


def test_recurrences_take_torchs_threads_unless_told() -> None:
    with one_thread():
        with scans_on(3):
            assert threads_of_scans() == 3
        assert threads_of_scans() == torch.get_num_threads() == 1

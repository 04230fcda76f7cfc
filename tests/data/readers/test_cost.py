"""No file of 10 MB takes its reader more than 200 MB and two seconds of the processor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lnn_edge.files.read import most_unpacked
from tests.support.reader_cost import cost_of
from tests.support.worst_files import MOST, WORST

MEGABYTES, SECONDS = 200.0, 2.0
TRIES = 2  # a processor that is busy with something else takes longer for the same


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("worst", WORST)
def test_no_file_is_dear_to_read(worst: str, tmp_path: Path) -> None:
    kind, name, make = WORST[worst]
    path = tmp_path / name
    make(path)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= MOST + 4_096
    costs = [cost_of(kind, path)]
    while costs[-1].seconds > SECONDS and len(costs) < TRIES:
        costs.append(cost_of(kind, path))
    assert min(c.seconds for c in costs) <= SECONDS, costs[-1]
    assert max(c.megabytes for c in costs) <= MEGABYTES, costs[-1]


def test_larger_files_may_unpack_to_more() -> None:
    """The least is what a reader of 10 MB can bear; the rest is 16 for one."""
    assert most_unpacked(0) == most_unpacked(10 << 20) == 64 << 20
    assert most_unpacked(1 << 30) == (64 << 20) + 16 * ((1 << 30) - (10 << 20))

"""No file of 10 MB takes its reader more than 200 MB, or longer than its size accounts for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lnn_edge.files.read import most_unpacked
from tests.support.reader_cost import ENDLESS_S, MEGABYTES, cost_of
from tests.support.worst_files import MOST, WORST


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("worst", WORST)
def test_no_file_is_dear_to_read(worst: str, tmp_path: Path) -> None:
    kind, name, make = WORST[worst]
    path = tmp_path / name
    make(path)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= MOST + 4_096
    cost = cost_of(kind, path)
    assert cost.megabytes <= MEGABYTES, cost
    assert cost.seconds <= ENDLESS_S, cost


def test_larger_files_may_unpack_to_more() -> None:
    """The least is what a reader of 10 MB can bear; the rest is 16 for one."""
    assert most_unpacked(0) == most_unpacked(10 << 20) == 64 << 20
    assert most_unpacked(1 << 30) == (64 << 20) + 16 * ((1 << 30) - (10 << 20))

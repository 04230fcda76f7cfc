"""Two thousand real beats in a row, without a reset: every device equals the simulator."""

from __future__ import annotations

import os

import pytest

from lnn_edge.build.cmake import build
from lnn_edge.build.project import open_project
from lnn_edge.codegen.project import export
from lnn_edge.data.registry import DATA_VARIABLE
from lnn_edge.device.board import load_board
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import load_graph
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.verify.verify import verify_project
from tests.firmware.programs import needs_arm_gcc, needs_qemu
from tests.support.recordings import cut

RECORD, BEATS = "209", 2050  # of DS1: fast, with many S beats
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATA_VARIABLE not in os.environ, reason=f"{DATA_VARIABLE} is not set"),
]


@pytest.fixture(scope="module")
def recording() -> Labelled:
    (whole,) = load_labelled("mitdb", records=[RECORD])
    return cut(whole, int(whole.events[BEATS]))


@pytest.mark.parametrize(
    ("link", "board"),
    [
        pytest.param("host", "stm32f746"),
        pytest.param("virtual", "stm32f746", marks=needs_arm_gcc),
        pytest.param("qemu", "stm32f405", marks=[needs_arm_gcc, needs_qemu]),
    ],
)
def test_the_shipped_model_is_bit_exact(tmp_path, recording, link, board):
    folder = tmp_path / "project"
    export(load_graph(shipped_graph()), load_board(board), folder)
    if link != "host":
        build(folder, "board")
    result = verify_project(open_project(folder), link, [recording])
    assert result.mismatches == 0
    assert result.longest_run >= 2000

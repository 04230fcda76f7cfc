"""The memories of the board, and what lies in them."""

from __future__ import annotations

from typing import Any

from lnn_edge.report.drawings.memory_map import draw_region
from lnn_edge.report.facts import Report


def context(report: Report) -> dict[str, Any]:
    """Return a drawing of each memory; none before a build."""
    build, board = report.build, report.project.board
    if build is None:
        return {"build": None}
    return {
        "build": build,
        "regions": [draw_region(board, build, region) for region in board.memory],
    }

"""What a package adds to lnn-edge by entry points: a data set, a runner and an exporter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lnn_edge.data.registry import DATASETS
from lnn_edge.device.board import Board
from lnn_edge.device.runners import AbstractRunner, make_runner
from lnn_edge.graph.qgraph import QGraph

BEATS = replace(DATASETS["excerpts"], name="sample-beats", summary="the excerpts again")


def runner(spec: str, board: Board) -> AbstractRunner:
    """Run on this machine: sample, or sample:ANYTHING."""
    made = make_runner("host", board)
    made.name = spec
    return made


def summary(graph: QGraph, board: Board) -> Mapping[str, str]:
    """Write the graph's table."""
    return {"summary.txt": f"{board.name}\n{graph.summary()}\n"}

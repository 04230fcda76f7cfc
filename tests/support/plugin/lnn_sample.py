"""What a package adds to lnn-edge by entry points: a data set, a task, a runner and an exporter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.data.registry import DATASETS
from lnn_edge.device.board import Board
from lnn_edge.device.runners import AbstractRunner, make_runner
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.task import Network, Task

BEATS = replace(DATASETS["excerpts"], name="sample-beats", summary="the excerpts again")

GESTURES = Task(
    name="gestures",
    summary="what a hand does",
    frame=Frame(100.0, tuple(FrameChannel(axis, "g", 8192.0) for axis in "xyz")),
    decide="frames",
    labels="sample",
    classes=("still", "wave", "circle"),
    networks=(
        Network(
            "gestures-cfc",
            "lnn_edge.tasks.activity.har_cfc:HarNet",
            "lnn_edge.tasks.activity.har_cfc:HarNetConfig",
        ),
    ),
)


def runner(spec: str, board: Board) -> AbstractRunner:
    """Run on this machine: sample, or sample:ANYTHING."""
    made = make_runner("host", board)
    made.name = spec
    return made


def summary(graph: QGraph, board: Board) -> Mapping[str, str]:
    """Write the graph's table."""
    return {"summary.txt": f"{board.name}\n{graph.summary()}\n"}

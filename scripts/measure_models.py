"""Measures what each shipped model takes on some boards, and writes it into its facts.toml.

Example: python scripts/measure_models.py ecg-beats-cfc
Flash, RAM and stack are those of the firmware as built for a board; instructions are counted on
the virtual board, exactly, over the recordings that need no folder.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import tomli_w

import lnn_edge as le
from lnn_edge.build.cmake import OverBudgetError
from lnn_edge.device.board import load_board
from lnn_edge.errors import BuildError
from lnn_edge.files.model_facts import FACTS, Measured, OnBoard, read_facts
from lnn_edge.files.shipped import shipped_folder, shipped_names
from lnn_edge.files.write import write_whole
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EveryTrigger
from lnn_edge.report.facts import collect
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import task_of
from lnn_edge.verify.verify import verify_project

COUNTED_ON = "stm32f746"
QUOTED = "stm32f746g-disco"
BOARDS = (  # of each family one at least; `lnn-edge analyze` tells the others
    "bluepill",
    "nucleo-f411re",
    "nucleo-f446re",
    "nucleo-f746zg",
    "nucleo-g071rb",
    "nucleo-h743zi",
    "nucleo-l432kc",
    "nucleo-l476rg",
    "nucleo-u575zi",
    "stm32f405",
    QUOTED,
)


def measure(graph: QGraph, place: Path) -> Measured:
    """Export, build and run a model."""
    boards = [fit for name in BOARDS if (fit := on_board(graph, name, place))]
    boards.sort(key=lambda b: b.board != QUOTED)
    project = le.export(graph, board=COUNTED_ON, to=place / "counted")
    task = task_of(graph.metadata)
    if task is None or not task.shown:
        raise SystemExit(f"{graph.name}: no recordings of its task are part of lnn-edge")
    dataset = task.shown
    recordings = load_labelled(dataset)[:2]
    found = verify_project(project, "virtual", recordings, dataset=dataset)
    if found.mismatches or found.decision_cost is None:
        raise SystemExit(f"{graph.name}: {found.mismatches} mismatches; it is not measured")
    cost = found.decision_cost
    per_frame = cost.samples / cost.frames
    built = collect(project.folder, ()).build
    return Measured(
        graph_sha256(graph),
        built.compiler if built else "",
        load_board(COUNTED_ON).name,
        dataset,
        found.steps,
        round(cost.decision),
        round(cost.decision + per_frame * frames_between(graph, cost.frames)),
        tuple(boards),
    )


def frames_between(graph: QGraph, mean: float) -> float:
    """Return the frames from one decision to the next; of events, as many as there were."""
    stage = graph.deciding_stage
    return graph.stage_pace(stage)[1] if isinstance(stage.trigger, EveryTrigger) else mean


def on_board(graph: QGraph, board: str, place: Path) -> OnBoard | None:
    """Build for a board; None where it does not fit."""
    project = le.export(graph, board=board, to=place / board)
    try:
        size = le.build(project).size
    except (OverBudgetError, BuildError) as error:
        print(f"{graph.name} does not fit {board}: {error}")
        return None
    assert size is not None
    return OnBoard(board, size.flash_bytes, size.ram_bytes, size.stack_bytes)


def main() -> None:
    """Measure the models that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=shipped_names())
    for name in parser.parse_args().models:
        folder = shipped_folder(name)
        with tempfile.TemporaryDirectory() as place:
            found = measure(le.load(name), Path(place))
        facts = replace(read_facts(folder), measured=found)
        write_whole(folder / FACTS, tomli_w.dumps(_without_none(asdict(facts))))
        print(f"{name}: {found}")


def _without_none(value: Any) -> Any:
    """Drop what TOML has not."""
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()

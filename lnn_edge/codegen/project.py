"""Writes a self-contained firmware project: model, runtime, board, provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from lnn_edge.codegen.kernels import Core
from lnn_edge.codegen.model_code import ModelCode
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_board, render_model
from lnn_edge.device.board import Board
from lnn_edge.files import resources
from lnn_edge.files.lock import alone_in
from lnn_edge.files.version import VERSION
from lnn_edge.files.write import Content, publish
from lnn_edge.graph.file import graph_bytes, graph_sha256
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.reference import FILE as REFERENCE


def export(
    graph: QGraph,
    board: Board,
    folder: Path,
    float_model: Mapping[str, bytes] | None = None,
    unlearned: tuple[str, ...] | None = None,
    *,
    force: bool = False,
) -> None:
    """Write a self-contained firmware project, all of it or nothing.

    The model is written twice: model/ is what ships, trace/ is its diagnostic twin with the same
    weights, which can stop after each operator. Of an earlier export in the folder what is as it
    was written is replaced; its user's files stay, and so do builds, verifications and reports.

    Args:
        graph: Model.
        board: Board.
        folder: Of the project.
        float_model: Files of the float model by name; they go to float/.
        unlearned: See Header; what the graph itself records comes first.
        force: Whether to replace files that are in the way and its user's.

    Raises:
        UsageError: The folder holds something else than an earlier export, or such a file.
        GraphError: Two parts of the model would have the same name in C.
    """
    files = dict(_project_files(graph, board, unlearned))
    files |= {f"float/{name}": data for name, data in (float_model or {}).items()}
    if graph.reference is not None:
        files[f"float/{REFERENCE}"] = graph.reference.to_bytes(graph_sha256(graph))
    with alone_in(folder):
        publish(folder, files, "export", last="export.json", force=force)


def _project_files(
    graph: QGraph, board: Board, unlearned: tuple[str, ...] | None
) -> Iterator[tuple[str, Content]]:
    core = Core(board.mcu.cpu, board.mcu.dsp)
    code = generate(graph, core, unlearned=unlearned)
    yield from _firmware_files()
    model = render_model(code)
    diagnostic = render_model(generate(graph, core, trace=True, unlearned=unlearned))
    for folder, files in (
        ("model", model),
        ("trace", {f: t for f, t in diagnostic.items() if model[f] != t}),
        ("board", render_board(board) | {"board.json": board.to_json()}),
    ):
        yield from ((f"{folder}/{name}", text) for name, text in files.items())
    yield "model.qgraph", graph_bytes(graph)
    yield "export.json", json.dumps(_provenance(code, board), indent=1, sort_keys=True) + "\n"


def _firmware_files() -> Iterator[tuple[str, bytes]]:
    """Yield the hand-written files; those that start the build lie at the top."""
    firmware = resources.path("firmware")
    for path in sorted(firmware.rglob("*")):
        name = path.relative_to(firmware)
        if path.is_file() and not any(part.startswith("build") for part in name.parts):
            is_first = path.parent == firmware
            yield path.name if is_first else f"firmware/{name.as_posix()}", path.read_bytes()


def _provenance(code: ModelCode, board: Board) -> dict[str, Any]:
    return {
        "lnn_edge": VERSION,
        "model": code.graph.name,
        "model_sha256": code.sha256,
        "board": board.name,
        "board_sha256": sha256(board.to_json().encode()).hexdigest(),
        "core": code.core.name,
        "operators": list(_operator_facts(code)),
    }


def _operator_facts(code: ModelCode) -> Iterator[dict[str, Any]]:
    """Symbols of each operator, so that a build can be measured; a shared constant counts once."""
    seen: set[str] = set()
    for o in code.operators:
        constants = [s for s in dict.fromkeys(o.constants.values()) if s not in seen]
        seen.update(constants)
        yield {
            "name": o.op.name,
            "holds": list(o.holds),
            "kernel": o.kernel.name,
            "function": o.symbol,
            "constants": constants,
        }

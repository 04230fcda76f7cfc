"""Exports a model in a form: project, C library, ONNX, TFLite, or what another package writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lnn_edge.codegen.library import LIBRARY, PROVENANCE, core_named, library_files
from lnn_edge.codegen.project import export
from lnn_edge.device.board import Board, load_board
from lnn_edge.errors import UsageError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.packages import need_onnx, need_tflite
from lnn_edge.files.plugins import load_plugin, plugin_names
from lnn_edge.files.read import read_whole
from lnn_edge.files.shipped import graph_path
from lnn_edge.files.write import publish
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.history import HISTORY, history_csv, read_history
from lnn_edge.nn.model_card import CARD, kind_of, read_card, read_model, unlearned_beside

if TYPE_CHECKING:
    from lnn_edge.codegen.onnx.float_stage import FloatNetwork
    from lnn_edge.codegen.tflite.records import Record

GROUP = "lnn_edge.exporters"
PROJECT = "project"
ONNX, ONNX_FLOAT, ONNX_QDQ = "onnx", "onnx-float", "onnx-qdq"
TFLITE = "tflite"
_BOARDLESS = {  # and what to say where a board is given
    LIBRARY: "a library is for no board; leave --board out and give --core",
    **dict.fromkeys((ONNX, ONNX_FLOAT, ONNX_QDQ), "ONNX is for no board; leave --board out"),
    TFLITE: "TFLite is for no board; leave --board out",
}


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        folder: Where it lies.
        graph: The model.
        board: The board it is for; None of a form that is for none.
    """

    folder: Path
    graph: QGraph
    board: Board | None


def export_model(
    model: QGraph | Path | None,
    board_name: str | None = None,
    folder: Path | None = None,
    *,
    form: str = PROJECT,
    core: str | None = None,
    change: Callable[[QGraph], QGraph] | None = None,
    network: Callable[[Path], FloatNetwork] | None = None,
    records: Callable[[QGraph], Sequence[Record]] | None = None,
    force: bool = False,
) -> Exported:
    """Export a model; into a project goes the float model beside its graph on disk.

    Args:
        model: A graph; a model.qgraph, the folder of one, or the name of a shipped model; None
            for the default one.
        board_name: Name of a board, or its TOML file; None for other forms than a project's.
        folder: Where the files go; None is firmware-BOARD, library-MODEL, onnx-MODEL or
            tflite-MODEL.
        form: "project", "library", "onnx", "onnx-float", "onnx-qdq", "tflite", or the name of
            another package's exporter.
        core: Of a library: a name of library.CORES; None is "any".
        change: Makes of the graph the one that is exported, such as tasks.beats.find_beats.
        network: Of "onnx-float": makes the network of a graph's file, quantize.float_step's.
        records: Of "tflite": those on which it must agree with the integers, tasks.feed's; None
            takes those of the model's reference, or noise.
        force: Whether to replace files that are in the way and its user's.

    Raises:
        BoardError: There is no such board.
        GraphError: The graph cannot be read, or does not fit the form.
        MissingToolError: The form needs a package that is not installed.
        UsageError: There is no such model, exporter or core, a board is missing or too much, the
            folder holds something else, or the graph was not made from the weights beside it.
    """
    board = _board_for(form, board_name, core)
    path = None if isinstance(model, QGraph) else graph_path(model)
    graph = model if isinstance(model, QGraph) else load_graph(graph_path(model))
    if change is not None:
        graph = change(graph)
    unlearned = None if path is None else unlearned_beside(path, graph)
    if board is None:
        folder = folder or Path(f"{form}-{graph.name}")
        with alone_in(folder):
            if form == LIBRARY:
                files, last = library_files(graph, core_named(core), unlearned), PROVENANCE
            elif form == TFLITE:
                files, last = _tflite(graph, unlearned, () if records is None else records(graph))
            else:
                files, last = _onnx(form, graph, unlearned, path, network)
            publish(folder, files, form, last=last, force=force)
        return Exported(folder, graph, None)
    folder = folder or Path(f"firmware-{board.name}")
    if form == PROJECT:
        floats = None if path is None else _float_model(path, graph)
        export(graph, board, folder, floats, unlearned, force=force)
    else:
        _export_as(form, graph, board, folder, force=force)
    return Exported(folder, graph, board)


def _board_for(form: str, name: str | None, core: str | None) -> Board | None:
    """Return the board of a form that has one.

    Raises:
        UsageError: The form needs a board and none is given, or has no use for what is given.
    """
    if core is not None and form != LIBRARY:
        raise UsageError(f"--core is for --format {LIBRARY}; leave it out")
    if form in _BOARDLESS:
        if name is not None:
            raise UsageError(_BOARDLESS[form])
        return None
    if name is None:
        raise UsageError("give --board; `lnn-edge boards` lists them")
    return load_board(name)


def _onnx(
    form: str,
    graph: QGraph,
    unlearned: tuple[str, ...] | None,
    path: Path | None,
    network: Callable[[Path], FloatNetwork] | None,
) -> tuple[dict[str, str | bytes], str]:
    """Return the files of a model in ONNX, and which of them is written last."""
    need_onnx()
    from lnn_edge.codegen.onnx.export import onnx_files
    from lnn_edge.codegen.onnx.qdq import qdq_stage
    from lnn_edge.codegen.player.pipeline import PIPELINE

    if form == ONNX:
        return onnx_files(graph, unlearned), PIPELINE
    if form == ONNX_QDQ:
        return onnx_files(graph, unlearned, write=qdq_stage), PIPELINE
    if path is None or network is None:
        raise UsageError(f"{graph.name} is a graph alone; give the folder of its float model")
    return onnx_files(graph, unlearned, network(path)), PIPELINE


def _tflite(
    graph: QGraph, unlearned: tuple[str, ...] | None, records: Sequence[Record]
) -> tuple[dict[str, str | bytes], str]:
    """Return the files of a model in TFLite, and which of them is written last."""
    need_tflite()
    from lnn_edge.codegen.player.pipeline import PIPELINE
    from lnn_edge.codegen.tflite.export import tflite_files

    return tflite_files(graph, unlearned, records), PIPELINE


def _float_model(path: Path, graph: QGraph) -> dict[str, bytes]:
    """Return what lies beside a graph and goes along.

    Of an imported model both files, so that `verify` can compare with floats; of a trained one the
    card, which names what it learned from, and the history, for the report.
    """
    folder = path.parent
    card = read_card(folder)
    if card is None:
        return {}
    if kind_of(card) != "imported":
        if card.get("weights_sha256") != graph.metadata.get("weights_sha256"):
            return {}
        epochs = read_history(folder / HISTORY)
        history = {HISTORY: history_csv(epochs).encode()} if epochs else {}
        return {CARD: read_whole(folder / CARD), **history}
    stored = read_model(folder, "imported")
    if stored.values["weights_sha256"] != graph.metadata.get("weights_sha256"):
        raise UsageError(
            f"{folder}/model.qgraph was not made from the weights beside it; run `lnn-edge "
            f"quantize {folder} --calibration X.npy` again"
        )
    return stored.files


def _export_as(form: str, graph: QGraph, board: Board, folder: Path, *, force: bool) -> None:
    """Write the files that an exporter of another package makes, all of them or nothing.

    An entry point of lnn_edge.exporters is a function (graph, board) -> {path: text or bytes}.
    """
    exporter = load_plugin(GROUP, form, Callable)  # type: ignore[arg-type]
    if exporter is None:
        known = ", ".join((PROJECT, *_BOARDLESS, *plugin_names(GROUP)))
        raise UsageError(f"there is no exporter {form!r}; take one of {known}")
    files = dict(exporter(graph, board))
    if not files:
        raise UsageError(f"exporter {form!r} makes no file of {graph.name}; tell its author")
    with alone_in(folder):
        publish(folder, files, form, last=list(files)[-1], force=force)

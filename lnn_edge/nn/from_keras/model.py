"""A saved Keras model -> a table of layers with their weights."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.from_keras.build import Build, NeedsWindow, Shape, Unanswered, Value
from lnn_edge.nn.from_keras.files import PlacedVariables, Variables, cell_arrays
from lnn_edge.nn.from_keras.graph import KerasGraph
from lnn_edge.nn.from_keras.hdf5 import NEW_FILE
from lnn_edge.nn.from_keras.layers import LIQUID, add_layer
from lnn_edge.nn.from_keras.liquid_config import liquid_config
from lnn_edge.nn.from_keras.recurrent import check_forward
from lnn_edge.nn.from_keras.views import per_frame
from lnn_edge.nn.ncps import (
    ImportOptions,
    Liquid,
    NcpsFile,
    Question,
    ask,
    check_taken,
    liquid_of,
    questions,
)
from lnn_edge.nn.table import INPUT, Form, Table


def keras_table(
    path: Path, graph: KerasGraph, variables: Variables, options: ImportOptions
) -> Table:
    """Return the table of a Keras model.

    Args:
        path: File, for messages.
        graph: Its layers.
        variables: Their weights.
        options: What the file does not tell.

    Raises:
        DataError: A layer is not known, or has a form that no device can run.
        UsageError: An option is missing, or contradicts the file.
    """
    files = _liquid_files(graph, variables)
    check_taken(path, list(files.values()), options)
    asked = {out: questions(Path(_where(graph, out)), f, options) for out, f in files.items()}
    liquids = {
        out: liquid_of(Path(_where(graph, out)), file, options)
        for out, file in files.items()
        if not asked[out]
    }
    missing = [question for found in asked.values() for question in found]
    _check_hop(path, graph, options)
    try:
        build, outputs = _built(graph, variables, liquids, options)
    except Unanswered:
        ask(path, missing)
        raise
    except NeedsWindow as need:
        ask(path, [*missing, _window_question(graph, need)])
        raise
    form = _form(graph, options, tuple(value.name for value in outputs))
    channels = prod(n for n in _frame(graph) if n is not None)
    return Table(tuple(build.rows), build.own, form, channels, bool(files))


def _where(graph: KerasGraph, output: str) -> str:
    return next(layer.where for layer in graph.layers if layer.output == output)


def _liquid_files(graph: KerasGraph, variables: Variables) -> dict[str, NcpsFile]:
    """Return what the file holds of each liquid layer, by the name of what it gives."""
    files = {}
    for layer in graph.layers:
        if layer.kind not in LIQUID:
            continue
        check_forward(layer)
        if not isinstance(variables, PlacedVariables):
            raise layer.refuse(f"is read from .keras files only; {NEW_FILE}")
        config = liquid_config(layer.where, layer.config)
        arrays = cell_arrays(layer.where, variables.of_cell(layer), config)
        files[layer.output] = NcpsFile("keras", arrays, config)
    return files


def _check_hop(path: Path, graph: KerasGraph, options: ImportOptions) -> None:
    hop, length = options.hop, graph.shape[0]
    if hop is None:
        return
    if len(graph.shape) == 1 or length is None:
        raise UsageError(f"{path} reads no windows of a fixed number of frames; leave --hop out")
    if not 0 < hop <= length:
        raise UsageError(f"--hop {hop} must be 1 to {length}, the frames of a window of {path}")
    if options.dt is None:
        raise UsageError(f"{path} reads windows, which have no elapsed time; leave --dt input out")


def _window_question(graph: KerasGraph, need: NeedsWindow) -> Question:
    length, frame = graph.shape[0], ", ".join(str(n) for n in _frame(graph))
    if length is None:
        raise DataError(
            f"{need}; give the model an Input of a fixed number of frames, such as Input((128, "
            f"{frame})), and import it with --hop"
        ) from None
    what = f"how far its window of {length} frames moves ({need})"
    return Question(what, f"--hop with 1 to {length} frames")


def _frame(graph: KerasGraph) -> Shape:
    """Return the shape of a frame."""
    return graph.shape[1:] if len(graph.shape) > 1 else graph.shape


def _form(graph: KerasGraph, options: ImportOptions, outputs: tuple[str, ...]) -> Form:
    frame = tuple(n for n in _frame(graph) if n is not None)
    if len(frame) < len(_frame(graph)):
        raise DataError(f"an input of shape {graph.shape} leaves more free than the frames")
    frame = frame if len(frame) > 1 else ()
    if options.hop is not None:
        return Form("window", frame, graph.shape[0] or 0, options.hop, outputs)
    return Form("sequence" if len(graph.shape) > 1 else "frame", frame, outputs=outputs)


def _built(
    graph: KerasGraph,
    variables: Variables,
    liquids: Mapping[str, Liquid],
    options: ImportOptions,
) -> tuple[Build, list[Value]]:
    """Return the table of all layers, and what leaves it."""
    shape = graph.shape
    if options.hop is None and len(shape) > 1:
        shape = (None, *shape[1:])
    build = Build(variables, liquids, graph.readers, graph.shape[0])
    values = {graph.input: Value(INPUT, shape)}
    for layer in graph.layers:
        values[layer.output] = add_layer(build, layer, [values[t] for t in layer.inputs])
    outputs = [_output(build, graph, tensor, values[tensor]) for tensor in graph.outputs]
    if len({value.name for value in outputs}) < len(outputs) or not build.rows:
        raise DataError("the model gives what it reads, or one thing twice; save another one")
    return build, outputs


def _output(build: Build, graph: KerasGraph, tensor: str, value: Value) -> Value:
    """Return an output with its channels last, a vector for each frame."""
    layer = next(layer for layer in graph.layers if layer.output == tensor)
    value = build.turned(layer, value, to_first=False)
    if value.has_time and len(value.shape) > 2:
        return per_frame(build, layer, value)
    return value

"""A file of another library -> a table of layers with their weights. Nothing in it is run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.names import model_name_fault, shown
from lnn_edge.files.read import read_whole
from lnn_edge.files.version import VERSION
from lnn_edge.nn.arrays import Arrays
from lnn_edge.nn.cell_sizes import GruSizes, LstmSizes
from lnn_edge.nn.from_keras.files import (
    HDF5_SIGNATURE,
    KERAS_CONFIG,
    KERAS_WEIGHTS,
    OldParts,
    keras_arrays,
    keras_parts,
    old_parts,
    placed_variables,
)
from lnn_edge.nn.from_keras.graph import read_graph
from lnn_edge.nn.from_keras.model import keras_table
from lnn_edge.nn.from_keras.saved_model import saved_model_files, saved_model_parts
from lnn_edge.nn.from_onnx.file import read_onnx
from lnn_edge.nn.from_onnx.model import onnx_table
from lnn_edge.nn.imported import ImportCard, Imported, make_imported
from lnn_edge.nn.layers import with_cells
from lnn_edge.nn.ncps import (
    ImportOptions,
    Liquid,
    NcpsFile,
    ask,
    check_taken,
    liquid_of,
    questions,
    tensors_of,
)
from lnn_edge.nn.state_dict import Part, read_parts
from lnn_edge.nn.table import INPUT, NAMES, Form, Layer, Table, identifier
from lnn_edge.nn.table_layers import LinearSizes

ONNX = ".onnx"
"""How the name of a file in ONNX ends; its bytes do not tell."""
_OF_KERAS = (".keras", ".h5", ".hdf5")
LARGEST_MODEL = 1 << 28
"""Bytes of a model's file, an optimizer beside it included."""
Weighted = tuple[str, Any, Arrays]
"""A layer: name, options, weights by their names in the layer."""


def import_model(path: Path, options: ImportOptions) -> Imported:
    """Return the model in a file.

    Args:
        path: State dict of ncps.torch, of LSTM or GRU, of several of them and a Linear behind, or a
            checkpoint with one inside; a model of Keras, the folder of a SavedModel of Keras 2, or
            weights of a CfC or LTC of Keras; a model in ONNX.
        options: What the file does not tell.

    Raises:
        DataError: The file cannot be read, or holds a layer that is not known here.
        UsageError: An option is missing, contradicts the file, or says what no layer has.
        MissingToolError: h5py is needed and not installed.
    """
    if options.dt is not None and not 0 < options.dt < np.inf:
        raise UsageError(f"dt must be positive and finite, or input, not {options.dt} s")
    files = saved_model_files(path, LARGEST_MODEL) if path.is_dir() else {}
    try:
        raw = b"".join(files.values()) if files else read_whole(path, LARGEST_MODEL)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a model's file") from None
    try:
        old = saved_model_parts(path, files) if files else None
        table = _of_old(path, old, options) if old else _read(path, raw, options)
        if options.dt is None and not table.is_timed:
            raise UsageError(f"{path}: no layer reads elapsed time; leave --dt input out")
        digest = hashlib.sha256(raw).hexdigest()
        head = (VERSION, _model_name(path, options.name), path.name, digest, "")
        card = ImportCard(*head, table.channels, options.dt or 0.0, table.rows, table.form)
        return make_imported(card, tensors_of(table.weights))
    except (KeyError, IndexError, RuntimeError) as error:  # weights of other names or shapes
        reason = shown(" ".join(str(error).split()), 300)
        raise DataError(f"{path} is no model that is known here ({reason})") from None


def _read(path: Path, raw: bytes, options: ImportOptions) -> Table:
    """Return the layers of a file: of ONNX, of Keras in a zip archive or HDF5, or of torch."""
    if path.suffix.lower() == ONNX:
        return onnx_table(path, read_onnx(path, raw), options)
    if options.time_axis is not None:
        raise UsageError(f"{path} is no .onnx file; leave --time-axis out")
    is_hdf5 = raw.startswith(HDF5_SIGNATURE)
    parts = {KERAS_WEIGHTS: raw} if is_hdf5 else keras_parts(path, raw)
    if parts is None and path.suffix.lower() in _OF_KERAS:
        raise DataError(f"{path} is damaged or no file of Keras; save the model again")
    if parts is None:
        return _table(
            path, _of_torch(path, read_parts(path, raw, options.layers), options), options
        )
    if KERAS_CONFIG in parts:
        graph = read_graph(f"{path}/{KERAS_CONFIG}", parts[KERAS_CONFIG])
        return keras_table(path, graph, placed_variables(path, parts[KERAS_WEIGHTS]), options)
    old = old_parts(path, raw) if is_hdf5 else None
    if old is not None:
        return _of_old(path, old, options)
    file = NcpsFile("keras", keras_arrays(path, parts[KERAS_WEIGHTS]))
    return _table(path, _of_liquids(path, {"rnn": file}, options)["rnn"], options)


def _of_old(path: Path, old: OldParts, options: ImportOptions) -> Table:
    if options.time_axis is not None:
        raise UsageError(f"{path} is no .onnx file; leave --time-axis out")
    graph = read_graph(str(path), old.config, is_old=old.is_old)
    return keras_table(path, graph, old.variables, options)


def _of_torch(path: Path, parts: list[Part], options: ImportOptions) -> list[Weighted]:
    liquids = {p.name: NcpsFile("torch", p.arrays) for p in parts if p.kind == "ncps"}
    made, layers = _of_liquids(path, liquids, options), list[Weighted]()
    for part in parts:
        if part.kind == "ncps":
            layers += made[part.name]
        elif part.kind == "linear":
            sizes = LinearSizes(*part.sizes)
            bias = np.zeros(sizes.output_size)
            layers.append((part.name, sizes, {"bias": bias, **part.arrays}))
        else:
            layers += _of_rnn(part)
    return layers


def _of_liquids(
    path: Path, files: Mapping[str, NcpsFile], options: ImportOptions
) -> dict[str, list[Weighted]]:
    """Return the layers of each liquid one; all questions about them are asked at once."""
    check_taken(path, list(files.values()), options)
    ask(path, [q for file in files.values() for q in questions(path, file, options)])
    return {name: _of_liquid(name, liquid_of(path, f, options)) for name, f in files.items()}


def _of_liquid(name: str, liquid: Liquid) -> list[Weighted]:
    sizes = liquid.sizes
    layers: list[Weighted] = [
        (name, sizes, {f"cells.0.{name}": value for name, value in liquid.cell.items()})
    ]
    if liquid.readout:
        linear = LinearSizes(sizes.output_size, len(liquid.readout["bias"]))
        layers.append((f"{name}.fc", linear, liquid.readout))
    return layers


def _of_rnn(part: Part) -> list[Weighted]:
    """Return a cell for each layer of an nn.LSTM or nn.GRU."""
    inputs, hidden = part.sizes
    depth = len([name for name in part.arrays if name.startswith("weight_ih_l")])
    kind, sizes = (nn.LSTM, LstmSizes) if part.kind == "lstm" else (nn.GRU, GruSizes)
    has_bias = "bias_ih_l0" in part.arrays
    theirs = kind(inputs, hidden, depth, bias=has_bias, batch_first=True)
    theirs.load_state_dict(tensors_of(part.arrays))
    cells: Any = with_cells(theirs)
    return [
        (
            f"{part.name}_l{i}" if depth > 1 else part.name,
            sizes(hidden if i else inputs, hidden),
            {f"cells.0.{k}": v.double().numpy() for k, v in cell.state_dict().items()},
        )
        for i, cell in enumerate(cells.cells)
    ]


def _table(path: Path, layers: list[Weighted], options: ImportOptions) -> Table:
    """Return the table of layers that follow each other."""
    if options.hop is not None:
        raise UsageError(f"{path} has no windows; leave --hop out")
    rows, weights, above = list[Layer](), Arrays(), INPUT
    for given, sizes, own in layers:
        name = identifier(given or "rnn", [row.name for row in rows])
        origin = f"{path.name}: layer {shown(given or '(itself)')}"
        rows.append(Layer(name, NAMES[type(sizes)], (above,), asdict(sizes), origin))
        weights |= {f"{name}.{k}": v for k, v in own.items()}
        above = name
    is_timed = any(getattr(sizes, "is_timed", False) for _, sizes, _ in layers)
    return Table(tuple(rows), weights, Form(), layers[0][1].input_size, is_timed)


def _model_name(path: Path, given: str | None) -> str:
    """Return the C prefix: the one given, or that of the file's name."""
    if given is not None:
        fault = model_name_fault(given)
        if fault:
            raise UsageError(f"--name {shown(given)} {fault}; choose another")
        return given
    name = re.sub(r"[^A-Za-z0-9]+", "_", path.name.split(".")[0]).strip("_")[:40]
    return f"model_{name}".rstrip("_") if model_name_fault(name) else name

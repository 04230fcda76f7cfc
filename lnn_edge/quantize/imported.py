"""Imported model -> integer graph, on sequences of frames from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from lnn_edge.data.npy import load_sequences
from lnn_edge.errors import UsageError
from lnn_edge.graph.fidelity import channel_resolutions, reference_errors
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.imported import ImportCard, Imported, load_imported
from lnn_edge.nn.model_card import kind_of, read_card
from lnn_edge.quantize.lowering import HEADROOM
from lnn_edge.quantize.module import quantize_module
from lnn_edge.quantize.trained import save_quantized

DRAWN = 4, 256
"""Sequences, and frames of each, that stand for calibration data where a file has its scales."""


def quantize_imported(folder: Path, calibration: Path | None, *, force: bool = False) -> QGraph:
    """Quantize the imported model in a folder; write its model.qgraph and quantize.json.

    Args:
        folder: As `lnn-edge import` writes it.
        calibration: .npy file of sequences, see npy.load_sequences; None keeps the scales of a
            model that is quantized already.
        force: Whether to replace another graph.

    Raises:
        DataError: A file is missing, damaged or does not fit.
        UsageError: Another graph is there, or there are neither scales nor calibration data.
        LayerError, QuantizationError: See module.quantize_module.
    """
    model = load_imported(folder)
    if calibration is None:
        frames = drawn_frames(folder, model)
        graph = graph_of_scales(model, frames)
    else:
        frames = load_sequences(calibration, model.channels)
        graph = graph_of(model, frames)
    held = channel_resolutions(graph, frames)
    path = folder / "model.qgraph"
    save_quantized(path, graph, held, reference_errors(graph), force=force)
    return graph


def graph_of(model: Imported, frames: np.ndarray) -> QGraph:
    """Return the integer graph of an imported model; see module.quantize_module.

    Args:
        model: See imported.load_imported.
        frames: Calibration, (N, T, channels) real, each sequence from a reset.
    """
    card, inputs = model.card, model.inputs(frames)
    data = frames if card.dt else inputs
    dt: Literal["input"] | None = None if card.dt else "input"
    return quantize_module(model.module, data, name=card.name, dt=dt, facts=_facts(card))


def graph_of_scales(model: Imported, frames: np.ndarray) -> QGraph:
    """Return the integer graph of a model that its file quantizes, in the ranges of the file.

    A symmetric int8 tensor keeps its scale, one behind a ReLU its scale and its zero point below;
    any other keeps its range. Where a value stays int16 (a sum, an output) it has more bits.

    Args:
        model: Of a file with QuantizeLinear and DequantizeLinear around its values.
        frames: See drawn_frames; the proof and the error against the float model are on them.

    Raises:
        QuantizationError: The file gives no range to a value that needs one; names its node.
    """
    card = model.card
    ranges = {row.name: (row.range[0], row.range[1]) for row in card.layers if row.range}
    bound = max(abs(n) for n in card.form.range)
    scale = bound * HEADROOM / 32767
    frame = QTensor("frame", (model.channels,), "int16", scale, role="input")
    facts = {**_facts(card), "scales": "of the file"}
    return quantize_module(
        model.module, frames, name=card.name, frame=frame, ranges=ranges, facts=facts
    )


def has_scales(folder: Path) -> bool:
    """Return whether a folder holds an imported model that its file quantizes."""
    card = read_card(folder)
    form = card.get("form") if card is not None and kind_of(card) == "imported" else None
    return isinstance(form, dict) and bool(form.get("range"))


def drawn_frames(folder: Path, model: Imported) -> np.ndarray:
    """Return frames (N, T, channels) over all of the input's range, for a model with scales.

    Raises:
        UsageError: Its file has none.
    """
    form = model.card.form
    if not form.range or not any(row.range for row in model.card.layers):
        raise UsageError(
            f"{folder} holds an imported model without scales of its own; give --calibration X.npy"
        )
    sequences, frames = DRAWN
    shape = (sequences, max(frames, 4 * form.window), model.channels)
    low, high = form.range
    drawn: np.ndarray = np.random.default_rng(0).uniform(low, high, shape)
    return drawn


def _facts(card: ImportCard) -> dict[str, object]:
    return {
        "layers": [row.kind for row in card.layers],
        "dt": card.dt or "input",
        "source": card.source,
        "source_sha256": card.source_sha256,
        "weights_sha256": card.weights_sha256,
    }

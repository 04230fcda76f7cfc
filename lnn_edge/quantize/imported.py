"""Imported model -> integer graph, on sequences of frames from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from lnn_edge.data.npy import load_sequences
from lnn_edge.graph.fidelity import channel_resolutions, reference_errors
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.imported import Imported, load_imported
from lnn_edge.quantize.module import quantize_module
from lnn_edge.quantize.trained import save_quantized


def quantize_imported(folder: Path, calibration: Path, *, force: bool = False) -> QGraph:
    """Quantize the imported model in a folder; write its model.qgraph and quantize.json.

    Args:
        folder: As `lnn-edge import` writes it.
        calibration: .npy file of sequences, see npy.load_sequences.
        force: Whether to replace another graph.

    Raises:
        DataError: A file is missing, damaged or does not fit.
        UsageError: Another graph is there.
        LayerError, QuantizationError: See module.quantize_module.
    """
    model = load_imported(folder)
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
    facts = {
        "layers": [row.kind for row in card.layers],
        "dt": card.dt or "input",
        "source": card.source,
        "source_sha256": card.source_sha256,
        "weights_sha256": card.weights_sha256,
    }
    data = frames if card.dt else inputs
    dt: Literal["input"] | None = None if card.dt else "input"
    return quantize_module(model.module, data, name=card.name, dt=dt, facts=facts)

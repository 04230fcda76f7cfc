"""Cell model -> integer graph: calibration on sequences of frames, then lowering."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from lnn_edge.cell_folder import load_cell
from lnn_edge.errors import QuantizationError
from lnn_edge.finite import check_finite
from lnn_edge.formats import Ranges
from lnn_edge.graph import QGraph
from lnn_edge.graphio import save_graph
from lnn_edge.networks.cell_model import CellModel, channel_name
from lnn_edge.quantize import Calibration
from lnn_edge.sequences import load_sequences
from lnn_edge.trained import one_thread


def quantize_cell_folder(folder: Path, calibration: Path) -> QGraph:
    """Quantize the cell model in a folder and write its model.qgraph.

    Args:
        folder: As `lnn-edge import` writes it.
        calibration: .npy file of sequences, see sequences.load_sequences.

    Raises:
        DataError: A file is missing, damaged or does not fit.
        QuantizationError: See quantize_cell.
    """
    model, card = load_cell(folder)
    frames = load_sequences(calibration, model.frame.channels)
    metadata = {
        "cell": card.cell,
        "dt": card.dt or "input",
        "source": card.source,
        "source_sha256": card.source_sha256,
        "weights_sha256": card.weights_sha256,
    }
    graph = quantize_cell(model, "cell", frames, metadata)
    save_graph(graph, folder / "model.qgraph")
    return graph


def quantize_cell(
    model: CellModel, name: str, frames: np.ndarray, metadata: Mapping[str, object]
) -> QGraph:
    """Return the integer graph of a cell model.

    Args:
        model: Model.
        name: C prefix.
        frames: (N, T, C) real, sequences that each start from a reset.
        metadata: What a user of the outputs must know.

    Raises:
        QuantizationError: Frames do not fit the model or are not finite, dt is not positive, or a
            tensor has no range.
    """
    _check(model, frames)
    return model.lower(name, calibrate_cell(model, frames), metadata)


def calibrate_cell(model: CellModel, frames: np.ndarray) -> Ranges:
    """Return the ranges of the model's tensors and channels on sequences (N, T, C)."""
    calibration = Calibration()
    dtype = next(model.parameters()).dtype
    with torch.no_grad(), one_thread():
        model(torch.from_numpy(frames).to(dtype), calibration.tap)
    for index in range(model.frame.size):
        calibration.tap(channel_name(index), torch.from_numpy(frames[..., index]))
    ranges = dict(calibration.ranges())
    if model.frame.dt is None:  # tails are cut off what saturates rarely; time must not be cut
        elapsed = frames[..., -1]
        ranges[channel_name(model.frame.size)] = float(elapsed.min()), float(elapsed.max())
    return ranges


def _check(model: CellModel, frames: np.ndarray) -> None:
    channels = model.frame.channels
    if frames.ndim != 3 or frames.shape[-1] != channels or frames.size == 0:
        last = ", the last of them dt in seconds" if model.frame.dt is None else ""
        raise QuantizationError(
            f"calibration data has shape {frames.shape}, needed is (N, T, {channels}): "
            f"{channels} channels{last}"
        )
    check_finite("calibration data", frames, "remove or fill them", QuantizationError)
    elapsed = frames[..., -1]
    if model.frame.dt is None and (elapsed.min() < 0 or elapsed.max() == 0):
        raise QuantizationError(
            "the last channel, dt in seconds, is negative or 0 throughout; needed are positive ones"
        )

"""Cell model -> integer graph: calibration on sequences of frames, then lowering."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lnn_edge.data.npy import load_sequences
from lnn_edge.errors import QuantizationError
from lnn_edge.files.finite import check_finite
from lnn_edge.graph.fidelity import channel_resolutions, output_error
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.ranges import choose_ranges, require_finite, some_frames
from lnn_edge.graph.scales import Ranges
from lnn_edge.graph.sim import interpreter
from lnn_edge.nn.cell_folder import load_cell
from lnn_edge.nn.cell_model import CellModel, run_real
from lnn_edge.nn.threads import one_thread
from lnn_edge.quantize.observe import Calibration
from lnn_edge.quantize.trained import save_quantized


def quantize_cell_folder(folder: Path, calibration: Path, *, force: bool = False) -> QGraph:
    """Quantize the cell model in a folder; write its model.qgraph and quantize.json.

    Args:
        folder: As `lnn-edge import` writes it.
        calibration: .npy file of sequences, see sequences.load_sequences.
        force: Whether to replace another graph.

    Raises:
        DataError: A file is missing, damaged or does not fit.
        UsageError: Another graph is there.
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
    some = some_frames(frames)
    error = output_error(_run_integers(graph, some), run_real(model, some))
    resolutions = channel_resolutions(graph, frames)
    save_quantized(folder / "model.qgraph", graph, resolutions, error, force=force)
    return graph


def _run_integers(graph: QGraph, frames: np.ndarray) -> np.ndarray:
    """Return the integers' outputs (N, T, O) in real units on frames (N, T, C)."""
    stage, output = graph.deciding_stage, graph.output
    window = graph.frame.quantize(frames).swapaxes(0, 1)[:, :, None]
    state = interpreter.initial_state(stage, (len(frames),))
    values, _ = interpreter.run_sequence(
        stage, {stage.inputs[0].name: window}, state, (output.name,)
    )
    outputs: np.ndarray = output.dequantize(values[output.name].swapaxes(0, 1))
    return outputs


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
    """Return the ranges of the model's tensors and channels on sequences (N, T, C).

    Tensors inside are observed on what the integers hold of the channels.
    """
    calibration = Calibration()
    dtype = next(model.parameters()).dtype
    with one_thread():
        channels = choose_ranges(partial(run_real, model), frames, model.channels)
        formats = [c.format(channels[c.name]) for c in model.channels]
        limits = np.array([t.dequantize([t.qmin, t.qmax]) for t in formats]).T
        with torch.no_grad():
            outputs = model(torch.from_numpy(frames.clip(*limits)).to(dtype), calibration.tap)
    require_finite(outputs.numpy())
    return {**calibration.ranges(), **channels}


def _check(model: CellModel, frames: np.ndarray) -> None:
    channels = model.frame.channels
    if frames.ndim != 3 or frames.shape[-1] != channels or frames.size == 0:
        last = ", the last of them dt in seconds" if model.frame.dt is None else ""
        raise QuantizationError(
            f"calibration data has shape {frames.shape}, needed is (N, T, {channels}): "
            f"{channels} channels{last}"
        )
    largest = np.abs(frames[np.isfinite(frames)]).max(initial=0)
    if largest > np.finfo(np.float32).max:
        raise QuantizationError(
            f"calibration data holds {largest:.3g}, more than the model can take; remove it"
        )
    check_finite("calibration data", frames, "remove or fill them", QuantizationError)
    elapsed = frames[..., -1]
    if model.frame.dt is None and (elapsed.min() < 0 or elapsed.max() == 0):
        raise QuantizationError(
            "the last channel, dt in seconds, is negative or 0 throughout; needed are positive ones"
        )

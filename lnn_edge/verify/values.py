"""A model of values on sequences of real frames: every bit of it, and its error in real numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lnn_edge.build.project import Project
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.errors import VerificationError
from lnn_edge.graph.fidelity import channel_resolutions, output_error, warnings
from lnn_edge.nn.cell_files import is_cell_folder
from lnn_edge.verify.verify import Signal, Verification, verify_signals

Runs = Sequence[Sequence[ResultRecord]]


def verify_values(
    project: Project,
    spec: str,
    frames: np.ndarray,
    on_step: Callable[[], None] = lambda: None,
) -> Verification:
    """Verify a built project on sequences, each from a reset; see verify.verify_signals.

    Args:
        project: Of a model that decides on every frame.
        spec: Runner, see runners.make_runner.
        frames: (N, T, C) in real units; what the frame's format does not hold saturates.
        on_step: Called after each decision.

    Returns:
        The verification, with float_error (rmse and max_abs of the device's outputs against the
        model in real numbers) where the project holds that model, and warnings.

    Raises:
        VerificationError: The model takes something else.
    """
    graph = project.graph
    if graph.classes or frames.shape[-1] != graph.frame.size:
        raise VerificationError(
            f"model {graph.name} takes recordings, or frames of {graph.frame.size} channels; the "
            f"input has {frames.shape[-1]}: give what this model was made for"
        )
    quantized = graph.frame.quantize(frames).astype(np.int16)
    signals = [Signal(f"sequence {i}", sequence) for i, sequence in enumerate(quantized)]
    runs: list[Runs] = []
    result = verify_signals(project, spec, signals, on_step, runs.append)
    error = None
    if is_cell_folder(project.folder / "float"):
        error = _float_error(project, frames, runs[0])
    return replace(result, float_error=error, resolution_warnings=_warnings(project, frames, error))


def _warnings(
    project: Project, frames: np.ndarray, error: dict[str, float] | None
) -> tuple[str, ...]:
    held = channel_resolutions(project.graph, frames)
    outside = round(sum(r.clipped for r in held) * frames[..., 0].size)
    told = (
        f"{outside} of {frames.size} values are outside the range of the calibration data and "
        "saturate"
    )
    return (*((told,) if outside else ()), *warnings(held, error))


def _float_error(project: Project, frames: np.ndarray, runs: Runs) -> dict[str, float]:
    """Compare the decisions with the same steps of the model in real numbers."""
    from lnn_edge.nn.cell_folder import load_cell
    from lnn_edge.nn.cell_model import run_real

    model, _ = load_cell(project.folder / "float")
    wanted = run_real(model, frames)
    pairs = [(r, e[r.stamp]) for run, e in zip(runs, wanted, strict=True) for r in run]
    got = project.graph.output.dequantize(np.array([r.outputs for r, _ in pairs]))
    real = np.array([expected for _, expected in pairs])
    return output_error(got, real)

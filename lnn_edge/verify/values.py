"""A model on sequences of real frames: every bit of it, and its error in real numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lnn_edge.build.project import Project
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.errors import VerificationError
from lnn_edge.graph.fidelity import channel_resolutions, error_warnings, output_errors, warnings
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.cell_files import is_cell_folder
from lnn_edge.verify.verify import OutputCheck, Signal, Verification, verify_signals

Runs = Sequence[Sequence[ResultRecord]]


def verify_reference(
    project: Project, spec: str, on_step: Callable[[], None] = lambda: None
) -> Verification:
    """Verify a project on the sequences of its reference; see verify_values.

    Raises:
        VerificationError: The project holds none.
    """
    graph, reference = project.graph, project.graph.reference
    if reference is None:
        raise VerificationError(f"{project.folder} holds no reference; give sequences of frames")
    signals = [
        Signal(f"sequence {i}", graph.frame.quantize(frames).astype(np.int16))
        for i, frames in enumerate(reference.frames)
    ]
    runs: list[Runs] = []
    result = verify_signals(project, spec, signals, on_step, runs.append)
    got = np.array([record.outputs for run in runs[0] for record in run])
    wanted = np.concatenate(reference.outputs)
    if len(got) != len(wanted):
        raise VerificationError(
            f"the reference holds {len(wanted)} decisions, the device made {len(got)}; quantize "
            "the model again"
        )
    errors = output_errors(graph, got, wanted)
    checks = tuple(replace(c, float_error=errors[c.output.name]) for c in result.outputs)
    told = _warnings(graph, np.concatenate(reference.frames), checks)
    return replace(result, outputs=checks, resolution_warnings=told)


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
        The verification, with float_error (rmse and max_abs of each of the device's outputs against
        the model in real numbers) where the project holds that model, and warnings.

    Raises:
        VerificationError: The model takes something else.
    """
    graph = project.graph
    if takes_recordings(graph) or frames.shape[-1] != graph.frame.size:
        raise VerificationError(
            f"model {graph.name} takes recordings, or frames of {graph.frame.size} channels; the "
            f"input has {frames.shape[-1]}: give what this model was made for"
        )
    quantized = graph.frame.quantize(frames).astype(np.int16)
    signals = [Signal(f"sequence {i}", sequence) for i, sequence in enumerate(quantized)]
    runs: list[Runs] = []
    result = verify_signals(project, spec, signals, on_step, runs.append)
    if is_cell_folder(project.folder / "float"):
        errors = _float_errors(project, frames, runs[0])
        checks = (replace(c, float_error=errors[c.output.name]) for c in result.outputs)
        result = replace(result, outputs=tuple(checks))
    return replace(result, resolution_warnings=_warnings(graph, frames, result.outputs))


def takes_recordings(graph: QGraph) -> bool:
    """Tell whether a model is fed samples of recordings of its task, and not real values."""
    contract = graph.contract
    return bool(graph.classes) and (contract.task is not None or contract.adc_gain is not None)


def _warnings(graph: QGraph, frames: np.ndarray, outputs: Sequence[OutputCheck]) -> tuple[str, ...]:
    held = channel_resolutions(graph, frames)
    outside = round(sum(r.clipped for r in held) * frames[..., 0].size)
    told = (
        f"{outside} of {frames.size} values are outside the range of the calibration data and "
        "saturate"
    )
    lost = [
        sentence
        for check in outputs
        for sentence in error_warnings(check.float_error, check.output.name if graph.heads else "")
    ]
    return (*((told,) if outside else ()), *warnings(held, None), *lost)


def _float_errors(project: Project, frames: np.ndarray, runs: Runs) -> dict[str, dict[str, float]]:
    """Compare the decisions with the same steps of the model in real numbers."""
    from lnn_edge.nn.cell_folder import load_cell
    from lnn_edge.nn.cell_model import run_real

    model, _ = load_cell(project.folder / "float")
    wanted = run_real(model, frames)
    pairs = [(r, e[r.stamp]) for run, e in zip(runs, wanted, strict=True) for r in run]
    got = np.array([r.outputs for r, _ in pairs])
    return output_errors(project.graph, got, np.array([expected for _, expected in pairs]))

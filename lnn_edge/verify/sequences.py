"""Verifies a model on sequences of frames: every bit, and its error against the float model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from lnn_edge.build.project import Project
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.errors import VerificationError
from lnn_edge.graph.fidelity import channel_resolutions, error_warnings, output_errors, warnings
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.beside import imported_outputs
from lnn_edge.tasks.model_input import takes_recordings
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.result import OutputCheck, Verification
from lnn_edge.verify.verify import verify_signals

Runs = Sequence[Sequence[ResultRecord]]


def verify_sequences(
    project: Project,
    spec: str,
    frames: np.ndarray | None = None,
    on_frames: Callable[[int], None] = lambda _: None,
    until: ExitStack | None = None,
) -> Verification:
    """Verify a project on sequences of frames, each from a reset; see verify.verify_signals.

    Args:
        project: It is built first, unless a fresh build lies there.
        spec: Runner, see runners.make_runner.
        frames: (N, T, C) or (T, C) in real units; what the frame's format does not hold saturates.
            None takes those of the reference, on which the model was calibrated.
        on_frames: Called with the frames that the device has taken since the call before.
        until: See verify.verify_signals.

    Returns:
        The verification, with float_error (rmse and max_abs of each of the device's outputs
        against the float model) where the project holds the reference or an imported
        model, and warnings.

    Raises:
        VerificationError: The model takes something else, or there is no reference.
    """
    sequences, wanted = _asked(project, frames)
    graph = project.graph
    signals = [
        Signal(f"sequence {i}", graph.frame.quantize(x).astype(np.int16))
        for i, x in enumerate(sequences)
    ]
    runs: list[Runs] = []
    result = verify_signals(project, spec, signals, on_frames, runs.append, until)
    if wanted is not None:
        errors = _errors(graph, runs[0], np.concatenate(wanted))
        checks = (replace(c, float_error=errors[c.output.name]) for c in result.outputs)
        result = replace(result, outputs=tuple(checks))
    told = _warnings(graph, np.concatenate(sequences), result.outputs)
    return replace(result, resolution_warnings=told)


def _asked(
    project: Project, frames: np.ndarray | None
) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray] | None]:
    """Return sequences (T, C), and the outputs (D, K) of the float model where it is there."""
    graph, reference = project.graph, project.graph.reference
    if frames is None:
        if reference is None or not reference.frames:
            raise VerificationError(
                f"{project.folder} holds no reference; give sequences of frames, --input X.npy"
            )
        return reference.frames, reference.outputs
    if takes_recordings(graph) or frames.shape[-1] != graph.frame.size:
        raise VerificationError(
            f"model {graph.name} takes recordings, or frames of {graph.frame.size} channels; the "
            f"input has {frames.shape[-1]}: give what this model was made for"
        )
    frames = frames if frames.ndim == 3 else frames[None]
    wanted = imported_outputs(project.floats, graph, frames)
    return list(frames), None if wanted is None else list(wanted)


def _errors(graph: QGraph, runs: Runs, wanted: np.ndarray) -> dict[str, dict[str, float]]:
    got = np.array([record.outputs for run in runs for record in run])
    if len(got) != len(wanted):
        raise VerificationError(
            f"the float model makes {len(wanted)} decisions, the device made {len(got)}; "
            "quantize the model again"
        )
    return output_errors(graph, got, wanted)


def _warnings(graph: QGraph, frames: np.ndarray, outputs: Sequence[OutputCheck]) -> tuple[str, ...]:
    """Return what must be known of frames (N, C) and of the outputs on them."""
    held = channel_resolutions(graph, frames)
    outside = round(sum(r.clipped for r in held) * len(frames))
    told = (
        f"{outside} of {frames.size} values are outside the range of the calibration data and "
        "saturate"
    )
    lost = [
        sentence
        for check in outputs
        for sentence in error_warnings(check.float_error, check.output.name if graph.heads else "")
    ]
    return (*((told,) if outside else ()), *warnings(held), *lost)

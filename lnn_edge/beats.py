"""Recordings -> sequences of beats, prepared by the graph's own integer operators. No torch here.

Training, calibration and evaluation take their inputs from here, so there is one preprocessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge import sim
from lnn_edge.data.recording import Recording
from lnn_edge.ir import Stage, event_trigger
from lnn_edge.sim import Values
from lnn_edge.stream import event_inputs


@dataclass(frozen=True)
class BeatSequence:
    """The decided beats of one recording.

    Attributes:
        name: Name of the recording.
        patient: Who was recorded.
        stamps: (B,) int64 sample indices.
        labels: (B,) int64 class indices, -1 where a beat is not scored.
        values: Wanted tensors by name, (B, *shape) int64.
    """

    name: str
    patient: str
    stamps: np.ndarray
    labels: np.ndarray
    values: Values


def run_beats(
    stage: Stage, recordings: Sequence[Recording], wanted: tuple[str, ...]
) -> list[BeatSequence]:
    """Run an event stage over recordings, each from a reset, all side by side.

    Args:
        stage: A stage with an EventTrigger; a whole model or only its front end.
        recordings: In the contract of the model (rate, gain, leads).
        wanted: Names of the tensors to return.

    Raises:
        GraphError: The stage does not fire on events.
    """
    trigger = event_trigger(stage)
    fed = [event_inputs(trigger, r.adc, r.beats) for r in recordings]
    lengths = [len(index) for index, _ in fed]
    padded = {t.name: _pad([x[t.name] for _, x in fed], max(lengths)) for t in stage.inputs}
    state = sim.initial_state(stage, (len(recordings),))
    inside = tuple(name for name in wanted if name not in padded)
    values, _ = sim.run_sequence(stage, padded, state, inside)
    values |= {name: padded[name] for name in wanted if name in padded}
    return [
        BeatSequence(
            r.name,
            r.patient,
            r.beats[index],
            r.labels[index].astype(np.int64),
            {name: v[: len(index), i] for name, v in values.items()},
        )
        for i, (r, (index, _)) in enumerate(zip(recordings, fed, strict=True))
    ]


def _pad(arrays: list[np.ndarray], length: int) -> np.ndarray:
    """Stack (B_i, *shape) arrays to (length, N, *shape), the last entry repeated."""
    slots = np.arange(length)
    return np.stack([a[np.minimum(slots, len(a) - 1)] for a in arrays], axis=1)

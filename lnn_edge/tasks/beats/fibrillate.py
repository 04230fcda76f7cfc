"""Copies of recordings whose rhythm fibrillates for long stretches: V is told by its shape there.

Few patients of the usual databases fibrillate, and by their intervals a network learns those few
by heart. In a copy every beat keeps window and shape, and stretches of the rhythm are drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.sim.batch import pad
from lnn_edge.graph.stage import EventTrigger, Stage, event_trigger
from lnn_edge.tasks.augmentation import Prepared

SHORTEST = 20  # beats of a stretch
FIBRILLATES, RESTS = 200, 80  # mean beats of a stretch beyond SHORTEST
BEGINS_SO = 0.7  # chance that a copy begins fibrillating
FASTER = (0.75, 1.0)  # mean RR of a stretch over the recording's median: rarely slower
SPREAD = (0.25, 0.6)  # standard deviation of log2 RR
RANGE_S = (0.25, 2.2)  # of RR
SETTLING = 60  # first beats of a stretch, where nothing tells it from early beats


@dataclass(frozen=True)
class Rhythm:
    """Intervals of a recording, drawn anew in part.

    Attributes:
        dt: (D,) RR intervals before each beat in seconds.
        since: (D,) beats since a stretch began, from 1 on; 0 where nothing fibrillates.
    """

    dt: np.ndarray
    since: np.ndarray


def fibrillating(
    front: Pipeline, classes: Sequence[str], recordings: Sequence[Prepared], seed: int
) -> list[Prepared]:
    """Return labels, rhythm and dt of a copy of each recording; windows and shapes are its own.

    In a stretch that fibrillates S is not told from N, and at its begin neither is N: these labels
    become -1. The new rhythm comes of the front end's own operators.

    Args:
        front: Of the network: decides on events, by "dt" and "rhythm".
        classes: Of the labels.
        recordings: As the front end has prepared them.
        seed: Of what is drawn.

    Raises:
        UsageError: The classes are not those of beats.
    """
    if not {"N", "S"} <= set(classes):
        raise UsageError(
            f"[augmentation] fibrillating needs beats of the classes N and S, not of "
            f"{', '.join(classes)}; it must be 0"
        )
    stage = _rhythm_alone(front.deciding_stage)
    trigger, rng = event_trigger(stage), np.random.default_rng(seed)
    made = [draw(values["dt"][:, 0] * trigger.dt.scale, rng) for _, values in recordings]
    given = [_intervals(trigger, rhythm.dt) for rhythm in made]
    most = max(len(rhythm.dt) for rhythm in made)
    padded = {name: pad([x[name] for x in given], most) for name in given[0]}
    state = interpreter.initial_state(stage, (len(made),))
    found, _ = interpreter.run_sequence(stage, padded, state, ("rhythm",))
    early, usual = classes.index("S"), classes.index("N")
    copies = []
    for i, ((labels, values), rhythm) in enumerate(zip(recordings, made, strict=True)):
        is_lost = (rhythm.since > 0) & (labels == early)
        is_lost |= (rhythm.since > 0) & (rhythm.since <= SETTLING) & (labels == usual)
        own = {"dt": given[i][trigger.dt.name], "rhythm": found["rhythm"][: len(labels), i]}
        own = {name: x.astype(values[name].dtype) for name, x in own.items()}
        copies.append((np.where(is_lost, -1, labels), own))
    return copies


def draw(dt: np.ndarray, rng: np.random.Generator) -> Rhythm:
    """Return the rhythm of a copy: log2 RR is normal where it fibrillates, beat by beat.

    Args:
        dt: (D,) own RR intervals in seconds.
        rng: By which stretches and intervals are drawn.
    """
    made, since = dt.astype(float), np.zeros(len(dt), np.int64)
    usual, is_on, start = float(np.median(dt)), rng.random() < BEGINS_SO, 0
    while start < len(dt):
        mean = FIBRILLATES if is_on else RESTS
        stop = min(len(dt), start + SHORTEST + int(rng.geometric(1 / mean)))
        if is_on:
            octaves = rng.uniform(*SPREAD) * rng.standard_normal(stop - start)
            made[start:stop] = (usual * rng.uniform(*FASTER) * 2**octaves).clip(*RANGE_S)
            since[start:stop] = np.arange(1, stop - start + 1)
        start, is_on = stop, not is_on
    made[0] = dt[0]  # after a reset nothing is known of an interval
    return Rhythm(made, since)


def _intervals(trigger: EventTrigger, dt_s: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the trigger writes of intervals, (D, 1) each; after the last one it waits."""
    dt = np.rint(dt_s / trigger.dt.scale).astype(np.int64)
    given = {trigger.dt.name: dt.clip(trigger.dt.qmin, trigger.dt.qmax)[:, None]}
    if trigger.dt_next is not None:
        after = np.minimum(np.append(dt[1:], trigger.wait), trigger.wait)
        given[trigger.dt_next.name] = after.clip(trigger.dt_next.qmin, trigger.dt_next.qmax)[
            :, None
        ]
    return given


def _rhythm_alone(stage: Stage) -> Stage:
    """Return the stage with what leads to the rhythm, and nothing else."""
    (rhythm,) = (t for t in stage.outputs if t.name == "rhythm")
    needed, known = {rhythm.name}, 0
    while len(needed) > known:
        known = len(needed)
        needed |= {s.update.name for s in stage.states if s.tensor.name in needed}
        needed |= {t.name for op in _making(stage, needed) for t in op.inputs}
    states = tuple(s for s in stage.states if s.tensor.name in needed)
    ops = _making(stage, needed)
    return replace(stage, ops=ops, states=states, outputs=(rhythm,), probes=())


def _making(stage: Stage, names: set[str]) -> tuple[AbstractOp, ...]:
    """Return the operators that write one of these tensors."""
    return tuple(op for op in stage.ops if any(t.name in names for t in op.outputs))

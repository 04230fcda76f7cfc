"""An integer model over recordings: its own C where this machine compiles it, else simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lnn_edge.build.native import NativeModel, load_native
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import DecisionSequence, LabelledSignal, chunks, run_decisions

Engine = Literal["c", "simulator"]
WORDS: dict[Engine, str] = {"c": "generated C, compiled for this machine", "simulator": "simulator"}
_WORTH_COMPILING = 250_000  # samples; fewer are simulated before a compiler has started


@dataclass(frozen=True)
class Decisions:
    """What an integer model decides; both engines give the same bits.

    Attributes:
        sequences: Of each recording; their values hold the graph's output.
        engine: Which ran; "simulator" where it ran for any of the recordings.
    """

    sequences: list[DecisionSequence]
    engine: Engine


def decide(graph: QGraph, recordings: Sequence[LabelledSignal]) -> Decisions:
    """Run a model over recordings, each from a reset, a few of them in memory at a time."""
    sequences: list[DecisionSequence] = []
    native: NativeModel | None = None
    engine: Engine = "c"
    for chunk in chunks(recordings):
        if native is None and sum(r.frames.size for r in chunk) >= _WORTH_COMPILING:
            native = load_native(graph)
        done = [native and _decide_natively(native, r) for r in chunk]
        left = [r for r, d in zip(chunk, done, strict=True) if d is None]
        if left:
            engine = "simulator"
        simulated = iter(run_decisions(graph, left, (graph.output.name,)) if left else ())
        sequences += [d or next(simulated) for d in done]
    return Decisions(sequences, engine)


def _decide_natively(native: NativeModel, recording: LabelledSignal) -> DecisionSequence | None:
    decided = native.decide(recording.frames, recording.events)
    if decided is None:
        return None
    stamps, outputs = decided
    values: dict[str, np.ndarray] = {native.graph.output.name: outputs}
    labels = recording.labels_at(stamps)
    return DecisionSequence(recording.name, recording.patient, stamps, labels, values)

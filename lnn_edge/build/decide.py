"""An integer model over recordings: its own C where this machine compiles it, else simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lnn_edge.build.native import CModel, load_native
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.sim.predict import (
    DecisionSequence,
    LabelledSignal,
    chunks,
    labelled,
    run_records,
)

Engine = Literal["c", "simulator"]
WORDS: dict[Engine, str] = {"c": "generated C, compiled for this machine", "simulator": "simulator"}
_WORTH_COMPILING = 250_000  # samples; fewer are simulated before a compiler has started
_WORTH_WITH_FILTERS = 40_000  # where every sample is processed by itself


@dataclass(frozen=True)
class Decisions:
    """What an integer model decides; both engines give the same bits.

    Attributes:
        sequences: Of each recording; their values hold the graph's output.
        engine: Which ran; "simulator" where it ran for any of the recordings.
    """

    sequences: list[DecisionSequence]
    engine: Engine


class Runner:
    """Runs one model over recordings: by its C once there is enough to do, else simulated.

    Attributes:
        graph: The model.
        engine: Which ran so far, see Decisions.
    """

    def __init__(self, graph: QGraph) -> None:
        self.graph = graph
        self.engine: Engine = "c"
        self._native: CModel | None = None
        self._worth = _WORTH_WITH_FILTERS if graph.stages[0].ops else _WORTH_COMPILING

    def run(
        self, records: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return stamps (D,) and outputs (D, K) int64 of each recording, from a reset.

        Args:
            records: Frames (N, C) int16 and stamps of events (M,).
        """
        if self._native is None and sum(frames.size for frames, _ in records) >= self._worth:
            self._native = load_native(self.graph)
        done = [self._native and _decide(self._native, *record) for record in records]
        left = [r for r, d in zip(records, done, strict=True) if d is None]
        if left:
            self.engine = "simulator"
        name = self.graph.output.name
        simulated = iter(run_records(self.graph, left, (name,)) if left else ())
        return [d or _output(next(simulated), name) for d in done]


def _decide(
    native: CModel, frames: np.ndarray, events: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what the C decides; None where its queue was too short for the recording."""
    decided, counters = native.run(frames, events), native.counters
    return None if counters.event_overflows or counters.events_rejected else decided


def _output(run: tuple[np.ndarray, Values], name: str) -> tuple[np.ndarray, np.ndarray]:
    stamps, values = run
    return stamps, values[name]


def decide(graph: QGraph, recordings: Sequence[LabelledSignal]) -> Decisions:
    """Run a model over recordings, each from a reset, a few of them in memory at a time."""
    runner, name = Runner(graph), graph.output.name
    sequences: list[DecisionSequence] = []
    for chunk in chunks(recordings):
        runs = runner.run([(r.frames, r.events) for r in chunk])
        sequences += [
            labelled(graph, r, stamps, {name: outputs})
            for r, (stamps, outputs) in zip(chunk, runs, strict=True)
        ]
    return Decisions(sequences, runner.engine)

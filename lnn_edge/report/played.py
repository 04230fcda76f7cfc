"""The reference sequences of a model without a task: its integers beside forward's numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import run_records
from lnn_edge.report.liquid import Values
from lnn_edge.report.predictions import seen_in

MOST_PLAYED = 2


@dataclass(frozen=True, eq=False)
class Played:
    """One sequence.

    Attributes:
        name: For people.
        frames: (N, C) in real units.
        stamps: (D,) frames of the decisions.
        outputs: (D, K) of the integers, in real units.
        wanted: (D, K) of the float model.
        values: See Prediction.
    """

    name: str
    frames: np.ndarray
    stamps: np.ndarray
    outputs: np.ndarray
    wanted: np.ndarray
    values: Values


def play(graph: QGraph) -> tuple[Played, ...]:
    """Run a model over the first sequences of its reference."""
    reference = graph.reference
    if reference is None or graph.takes_events or not reference.frames:
        return ()
    frames, name = reference.frames[:MOST_PLAYED], graph.output.name
    quantized = [graph.frame.quantize(f).astype(np.int16) for f in frames]
    names = tuple(dict.fromkeys((name, *seen_in(graph))))
    runs = run_records(graph, [(q, np.zeros(0, np.int64)) for q in quantized], names)
    return tuple(
        Played(
            f"calibration sequence {i + 1}",
            given,
            stamps[: len(wanted)],
            graph.output.dequantize(values[name])[: len(wanted)],
            wanted[: len(stamps)],
            {k: v[: len(wanted)] for k, v in values.items()},
        )
        for i, (given, wanted, (stamps, values)) in enumerate(
            zip(frames, reference.outputs, runs, strict=False)
        )
    )

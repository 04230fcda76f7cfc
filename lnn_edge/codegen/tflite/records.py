"""The records on which a model in TFLite is scaled and compared, and what 32 bits need there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lnn_edge.codegen.tflite.kernels import has_kernels
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.batch import run_tensors
from lnn_edge.graph.sim.predict import run_records
from lnn_edge.graph.stage import EventTrigger

Record = tuple[np.ndarray, np.ndarray]
"""Frames (N, C) int16 and stamps of events (M,)."""

FRAMES = 50_000  # of all records together
_NOISE = 2_000  # frames where there is no record
_ROOM = 2  # times the largest that was seen


def records_of(graph: QGraph, given: Sequence[Record]) -> list[Record]:
    """Return the first FRAMES of records; without any, of the model's reference, or noise."""
    left, chosen = FRAMES, list[Record]()
    for frames, events in given or _own(graph):
        part = frames[:left]
        left -= len(part)
        if len(part):
            chosen.append((part, events[events < len(part)]))
    return chosen


def _own(graph: QGraph) -> list[Record]:
    none = np.zeros(0, np.int64)
    reference = graph.reference
    if reference is not None and reference.frames:
        return [(graph.frame.quantize(x).astype(np.int16), none) for x in reference.frames]
    rng, shape = np.random.default_rng(0), (_NOISE, graph.frame.size)
    low, high = graph.frame.qmin, graph.frame.qmax
    trigger, events = graph.deciding_trigger, none
    if isinstance(trigger, EventTrigger) and trigger.source is None:
        events = np.arange(trigger.pre, _NOISE - trigger.post, trigger.pre + trigger.post)
    return [(rng.integers(low, high, shape, endpoint=True).astype(np.int16), events)]


def seen_in(graph: QGraph, records: Sequence[Record]) -> dict[str, int]:
    """Return the magnitude that tensors need whose range is that of 32 bits, by name.

    Such a range is that of an accumulator or a memory, and says nothing of its values.
    """
    open_ended = [
        t
        for stage in graph.stages
        for op in stage.ops
        if has_kernels(op)
        for t in op.outputs
        if t.dtype == "int32" and t.qmax == RANGES["int32"][1]
    ]
    if not open_ended:
        return {}
    if isinstance(graph.deciding_trigger, EventTrigger):
        names = {t.name for op in graph.deciding_stage.ops for t in op.outputs}
        inside = tuple(t.name for t in open_ended if t.name in names)
        runs = [values for _, values in run_records(graph, records, inside)] if inside else []
    else:
        runs = run_tensors(graph, [frames for frames, _ in records])
    states = {s.update.name: s.tensor.name for s in graph.states}
    seen: dict[str, int] = {}
    for tensor in open_ended:
        values = [run[tensor.name] for run in runs if tensor.name in run]
        most = max((int(np.abs(v.astype(np.int64)).max(initial=1)) for v in values), default=0)
        if most:
            for name in (tensor.name, states.get(tensor.name, tensor.name)):
                seen[name] = _ROOM * most
    return seen

"""A model of beats that judges the signal of each decision, in an output beside its scores."""

from __future__ import annotations

from dataclasses import replace

from lnn_edge.errors import UsageError
from lnn_edge.graph.flaws import OUTPUT
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Concat
from lnn_edge.graph.ops.signal_quality import MOST_BITS, SignalQuality
from lnn_edge.graph.ops.window import Decimate
from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EventTrigger, Stage

FLAT_MV = 0.03  # DS1 and svdb: no channel of any beat stays within it
QRS_S = (0.083, 0.1)  # before the R peak, and from it on
NOISE = 0.095  # mean second difference beside the QRS, of its range: 0.2 % of DS1, 0.5 % of svdb
"""Chosen on DS1 and svdb, where most beats should be good, and on DS1 with muscle noise."""
LEAST_BESIDE = 8  # frames before and after the QRS


def with_quality(graph: QGraph, rails: tuple[int, int]) -> QGraph:
    """Return a model with one output more, what is wrong with the signal; see SignalQuality.

    It is computed from the same window at the same rate as the scores, and changes none of them.

    Args:
        graph: A model of beats whose window is decimated first.
        rails: Samples at which the ADC saturates, the lower and the upper one. A frame of the
            decimated window is at a rail if all of its samples are.

    Raises:
        UsageError: The model has another front end, or judges the signal already; or the rails
            are no range of samples.
    """
    stage, low, high = graph.deciding_stage, *rails
    if graph.flaws is not None:
        raise UsageError(f"{graph.name} judges the quality of the signal already")
    frame = graph.frame
    if not frame.qmin <= low < high <= frame.qmax:
        raise UsageError(
            f"rails must be two samples of {frame.qmin} to {frame.qmax}, the lower one first, not "
            f"{low} and {high}"
        )
    op = _judge(graph, low, high)
    quality = op.outputs[0]
    join = Concat.join("join_quality", (graph.output, quality), f"{graph.output.name}_and_quality")
    own = Output(OUTPUT, graph.output.size, quality.size, 1.0, "flaws")
    at = 1 + next(i for i, before in enumerate(stage.ops) if before.outputs == op.inputs)
    ops = (*stage.ops[:at], op, *stage.ops[at:], join)  # at once, while its window is in memory
    deciding = replace(stage, ops=ops, outputs=join.outputs)
    return replace(
        graph, stages=(*graph.stages[:-1], deciding), heads=(*graph.outputs, own), reference=None
    )


def _judge(graph: QGraph, low: int, high: int) -> SignalQuality:
    """Return the operator that reads the decimated window."""
    stage, rate_hz = graph.deciding_stage, graph.contract.sample_rate_hz
    decimate, trigger = _decimate(stage), stage.trigger
    if decimate is None or rate_hz is None or not isinstance(trigger, EventTrigger):
        raise UsageError(
            f"{graph.name} must be a model that decides on beats and decimates its window first; "
            "the signal of others is not judged"
        )
    x, n = decimate.outputs[0], decimate.factor
    peak = trigger.pre // n
    first, last = (peak + round(s * rate_hz / n) for s in (-QRS_S[0], QRS_S[1]))
    beside = first + x.shape[0] - last - 4
    if min(first, x.shape[0] - last) < LEAST_BESIDE:
        raise UsageError(
            f"{graph.name}: its window must hold {LEAST_BESIDE} frames before and after the QRS "
            "complex, by which noise is judged"
        )
    y = QTensor(OUTPUT, (1 + x.shape[1],), "int16", 1.0, 0, 0, 7)
    flat, most = round(FLAT_MV / x.scales[0]), round(NOISE * beside * (1 << MOST_BITS))
    return SignalQuality("judge_signal", (x,), (y,), flat, low, high, first, last, most)


def _decimate(stage: Stage) -> Decimate | None:
    """Return what decimates the window of a stage."""
    window = stage.inputs[0]
    return next((o for o in stage.ops if isinstance(o, Decimate) and o.inputs == (window,)), None)

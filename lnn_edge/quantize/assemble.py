"""Plan and ranges -> integer graph: a stage for each planned one, rings between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import fx

from lnn_edge.errors import LayerError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Concat
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.output import Output, OutputKind
from lnn_edge.graph.passes.run_all import run_all
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.scales import Ranges
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage, Window
from lnn_edge.nn.plan import Plan, PlannedStage
from lnn_edge.quantize.lowering import Lowering, Value
from lnn_edge.quantize.rounding import rounded_together
from lnn_edge.quantize.rules import RULES

Facts = Mapping[str, object]
"""Metadata of a graph."""


def lower(
    plan: Plan,
    ranges: Ranges,
    frame: QTensor,
    name: str,
    facts: Facts,
    clock: QTensor | None = None,
) -> tuple[QGraph, Mapping[str, Any]]:
    """Return the integer graph of a plan that reads frames, and where its values lie.

    Args:
        plan: See timing.make_plan.
        ranges: See observe.observe.
        frame: Format of a frame, elapsed time behind the channels where forward reads it.
        name: C prefix.
        facts: Metadata.
        clock: Format of elapsed time where forward reads it; None takes all that a frame holds.

    Raises:
        LayerError: A layer has no operator, or numbers lie where it cannot read them.
        QuantizationError: A value never varied in the calibration, or a proof fails.
    """
    lowering, road = Lowering(plan, ranges, RULES), plan.road
    if len(road) == 1:
        stages, rings = _at_every_frame(lowering, frame, clock)
    else:
        stages, rings = _staged(lowering, frame)
    return _graph(lowering, stages, rings, name, facts), lowering.values


def lower_behind(
    plan: Plan,
    ranges: Ranges,
    front: Pipeline,
    name: str,
    facts: Facts,
    read: Sequence[Values] = (),
) -> tuple[QGraph, Mapping[str, Any]]:
    """Return the integer graph of a plan that reads an integer front end, and as lower its values.

    Args:
        plan: Its inputs have the names of tensors of the front end's last stage.
        ranges: See observe.observe.
        front: Stages that need no training.
        name: C prefix.
        facts: Metadata.
        read: Integers that the plan's inputs hold, by which weights are rounded together; see
            rounding.rounded_together. None rounds each to the nearest.

    Raises:
        LayerError: As lower, or an input has another name, or a layer reads several elements.
    """
    lowering, deciding = lowering_behind(plan, ranges, front), front.deciding_stage
    outputs, states = (_output(lowering),), tuple(lowering.states)
    own = replace(deciding, ops=tuple(lowering.ops), states=states, outputs=(), probes=())
    stage = replace(
        deciding,
        ops=(*deciding.ops, *rounded_together(own, read).ops),
        states=(*deciding.states, *states),
        outputs=outputs,
        probes=deciding.outputs,
    )
    stages = (*front.preparing_stages, stage)
    return _graph(lowering, stages, front.rings, name, facts), lowering.values


def lowering_behind(plan: Plan, ranges: Ranges, front: Pipeline) -> Lowering:
    """Return a plan in integers, as it reads the last stage of a front end; see lower_behind."""
    if len(plan.road) > 1:
        raise LayerError(
            "behind a front end every layer runs once a decision; none may read several of them"
        )
    lowering, deciding = Lowering(plan, ranges, RULES), front.deciding_stage
    known = {t.name: t for t in (*deciding.inputs, *deciding.outputs)}
    for place in _inputs_of(plan):
        tensor = known.get(str(place.target))
        if tensor is None:
            raise LayerError(
                f"forward reads {place.target!r}; the front end gives {', '.join(known)}"
            )
        places = np.arange(tensor.size).reshape(plan.axes[place.name].static)
        lowering.values[place.name] = Value(tensor, places)
    lowering.run(plan.last, None)
    return lowering


def _graph(
    lowering: Lowering, stages: Sequence[Stage], rings: Sequence[Ring], name: str, facts: Facts
) -> QGraph:
    """Return the graph, its outputs named where they are several."""
    vector, plan, heads, first = stages[-1].outputs[0], lowering.plan, list[Output](), 0
    classes: Any = facts.get("classes", ())
    endings = [ending for ending in plan.endings if ending]
    known = {**facts, "endings": list(plan.endings)} if endings else dict(facts)
    for output, node in plan.outputs.items():
        size = int(np.prod(plan.axes[node.name].static))
        has_scores = classes and len(classes) == size and not any(h.kind == "scores" for h in heads)
        kind: OutputKind = "scores" if has_scores else "values"
        heads.append(Output(output, first, size, vector.scales[first % len(vector.scales)], kind))
        first += size
    several = tuple(heads) if len(heads) > 1 else ()
    return run_all(QGraph(tuple(stages), tuple(rings), name, known, several))


def _inputs_of(plan: Plan) -> list[fx.Node]:
    return [n for n in plan.traced.graph.nodes if n.op == "placeholder"]


def _at_every_frame(
    lowering: Lowering, frame: QTensor, clock: QTensor | None
) -> tuple[list[Stage], list[Ring]]:
    """Return the stages of a model that decides at every frame."""
    window = replace(frame, name="window", shape=(1, frame.size))
    places = _inputs_of(lowering.plan)
    size = lowering.plan.axes[places[0].name].static[-1]
    lowering.values[places[0].name] = Value(window, np.arange(size))
    take = []
    if len(places) > 1:
        whole = QTensor("dt", (1,), "uint16", window.scales[-1], 0, 0, 65535)
        lowering.clock = clock or whole
        take.append(Slice.quantize("take_dt", window, lowering.clock, size))
        lowering.values[places[1].name] = Value.of(lowering.clock)
    lowering.run(lowering.plan.last, None)
    outputs, ops = (_output(lowering),), (*take, *lowering.ops)
    trigger = EveryTrigger("frames", window, 1, 1)
    step = Stage("step", trigger, ops, tuple(lowering.states), outputs)
    return [Stage("take", InputTrigger(frame, "frames")), step], [Ring("frames", frame, 1)]


def _staged(lowering: Lowering, frame: QTensor) -> tuple[list[Stage], list[Ring]]:
    """Return the stages of a model with windows over time."""
    plan, road = lowering.plan, lowering.plan.road
    places = _inputs_of(plan)
    if len(places) > 1:
        raise LayerError(
            "elapsed time as an input of a model with windows: the times of a window would have to "
            "be summed, which no operator does; give a constant dt"
        )
    lowering.values[places[0].name] = Value(frame, np.arange(frame.size))
    lowering.run(road[0], None)
    passed = _passed(lowering, road[1])
    stages = [_stage(lowering, InputTrigger(frame, _ring(lowering, road[1])), passed, "take")]
    rings = []
    passes: dict[str, tuple[str, QTensor]] = {}
    for stage, child in zip(road[1:], [*road[2:], None], strict=True):
        passes[stage.source.name] = _ring(lowering, stage), passed
        rings.append(_held(plan, stage, passed, _ring(lowering, stage)))
        apart = stage.spacing
        shape = ((stage.length - 1) // apart + 1, *passed.shape)
        window = replace(passed, name=f"w_{passed.name}", shape=shape)
        carried, others = _carried(lowering, stage, passes)
        lowering.run(stage, window, carried)
        first = (_ring(lowering, stage), window, stage.hop, stage.after + 1)
        trigger = EveryTrigger(*first, apart, tuple(others))
        passed = _output(lowering) if child is None else _passed(lowering, child)
        name = "step" if child is None else f"make_{lowering.name(child.source)}"
        stages.append(_stage(lowering, trigger, passed, name))
    return stages, rings


def _held(plan: Plan, stage: PlannedStage, frame: QTensor, name: str) -> Ring:
    """Return the ring of a stage, long enough for all that is read of it."""
    carried = [c.lag + 1 for s in plan.road for c in s.carried.values() if c.source is stage.source]
    length = max([stage.length, *carried])
    return Ring(name, frame, length, "zero" if stage.is_causal else "edge")


def _carried(
    lowering: Lowering, stage: PlannedStage, passes: Mapping[str, tuple[str, QTensor]]
) -> tuple[dict[str, Value], list[Window]]:
    """Return the values of earlier stages that a stage reads, and their windows."""
    values: dict[str, Value] = {}
    windows: dict[tuple[str, int], Window] = {}
    for name, carried in stage.carried.items():
        ring, frame = passes[carried.source.name]
        key = (ring, carried.lag)
        if key not in windows:
            kept = f"{lowering.name(carried.source)}_at{stage.index}_{carried.lag}"
            if carried.lag:
                tensor = replace(frame, name=kept, shape=(2, *frame.shape))
                windows[key] = Window(ring, tensor, 2, carried.lag)
            else:
                windows[key] = Window(ring, replace(frame, name=kept))
        places = lowering.values[carried.source.name].places
        values[name] = Value(windows[key].frames, places)
    return values, list(windows.values())


def _stage(
    lowering: Lowering, trigger: InputTrigger | EveryTrigger, passed: QTensor, name: str
) -> Stage:
    outputs = () if passed.role == "input" else (passed,)
    return Stage(name, trigger, tuple(lowering.ops), tuple(lowering.states), outputs)


def _ring(lowering: Lowering, stage: PlannedStage) -> str:
    return f"r_{lowering.name(stage.source)}"


def _passed(lowering: Lowering, child: PlannedStage) -> QTensor:
    """Return the tensor that a stage passes on to the next, its own where it shows another."""
    value = lowering.value(child.source)
    is_frame = value.tensor.role == "input" and len(value.tensor.shape) == 1
    is_made = any(value.tensor in op.outputs for op in lowering.ops)
    if not is_frame and not is_made:
        dtype = "int16" if lowering.is_wide(child.source) else "int8"
        y = lowering.vector(child.source, dtype)
        value = Value(y, np.arange(y.size).reshape(value.places.shape))
        lowering.values[child.source.name] = value
    return value.tensor


def _output(lowering: Lowering) -> QTensor:
    """Return one int16 vector: several outputs lie one behind the other."""
    parts = tuple(lowering.vector(n, "int16") for n in lowering.plan.outputs.values())
    if len(parts) == 1:
        return parts[0]
    return lowering.emit(Concat.join("outputs_op", parts, "outputs"))

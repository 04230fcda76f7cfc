"""Chooses kernels and places in memory for a graph on a core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lnn_edge.codegen import windows
from lnn_edge.codegen.arena import plan_arena
from lnn_edge.codegen.codetext import Code
from lnn_edge.codegen.fuse import fuse_stage
from lnn_edge.codegen.kernels import Core, Kernel, select
from lnn_edge.codegen.model_code import ModelCode, StageCode
from lnn_edge.codegen.operator_code import Weights, operator_code
from lnn_edge.codegen.symbols import check_distinct
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.ir import AbstractOp, makers_of
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EventTrigger, InputTrigger, Stage


def generate(
    graph: QGraph,
    core: Core,
    trace: bool = False,
    unlearned: tuple[str, ...] | None = None,
) -> ModelCode:
    """Choose kernels, pack constants and plan memory for a core.

    Args:
        graph: Model.
        core: What runs it.
        trace: Whether it can stop after each operator.
        unlearned: See Header; what the graph itself records comes first.
    """
    weights = Weights()
    stages = []
    for stage in graph.stages:
        fused = fuse_stage(stage, core)
        kernels = {op.name: select(op, core) for op in fused.ops}
        scratch = {op.name: kernels[op.name].scratch(op) for op in fused.ops}
        apart = _places_outside_the_arena(graph, stage)
        in_ring = _reader_in_ring(stage, kernels)
        if in_ring is not None:
            apart |= windows.place_of_event(graph, stage, in_ring)
        if not (trace and stage is graph.deciding_stage):  # it stops between two operators
            apart |= _updated_in_place(fused, kernels)
        arena = plan_arena(fused, scratch, apart.keys())
        places = apart | {
            n: Code("(void *) &ctx->arena[%d]") % s.offset for n, s in arena.slots.items()
        }
        own = f"{graph.name}_{stage.name}", f"{graph.name}_op_{stage.name}"
        makers = makers_of(fused.ops)
        operators = [
            operator_code(op, kernels[op.name], own, weights, places, makers) for op in fused.ops
        ]
        if in_ring is not None:
            ring = graph.ring(graph.deciding_trigger.ring).length
            operators = [replace(o, ring=ring) if o.op is in_ring else o for o in operators]
        taps = windows.taps(graph, stage)
        turns = windows.turns(graph, stage)
        stages.append(StageCode(stage, tuple(operators), arena, places, taps, *turns))
    symbols = [o.symbol for s in stages for top in s.operators for o in (*top.inner, top)]
    check_distinct(graph, [*weights.symbols, *symbols])
    recorded = graph.contract.unlearned
    unlearned = unlearned if recorded is None else recorded
    return ModelCode(
        graph, core, tuple(stages), weights.arrays, graph_sha256(graph), trace, unlearned
    )


def _places_outside_the_arena(graph: QGraph, stage: Stage) -> dict[str, Code]:
    """Return the memory of states, of the frame that arrives, and of windows that no copy needs."""
    places = {s.tensor.name: Code("ctx->state.%s") % s.tensor.name for s in stage.states}
    trigger = stage.trigger
    places |= {w.frames.name: windows.place(graph, stage, w) for w in windows.in_place(stage)}
    if isinstance(trigger, InputTrigger):
        places[trigger.frame.name] = Code("frame")
    elif graph.slides(graph.ring(trigger.ring)):
        places[trigger.window.name] = Code("(const void *) ctx->state.%s_frames") % trigger.ring
    return places


def _reader_in_ring(stage: Stage, kernels: Mapping[str, Kernel]) -> AbstractOp | None:
    """Return the operator that can read the window of an event where it lies, which no other reads.

    Args:
        stage: With the operators of the graph.
        kernels: Those of the operators that run, by name.
    """
    trigger = stage.trigger
    if not isinstance(trigger, EventTrigger) or trigger.window in stage.kept:
        return None
    readers = [op for op in stage.ops if trigger.window in op.inputs]
    alone = readers[0] if len(readers) == 1 and readers[0].inputs == (trigger.window,) else None
    can = alone is not None and alone.name in kernels and kernels[alone.name].reads_rings
    return alone if can else None


def _updated_in_place(stage: Stage, kernels: Mapping[str, Kernel]) -> dict[str, Code]:
    """Return the memory of the states' updates that overwrite the states.

    Args:
        stage: With the operators that run.
        kernels: Those of its operators, by name.
    """
    return {
        state.update.name: Code("ctx->state.%s") % state.tensor.name
        for op in stage.ops
        for state in stage.states
        if kernels[op.name].in_place
        and state.update in op.outputs
        and [other for other in stage.ops if state.tensor in other.inputs] == [op]
    }

"""A graph whose output has the name that its module gives it."""

from __future__ import annotations

from dataclasses import replace

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import State


def name_output(graph: QGraph, name: str) -> QGraph:
    """Return a graph whose output vector has a name, unless another tensor of it has that name.

    Raises:
        GraphError: It is no C identifier.
    """
    stage, old = graph.deciding_stage, graph.output.name
    if any(t.name == name for s in graph.stages for op in s.ops for t in (*op.inputs, *op.outputs)):
        return graph

    def named(tensor: QTensor) -> QTensor:
        return replace(tensor, name=name) if tensor.name == old else tensor

    ops = tuple(
        replace(op, inputs=tuple(map(named, op.inputs)), outputs=tuple(map(named, op.outputs)))
        for op in stage.ops
    )
    states = tuple(State(named(s.tensor), named(s.update), s.initial) for s in stage.states)
    outputs, probes = (tuple(map(named, part)) for part in (stage.outputs, stage.probes))
    last = replace(stage, ops=ops, states=states, outputs=outputs, probes=probes)
    return replace(graph, stages=(*graph.stages[:-1], last))

"""What the integers of a graph are worth: a module's values beside the tensors that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lnn_edge.graph.fidelity import output_errors
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.reference import Reference, TensorFacts
from lnn_edge.graph.sim.batch import run_tensors
from lnn_edge.nn.axes import Axes, first_output, run_nodes
from lnn_edge.nn.plan import Plan
from lnn_edge.quantize.lowering import Value

Pair = tuple[np.ndarray, np.ndarray]
"""Integers, and forward's values of the same numbers."""


def tensor_facts(
    plan: Plan, values: Mapping[str, Any], graph: QGraph, reference: Reference
) -> dict[str, TensorFacts]:
    """Return what is known of tensors and outputs, by name, on the sequences of a reference.

    Args:
        plan: Of the module.
        values: Where its nodes lie in integers; see lowering.Lowering.
        graph: Made of it.
        reference: Frames, and the outputs of forward.
    """

    def runs() -> Iterator[_Run]:
        records = [graph.frame.quantize(f).astype(np.int16) for f in reference.frames]
        sequences = zip(reference.frames, reference.outputs, strict=True)
        for (frames, outputs), integers in zip(sequences, run_tensors(graph, records), strict=True):
            yield _Run(integers, _inputs(plan, frames), outputs)

    return _facts_of(plan, values, graph, runs())


def facts_behind(
    plan: Plan,
    values: Mapping[str, Any],
    graph: QGraph,
    decisions: Sequence[tuple[Mapping[str, np.ndarray], tuple[Tensor, ...]]],
) -> dict[str, TensorFacts]:
    """Return the same of a network behind an integer front end.

    Args:
        plan: Of the network.
        values: Where its nodes lie in integers.
        graph: Made of both.
        decisions: Of each sequence from a reset integers of the graph by name, (D, *shape), and the
            network's inputs in real units, (1, D, *shape).
    """
    (output,) = plan.outputs.values()

    def runs() -> Iterator[_Run]:
        for integers, inputs in decisions:
            real = _rows(run_nodes(plan.traced, *inputs)[output.name], plan.axes[output.name])
            yield _Run(integers, inputs, real)

    return _facts_of(plan, values, graph, runs())


@dataclass(frozen=True, eq=False)
class _Run:
    """One sequence: integers by name, the network's inputs, the outputs of the float model."""

    integers: Mapping[str, np.ndarray]
    inputs: tuple[Tensor, ...]
    outputs: np.ndarray


def _facts_of(
    plan: Plan, values: Mapping[str, Any], graph: QGraph, runs: Iterator[_Run]
) -> dict[str, TensorFacts]:
    held = {tensor.name: (node, value) for tensor, node, value in _held(plan, values, graph)}
    pairs: dict[str, list[Pair]] = {name: [] for name in held}
    ends: list[Pair] = []
    for run in runs:
        integers = run.integers
        ends.append(_alike(integers[graph.output.name], run.outputs))
        nodes = run_nodes(plan.traced, *run.inputs)
        for name in held.keys() & integers.keys():
            node, value = held[name]
            q = integers[name].reshape(len(integers[name]), -1)[:, value.places.ravel()]
            pairs[name].append(_alike(q, _rows(nodes[node], plan.axes[node])))
    facts = {
        name: TensorFacts.of(held[name][1].tensor, held[name][1].places.ravel(), *_joined(parts))
        for name, parts in pairs.items()
        if parts
    }
    q, wanted = _joined(ends)
    for output, error in zip(graph.outputs, output_errors(graph, q, wanted).values(), strict=True):
        places = np.arange(output.first, output.end)
        whole = TensorFacts.of(graph.output, places, output.part(q), output.part(wanted))
        facts[output.name] = TensorFacts(error["rmse"], error["range"], whole.saturated)
    return facts


def _held(
    plan: Plan, values: Mapping[str, Any], graph: QGraph
) -> Iterator[tuple[QTensor, str, Value]]:
    """Yield the tensor of each value that a stage computes; of several in one, the last counts."""
    made = {t.name for op in graph.ops for t in op.outputs}
    for node in plan.traced.graph.nodes:
        value, timing = values.get(node.name), plan.timings.get(node.name)
        value = first_output(value)
        if timing is None or timing.is_view or not isinstance(value, Value):
            continue
        if value.tensor.name in made and "T" in "".join(map(str, plan.axes[node.name].names)):
            yield value.tensor, node.name, value


def _inputs(plan: Plan, frames: np.ndarray) -> tuple[Tensor, ...]:
    places = [n for n in plan.traced.graph.nodes if n.op == "placeholder"]
    sizes = [plan.axes[n.name].static[-1] for n in places]
    return torch.split(torch.from_numpy(frames.astype(np.float32))[None], sizes, -1)


def _rows(value: Any, axes: Axes) -> np.ndarray:
    """Return the elements in time (M, K) of what a node gives for one sequence."""
    tensor: Tensor = first_output(value)
    time = next(i for i, name in enumerate(axes.names) if "T" in str(name))
    rows: np.ndarray = tensor.movedim(time, 0).flatten(1).double().numpy()
    return rows


def _alike(q: np.ndarray, real: np.ndarray) -> Pair:
    return q[: len(real)], real[: len(q)]


def _joined(parts: list[Pair]) -> Pair:
    return np.concatenate([q for q, _ in parts]), np.concatenate([real for _, real in parts])

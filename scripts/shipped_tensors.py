"""Writes what the integers of each tensor of the shipped models are worth, beside their graphs.

Example: python scripts/shipped_tensors.py --data-dir DATA ccfc
Example: python scripts/shipped_tensors.py --data DATA/cinc2017 rhythm-beats-cfc
The float weights of the shipped models of 12 leads were not kept. So the integers are compared with
the formulas of the graph's own operators in float64, step after step, state and all, with the
weights as the graph holds them: what rounding of weights costs is not in these figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lnn_edge.data.registry import find_dataset
from lnn_edge.files.shipped import shipped_folder, shipped_names
from lnn_edge.files.write import write_whole
from lnn_edge.graph.file import graph_sha256, load_graph
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.reference import Reference, TensorFacts, reference_beside
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.graph.stage import Stage
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.own_data import Source
from lnn_edge.tasks.own_records import load_own
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import task_of
from tests.graph.ops.formulas import FORMULAS

RECORDINGS, DECISIONS = 8, 256  # compared: the first of each, from a reset


def in_reals(stage: Stage, seen: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return every tensor that a stage computes, (D - 1, *shape) float64, before it is clipped.

    The state after the first decision is that of the integers, since states before it may mean
    that nothing was seen yet; from there on the formulas run by themselves.

    Args:
        stage: Its operators' formulas are run one decision after the other.
        seen: (D, *shape) integers of all its tensors.
    """
    tensors = {t.name: t for t in (*stage.inputs, *(t for op in stage.ops for t in op.outputs))}
    inputs = {t.name: t.dequantize(seen[t.name][1:]) for t in stage.inputs}
    state = {s.tensor.name: tensors[s.update.name].dequantize(seen[s.update.name][:1])
             for s in stage.states}  # fmt: skip
    kept: dict[str, list[np.ndarray]] = {t.name: [] for op in stage.ops for t in op.outputs}
    for at in range(len(next(iter(inputs.values())))):
        known = {name: x[at : at + 1] for name, x in inputs.items()} | state
        for op in stage.ops:
            given = [known[t.name] for t in op.inputs]
            if isinstance(op, Linear):  # rows of all of it, or of each last axis
                given = [given[0].reshape(-1, op.weight.shape[1])]
            made = FORMULAS[op.kind](op, *given)
            for tensor, value in zip(op.outputs, made, strict=False):
                real = np.reshape(value, (1, *tensor.shape))
                kept[tensor.name].append(real[0])
                known[tensor.name] = np.clip(real, *ends_of(tensor))  # a ReLU is nothing else
        state = {s.tensor.name: known[s.update.name] for s in stage.states}
    return {name: np.stack(rows) for name, rows in kept.items()}


def ends_of(tensor: QTensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest real value of each element."""
    low, high = (tensor.dequantize(np.full(tensor.shape, q)) for q in (tensor.qmin, tensor.qmax))
    return low, high


def learned_from(graph: QGraph, data: Path | None, data_dir: str | None) -> Sequence[Labelled]:
    """Return the recordings that a model learned from: those at a path, or its data set."""
    task = task_of(graph.metadata)
    if data is not None and task is not None:
        return load_own(Source(data), task).recordings
    dataset = str(graph.metadata["dataset"])
    return load_labelled(dataset, data_dir, find_dataset(dataset).training_split)


def facts_of(graph: QGraph, recordings: Sequence[Labelled]) -> dict[str, TensorFacts]:
    """Return what the integers of the deciding stage are worth on recordings."""
    stage = graph.deciding_stage
    made = {t.name: t for op in stage.ops for t in op.outputs}
    wanted = (*made, *(t.name for t in stage.inputs))
    runs = run_decisions(graph, recordings[:RECORDINGS], wanted)
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in made}
    for run in runs:
        few = {name: q[:DECISIONS] for name, q in run.values.items()}
        if len(run.stamps) < 2:
            continue
        reals = in_reals(stage, few)
        for name, rows in pairs.items():
            rows.append((few[name][1:], reals[name]))
    return dict(_facts(made, pairs))


def _facts(
    made: Mapping[str, QTensor], pairs: Mapping[str, list[tuple[np.ndarray, np.ndarray]]]
) -> Iterator[tuple[str, TensorFacts]]:
    for name, tensor in made.items():
        q, real = (np.concatenate([part[i] for part in pairs[name]]) for i in (0, 1))
        low, high = ends_of(tensor)
        real = np.where(low == 0, np.maximum(real, low), real)  # what a ReLU leaves out is not lost
        flat, places = (len(q), tensor.size), np.arange(tensor.size)
        q, held = q.reshape(flat), np.clip(real, low, high).reshape(flat)
        lost = TensorFacts.of(tensor, places, q, real.reshape(flat)).saturated
        yield name, replace(TensorFacts.of(tensor, places, q, held), saturated=lost)


def main() -> None:
    """Compare each and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=shipped_names())
    parser.add_argument("--data-dir", help="Folder of the data sets that models learned from.")
    parser.add_argument("--data", type=Path, help="Own recordings that they learned from instead.")
    arguments = parser.parse_args()
    for name in arguments.models:
        path = shipped_folder(name) / "model.qgraph"
        graph = load_graph(path)
        recordings = learned_from(graph, arguments.data, arguments.data_dir)
        facts = facts_of(graph, recordings)
        told = (
            "its operators' formulas in float64 with the weights as the graph holds them, on "
            f"{RECORDINGS} training recordings of {graph.metadata['dataset']}"
        )
        reference = Reference((), (), facts, told)
        write_whole(reference_beside(path), reference.to_bytes(graph_sha256(graph)))
        worst = max(facts.items(), key=lambda f: f[1].rmse / f[1].span if f[1].span else 0)
        print(f"{name}: {len(facts)} tensors; the worst is {worst[0]}, {worst[1]}")


if __name__ == "__main__":
    main()

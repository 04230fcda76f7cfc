"""The liquid part: time constants of each neuron, and the wiring with its activity."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.report.drawings.constants import draw_constants
from lnn_edge.report.drawings.network import Column, Edge, Node, draw_network, strongest
from lnn_edge.report.facts import Report
from lnn_edge.report.liquid import (
    Layer,
    TimeConstants,
    Values,
    activity,
    layers_of,
    time_constants,
)
from lnn_edge.report.markup import Html
from lnn_edge.report.wiring import Wiring, wiring_of

MOST_STEPS = 400  # of the wiring that moves
Run = tuple[str, Values, list[str], list[str], np.ndarray]
"""Name, values, moments, what is said at each, and activity of the outputs (D, K)."""


def context(report: Report) -> dict[str, Any] | None:
    """Return charts of time constants, and the wiring; None for a model without liquid neurons."""
    graph = report.project.graph
    layers, runs = layers_of(graph), _runs(report)
    if not layers or not runs:
        return None
    charts = list(_charts(graph, layers, [run[1] for run in runs]))
    wiring = wiring_of(graph, layers)
    network = _network(graph, layers, wiring, _most_varied(runs)) if wiring else None
    return {
        "count": sum(layer.size for layer in layers),
        "layers": len(layers),
        "charts": charts,
        "decisions": sum(len(moments) for _, _, moments, _, _ in runs),
        "recordings": len(runs),
        "network": network,
        "is_signed": bool(wiring and wiring.is_signed),
    }


def _runs(report: Report) -> list[Run]:
    """Return what was seen of the neurons on everything that is shown."""
    found: list[Run] = []
    for p in report.shown:
        said = [f"{s}, true {t}" if t else s for s, t in zip(p.said, p.true, strict=True)]
        moments = [f"{t:.2f} s" for t in p.times_s.tolist()]
        found.append((p.recording.name, p.values, moments, said, p.levels))
    for q in report.played:
        largest = np.abs(q.outputs).max(0, initial=1e-30)
        steps = [f"frame {t}" for t in q.stamps.tolist()]
        found.append((q.name, q.values, steps, [""] * len(steps), q.outputs / largest))
    return [run for run in found if run[2]]


def _most_varied(runs: Sequence[Run]) -> Run:
    """Return the run in which most different things are said; the first of several."""
    return max(runs, key=lambda run: len(set(run[3])))


def _charts(
    graph: QGraph, layers: Sequence[Layer], values: Sequence[Values]
) -> Iterator[dict[str, Any]]:
    for layer in layers:
        parts = [time_constants(graph, layer, v) for v in values]
        known = [part for part in parts if part is not None]
        if not known:
            yield {"title": layer.label, "chart": None, "size": layer.size}
            continue
        whole = TimeConstants(known[0].formula, np.concatenate([k.seconds for k in known]))
        unit = "s" if graph.contract.sample_rate_hz or graph.contract.dt else "steps"
        title = f"{layer.label}, {layer.size} neurons: effective time constants in {unit}"
        yield {
            "title": title,
            "formula": whole.formula,
            "chart": draw_constants(whole.spread(), unit, title),
            "count": len(whole.seconds),
            "size": layer.size,
        }


def _network(graph: QGraph, layers: Sequence[Layer], wiring: Wiring, run: Run) -> dict[str, Any]:
    """Return the drawing, and what the page's script needs to step through the decisions."""
    name, values, moments, said, ends = run
    columns, places = _columns(graph, layers, wiring)
    edges = strongest(list(_edges(wiring, places)))
    states = np.concatenate(list(_activity(graph, layers, wiring, values, ends)), axis=1)
    order = [node for column in columns for node in column[1]]
    states = states[:, order][:MOST_STEPS]
    at = len(states) // 2
    drawn = [Column(head, tuple(nodes)) for head, _, nodes in columns]
    title = f"Wiring of {graph.name} at {moments[at]} of {name}"
    told = [f"{m}: {s}" if s else m for m, s in zip(moments, said, strict=True)]
    rows = np.round(states * 100).astype(int).tolist()
    steps = [{"at": at, "a": row} for at, row in zip(told, rows, strict=False)]
    shown = [e for b in wiring.bundles for e in b.shares.ravel().tolist() if e]
    return {
        "drawing": draw_network(drawn, edges, states[at], title),
        "steps": _script_safe({"steps": steps, "first": at}),
        "count": len(states),
        "first": at,
        "moment": told[at],
        "record": name,
        "edges": len(edges),
        "all_edges": len(shown),
        "left_out": ", ".join(wiring.left_out),
    }


def _script_safe(document: Any) -> Html:
    """Return JSON that can stand in a script element: nothing in it can end that element."""
    return Html(json.dumps(document, separators=(",", ":")).replace("<", "\\u003c"))


_Drawn = tuple[str, list[int], list[Node]]
"""Head of a column, places of its nodes in the row of all numbers, the nodes."""


def _columns(
    graph: QGraph, layers: Sequence[Layer], wiring: Wiring
) -> tuple[list[_Drawn], dict[str, list[int]]]:
    """Return the columns, and for each tensor the places of its elements among the nodes drawn."""
    starts, first = dict[str, int](), 0
    sizes = [(t.name, t.size) for t in wiring.inputs]
    sizes += [(layer.tensor.name, layer.size) for layer in layers]
    for name, size in sizes:
        starts[name], first = first, first + size
    columns: list[_Drawn] = []
    nodes, indices = list[Node](), list[int]()
    for tensor in wiring.inputs:
        few = tensor.size <= 12
        nodes += [
            Node(f"{tensor.name} {i + 1}", f"{tensor.name} {i + 1}"[-16:] if few else "")
            for i in range(tensor.size)
        ]
        indices += range(starts[tensor.name], starts[tensor.name] + tensor.size)
    if nodes:
        columns.append((f"{len(nodes)} inputs", indices, nodes))
    for layer in layers:
        for head, members in _groups(layer, wiring):
            places = [starts[layer.tensor.name] + i for i in members]
            columns.append((head, places, [Node(f"neuron {i + 1}", str(i + 1)) for i in members]))
    last = layers[-1].tensor.name
    if graph.output.name != last:
        names = graph.classes or tuple(f"{i + 1}" for i in range(graph.output.size))
        names = (
            names if len(names) == graph.output.size else tuple(map(str, range(graph.output.size)))
        )
        starts[graph.output.name] = first
        places = list(range(first, first + len(names)))
        columns.append(("outputs", places, [Node(n, n[:14]) for n in names]))
    place_of = {p: i for i, p in enumerate(p for _, places, _ in columns for p in places)}
    ends = [*sizes, (graph.output.name, graph.output.size)]
    return columns, {
        name: [place_of[starts[name] + i] for i in range(size)]
        for name, size in ends
        if name in starts
    }


def _groups(layer: Layer, wiring: Wiring) -> Iterator[tuple[str, list[int]]]:
    """Yield the neurons of a layer in columns: inter, command and motor where they differ."""
    name = layer.tensor.name
    into = [b.shares for b in wiring.bundles if b.target == name and b.source != name]
    out = [b.shares for b in wiring.bundles if b.source == name and b.target != name]
    fed = np.any([(m != 0).any(1) for m in into], axis=0) if into else np.ones(layer.size, bool)
    read = np.any([(m != 0).any(0) for m in out], axis=0) if out else np.zeros(layer.size, bool)
    motor, command = read & ~fed, ~fed & ~read
    if not motor.any():
        yield f"{layer.size} neurons", list(range(layer.size))
        return
    for head, members in (("inter", fed), ("command", command), ("motor", motor)):
        if members.any():
            yield f"{int(members.sum())} {head}", np.flatnonzero(members).tolist()


def _edges(wiring: Wiring, places: dict[str, list[int]]) -> Iterator[Edge]:
    for bundle in wiring.bundles:
        for target, row in enumerate(bundle.shares.tolist()):
            for source, share in enumerate(row):
                if share:
                    here, there = places[bundle.source][source], places[bundle.target][target]
                    yield Edge(here, there, share)


def _activity(
    graph: QGraph, layers: Sequence[Layer], wiring: Wiring, values: Values, ends: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the activity (D, K) of inputs, layers and outputs, from -1 to 1."""
    for tensor in wiring.inputs:
        real = tensor.dequantize(values[tensor.name].reshape(-1, tensor.size))
        yield real / np.maximum(np.abs(real).max(0, initial=0), 1e-30)
    for layer in layers:
        yield activity(layer, values)
    if graph.output.name != layers[-1].tensor.name:
        whole = np.zeros((len(ends), graph.output.size))
        whole[:, : ends.shape[1]] = ends
        yield whole

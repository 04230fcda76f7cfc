"""How nearly a model in TFLite decides as its integers do, over whole records and many steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lnn_edge.codegen.player.script import load_player
from lnn_edge.codegen.tflite.records import Record
from lnn_edge.errors import GraphError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.batch import decision_inputs
from lnn_edge.graph.sim.interpreter import Values, initial_state, run_sequence
from lnn_edge.graph.sim.predict import run_records

STEPS = 10_000
LEAST_ALIKE, MOST_ERROR = 0.99, 0.02


@dataclass(frozen=True)
class Agreement:
    """What was compared.

    Attributes:
        decisions: Vectors of outputs.
        alike: Part of them that decide alike; 1 where outputs are values, which decide nothing.
        error_of_span: Root mean square error over the span of the integers, of the worst output.
    """

    decisions: int
    alike: float
    error_of_span: float


def check_agreement(
    graph: QGraph, files: Mapping[str, str | bytes], records: Sequence[Record]
) -> dict[str, Any]:
    """Compare a model in TFLite with its integers; return the figures.

    Whole records pass all stages. Then the stage that decides takes what it was given there again
    and again for STEPS steps, its state carried on.

    Args:
        graph: Model.
        files: Its TFLite files, pipeline.json and run.py.
        records: What they are compared on.

    Raises:
        GraphError: They differ too much; says by how much.
    """
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (Path(folder) / name).write_bytes(data)
        over_records, given = _over_records(graph, Path(folder), records)
        found = _over_steps(graph, Path(folder), records, given)
    error = max(found.error_of_span, over_records.error_of_span)
    if found.alike < LEAST_ALIKE or error > MOST_ERROR:
        raise GraphError(
            f"{graph.name} in TFLite decides as its integers do in {found.alike:.2%} of "
            f"{found.decisions} steps and is off by {error:.2%} of the outputs' span, where "
            f"{LEAST_ALIKE:.0%} and {MOST_ERROR:.0%} are asked for; export it as onnx, which keeps "
            "every bit"
        )
    return {"records": asdict(over_records), "steps": asdict(found)}


def compared(graph: QGraph, outputs: np.ndarray, wanted: np.ndarray) -> Agreement:
    """Compare outputs (D, O) with those of the integers."""
    outputs, wanted = outputs.astype(np.float64), wanted.astype(np.float64)
    alike, errors = np.ones(len(wanted), bool), [0.0]
    for part in graph.outputs:
        a, b = part.part(outputs), part.part(wanted)
        if part.kind == "logits" or (part.kind == "scores" and graph.contract.is_multi_label):
            alike &= ((a > 0) == (b > 0)).all(axis=1)
        elif part.kind == "scores":
            alike &= a.argmax(axis=1) == b.argmax(axis=1)
        errors.append(float(np.sqrt(np.mean((a - b) ** 2))) / max(float(np.ptp(b)), 1.0))
    return Agreement(len(wanted), float(alike.mean()), max(errors))


def _over_records(
    graph: QGraph, folder: Path, records: Sequence[Record]
) -> tuple[Agreement, list[Values]]:
    """Play whole records; return also what the stage that decides was given."""
    name = graph.output.name
    wanted = [values[name] for _, values in run_records(graph, records, (name,))]
    played, given = [], list[Values]()
    for record in records:
        player = load_player(folder)
        step = player.step

        def noted(stage: dict[str, Any], values: Values, step: Any = step) -> Values:
            if stage["name"] == graph.deciding_stage.name:
                given.append(values)
            made: Values = step(stage, values)
            return made

        player.step = noted
        played.append(player.run(*record)[1])
    return compared(graph, np.concatenate(played), np.concatenate(wanted)), given


def _over_steps(
    graph: QGraph, folder: Path, records: Sequence[Record], given: Sequence[Values]
) -> Agreement:
    """Run the stage that decides, each on what its own stages before it made of the records."""
    stage, name = graph.deciding_stage, graph.output.name
    own = [values for _, values in decision_inputs(graph, records)]
    inputs = {t.name: np.concatenate([v[t.name] for v in own]) for t in stage.inputs}
    inputs = {k: np.resize(v, (STEPS, 1, *v.shape[1:])) for k, v in inputs.items()}
    wanted, _ = run_sequence(stage, inputs, initial_state(stage, (1,)), (name,))
    player = load_player(folder)
    steps = (given[i % len(given)] for i in range(STEPS))
    made = np.stack([player.step(player.stages[-1], step)[name] for step in steps])
    return compared(graph, made, wanted[name][:, 0])

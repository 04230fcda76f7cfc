"""What is told of the tensors of shipped models, against what the script that wrote it does."""

from __future__ import annotations

import numpy as np
import pytest

import lnn_edge as le
from lnn_edge.files.shipped import shipped_names
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.tasks.recordings import load_labelled
from scripts.shipped_tensors import ends_of, in_reals


@pytest.mark.parametrize("name", shipped_names())
def test_every_operator_that_decides_is_compared(name: str) -> None:
    graph = le.load(name)
    assert graph.reference is not None
    assert "formulas in float64 with the weights as the graph holds them" in graph.reference.against
    wanted = {op.outputs[0].name for op in graph.deciding_stage.ops}
    assert wanted <= graph.reference.tensors.keys()
    worst = max(f.rmse / f.span for f in graph.reference.tensors.values() if f.span)
    assert worst < 0.02
    assert graph.reference.against in graph.summary()


def test_formulas_follow_the_integers_through_state_and_time() -> None:
    graph = le.load("ecg-beats-cfc")
    stage = graph.deciding_stage
    made = {t.name: t for op in stage.ops for t in op.outputs}
    wanted = (*made, *(t.name for t in stage.inputs))
    (run,) = run_decisions(graph, load_labelled("excerpts")[:1], wanted)
    seen = {name: q[:40] for name, q in run.values.items()}
    reals = in_reals(stage, seen)
    for name, most in (("h_next", 0.02), (graph.output.name, 0.02), ("log_dt", 0.001)):
        tensor = made[name]
        real = np.clip(reals[name], *ends_of(tensor))
        off = tensor.dequantize(seen[name][1:]) - real
        assert np.sqrt((off**2).mean()) < most * np.ptp(real)

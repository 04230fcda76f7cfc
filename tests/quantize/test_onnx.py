"""Models in ONNX as integers: near onnxruntime's outputs, and the C gives every bit of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from lnn_edge.quantize.imported import graph_of
from tests.support.host_c import compile_model, run_c, run_reference
from tests.support.onnx_cases import CASES, frames_of

pytest.importorskip("onnx")
QUICK = ("conv, norm, gru", "branches", "window: image", "window: cnn, gru")
NEWEST = ("gru, the newest output", "gru, its state")
"""Cases whose file gives one output a sequence, so their range needs many sequences."""
FAR = 0.03  # of the span, with random weights and all values calibrated


def graph_of_case(name: str, folder: Path) -> QGraph:
    case = CASES[name]
    path = case.save(folder / "net.onnx")
    model = import_model(path, ImportOptions(hop=case.hop, time_axis=case.time_axis))
    if name in NEWEST:
        return graph_of(model, np.concatenate([frames_of(case, seed) for seed in range(40)]))
    return graph_of(model, frames_of(case, steps=80))


def worst_error(graph: QGraph) -> float:
    """Return the largest RMSE of an output on calibration data, relative to its span."""
    assert graph.reference is not None
    facts = [graph.reference.tensors[o.name] for o in graph.outputs]
    return max(f.rmse / f.span for f in facts)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_the_c_of_a_model_gives_every_bit(name: str, tmp_path: Path) -> None:
    graph = graph_of_case(name, tmp_path)
    assert worst_error(graph) < FAR
    frames = frames_of(CASES[name], seed=5)[0]
    wild = np.random.default_rng(0).integers(-32768, 32767, (20, graph.frame.size), endpoint=True)
    items = [("F", f) for f in (*graph.frame.quantize(frames).astype(np.int16), *wild)]
    program = compile_model(graph, tmp_path, options=("-g0",))
    assert run_c(program, items) == run_reference(graph, items)

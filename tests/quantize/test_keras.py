"""Models of Keras in integers: near the library's outputs, and the C gives every bit of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from lnn_edge.quantize.imported import graph_of
from tests.support.host_c import compile_model, run_c, run_reference
from tests.support.keras_cases import CASES
from tests.support.keras_models import frames_of, saved

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*"),
    pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning"),
    pytest.mark.usefixtures("readers_here"),
]
QUICK = ("stream: lstm", "stream: simple", "window: same strided", "image: conv2d")
FAR = 0.03  # of the span, with random weights and all values calibrated


def graph_of_case(name: str, folder: Path) -> QGraph:
    case = CASES[name]
    path = saved(case.build(), folder / "net.keras")
    model = import_model(path, ImportOptions(hop=case.hop))
    graph = graph_of(model, frames_of(case.shape, steps=80))
    return graph


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
    frames = frames_of(CASES[name].shape, seed=5)[0]
    wild = np.random.default_rng(0).integers(-32768, 32767, (20, graph.frame.size), endpoint=True)
    items = [("F", f) for f in (*graph.frame.quantize(frames).astype(np.int16), *wild)]
    program = compile_model(graph, tmp_path, options=("-g0",))
    assert run_c(program, items) == run_reference(graph, items)

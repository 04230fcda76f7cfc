"""QuantizeLinear and DequantizeLinear: each operator rounds its formula, models nearly agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import lnn_edge as le
from lnn_edge.codegen.onnx.qdq import ALIKE, ARRANGED, qdq_stage
from lnn_edge.codegen.player.script import load_player
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.tasks.recordings import load_labelled
from tests.codegen.onnx.test_operators import stage_of
from tests.codegen.onnx.test_player import noise
from tests.graph.ops.cases import MAKERS, Seeded, kind_of, stress_inputs
from tests.graph.ops.formulas import FORMULAS
from tests.support.places import SUPPORT

onnxruntime = pytest.importorskip("onnxruntime")
KINDS = ALIKE.keys() | ARRANGED.keys()
MAKERS_OF_KINDS = sorted(maker for maker in MAKERS if kind_of(maker) in KINDS)
SEEDS, SETS = 12, 8
ROUNDING = 0.51  # steps of the output: a half, and floats of 24 bits


def error(op: AbstractOp, seed: int) -> float:
    """Return the largest distance to the formula in float64, in steps of the output."""
    session = onnxruntime.InferenceSession(qdq_stage(stage_of(op), {}))
    inputs, (y,), most = stress_inputs(op, SETS, seed), op.outputs, 0.0
    for i in range(SETS):
        one = {
            t.name: np.asarray(x[i]).astype(t.dtype) for t, x in zip(op.inputs, inputs, strict=True)
        }
        (got,) = session.run(None, one)
        real = [t.dequantize(one[t.name][None].astype(np.int64)) for t in op.inputs]
        steps = FORMULAS[op.kind](op, *real)[0][0] / np.array(y.scales) + np.array(y.zero_points)
        most = max(most, float(np.abs(got - steps.clip(y.qmin, y.qmax)).max()))
    return most


@pytest.mark.parametrize("maker", MAKERS_OF_KINDS)
def test_an_operator_is_its_formula_rounded(maker: str) -> None:
    assert max(error(MAKERS[maker](Seeded(seed)), seed) for seed in range(SEEDS)) < ROUNDING


def test_layers_of_eight_bits_hold_quantized_weights(tmp_path: Path) -> None:
    le.export("ecg-beats-cfc", format="onnx-qdq", to=tmp_path)
    graph = onnx.load(tmp_path / "beat.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("QuantizeLinear") > kinds.count("Gemm") > 5
    stored = {t.name: t.data_type for t in graph.initializer}
    quantized = {
        n.output[0]
        for n in graph.node
        if n.op_type == "DequantizeLinear" and stored.get(n.input[0]) == onnx.TensorProto.INT8
    }
    gemms = [node for node in graph.node if node.op_type == "Gemm"]
    assert sum(node.input[1] in quantized for node in gemms) > len(gemms) / 2


def test_the_model_of_beats_decides_alike(tmp_path: Path) -> None:
    (recording,) = load_labelled("excerpts", records=["200_1490"])
    graph = le.load("ecg-beats-cfc")
    played = load_player(Path(le.export(graph, format="onnx-qdq", to=tmp_path)))
    _, outputs = played.run(recording.frames, recording.events)
    wanted = np.array([d.outputs for d in Stream(graph).run(recording.frames, recording.events)])
    assert (outputs.argmax(1) == wanted.argmax(1)).mean() > 0.97
    assert np.abs(outputs - wanted).mean() < 0.005 * np.ptp(wanted)


@pytest.mark.parametrize("name", ["default_dt_head", "lstm"])
def test_a_cell_stays_near_its_integers(name: str, tmp_path: Path) -> None:
    graph = load_graph(SUPPORT / "imported" / f"{name}.qgraph")
    frames = noise(graph, 200)
    _, outputs = load_player(Path(le.export(graph, format="onnx-qdq", to=tmp_path))).run(frames)
    wanted = np.array([d.outputs for d in Stream(graph).run(frames)])
    assert np.abs(outputs.astype(int) - wanted).max() < 0.02 * np.ptp(wanted)

"""Models that onnxruntime has quantized keep the ranges and scales of their file, without data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn_edge.errors import QuantizationError, UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.nn.imported import Imported, save_imported
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from lnn_edge.quantize.imported import (
    drawn_frames,
    graph_of_scales,
    has_scales,
    quantize_imported,
)
from tests.support.host_c import compile_model, run_c, run_reference
from tests.support.onnx_cases import CASES, Case, by_onnxruntime, frames_of
from tests.support.places import SUPPORT

onnx = pytest.importorskip("onnx")
quantization = pytest.importorskip("onnxruntime.quantization")
FAR = 0.02  # of the span: a step of 8 bits in a few layers, rounded by onnxruntime and by us


class _Drawn(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
    """Frames for onnxruntime's own calibration."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        drawn = [rng.normal(size=shape).astype(np.float32) for _ in range(30)]
        self._left = iter({"x": x} for x in drawn)

    def get_next(self) -> Any:
        return next(self._left, None)


def quantized(case: Case, folder: Path, *, symmetric: bool = True) -> Path:
    """Return the file of a case that onnxruntime has quantized."""
    return of_file(case.save(folder / "net.onnx"), case, folder, symmetric=symmetric)


def of_file(net: Path, case: Case, folder: Path, *, symmetric: bool = True) -> Path:
    """Return what onnxruntime makes of a file that reads what a case reads."""
    kind = quantization.QuantType
    logging.disable(logging.WARNING)
    try:
        quantization.quantize_static(
            str(net),
            str(folder / "qdq.onnx"),
            _Drawn(case.shape),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=kind.QInt8 if symmetric else kind.QUInt8,
            weight_type=kind.QInt8,
            per_channel=True,
            extra_options={"ActivationSymmetric": symmetric},
        )
    finally:
        logging.disable(logging.NOTSET)
    return folder / "qdq.onnx"


def read(case: Case, path: Path) -> Imported:
    return import_model(path, ImportOptions(hop=case.hop, time_axis=case.time_axis))


def tensors_of(graph: QGraph) -> dict[str, Any]:
    return {t.name: t for op in graph.ops for t in op.outputs}


@pytest.mark.parametrize(
    ("name", "symmetric"),
    [
        ("mlp", True),
        ("window: cnn", True),
        ("window: channels first", True),
        ("branches", True),
        ("keras_residual", True),
        ("keras_residual", False),
    ],
)
def test_the_integers_follow_onnxruntime(name: str, symmetric: bool, tmp_path: Path) -> None:
    """Keras pads by a node of its own, and ends in a softmax, which a device leaves out."""
    case = CASES.get(name, CASES["window: cnn"])
    net = case.save(tmp_path / "net.onnx") if name in CASES else SUPPORT / "onnx" / f"{name}.onnx"
    path = of_file(net, case, tmp_path, symmetric=symmetric)
    model = read(case, path)
    graph = graph_of_scales(model, drawn_frames_of(model, tmp_path))
    frames = frames_of(case, seed=5)
    (theirs,) = by_onnxruntime(path, case, frames)
    items = [("F", f) for f in graph.frame.quantize(frames[0]).astype(np.int16)]
    program = compile_model(graph, tmp_path, options=("-g0",))
    told = run_reference(graph, items)
    assert run_c(program, items) == told
    ours = outputs_of(graph, frames[0])
    wanted = theirs[0]
    if name not in CASES:
        ours, wanted = (np.exp(v) / np.exp(v).sum(1, keepdims=True) for v in (ours, np.log(wanted)))
    error = float(np.sqrt(np.mean((ours - wanted) ** 2)))
    assert error < FAR * float(np.ptp(wanted)), error


def outputs_of(graph: QGraph, frames: np.ndarray) -> np.ndarray:
    """Return the outputs of the simulator in real units, (D, K)."""
    decisions = Stream(graph).run(graph.frame.quantize(frames).astype(np.int16))
    return np.array([d.outputs for d in decisions]) * graph.outputs[0].scale


def drawn_frames_of(model: Imported, folder: Path) -> np.ndarray:
    save_imported(folder / "model", model)
    return drawn_frames(folder / "model", model)


def test_scales_of_the_file_are_those_of_the_integers(tmp_path: Path) -> None:
    """Behind a ReLU the file has a zero point at the bottom, as we have."""
    case = CASES["window: cnn"]
    path = quantized(case, tmp_path, symmetric=False)
    model = read(case, path)
    held = tensors_of(graph_of_scales(model, drawn_frames_of(model, tmp_path)))
    scales = {
        t.name: onnx.numpy_helper.to_array(t).ravel() for t in onnx.load(path).graph.initializer
    }
    ours = next(t for t in held.values() if t.zero_points == (-128,))
    assert ours.scales[0] == pytest.approx(float(scales["/Relu_output_0_scale"][0]), rel=1e-6)
    (norm,) = [op for op in model_ops(model, tmp_path) if type(op).__name__ == "Conv1d"]
    theirs = next(v for k, v in scales.items() if k.endswith("Conv_18_quantized"))
    assert np.array_equal(np.sort(norm.weight.ravel()), np.sort(theirs))


def model_ops(model: Imported, folder: Path) -> tuple[Any, ...]:
    return graph_of_scales(model, drawn_frames(folder / "model", model)).ops


def test_a_model_without_scales_needs_data(tmp_path: Path) -> None:
    case = CASES["mlp"]
    save_imported(tmp_path / "plain", read(case, case.save(tmp_path / "net.onnx")))
    assert not has_scales(tmp_path / "plain")
    with pytest.raises(UsageError, match="give --calibration"):
        quantize_imported(tmp_path / "plain", None)
    save_imported(tmp_path / "qdq", read(case, quantized(case, tmp_path)))
    assert has_scales(tmp_path / "qdq")
    graph = quantize_imported(tmp_path / "qdq", None)
    assert graph.metadata["scales"] == "of the file"


def test_a_value_without_a_range_is_named(tmp_path: Path) -> None:
    """onnxruntime leaves GRU as it is; what is inside has no range in the file."""
    case = CASES["conv, norm, gru"]
    model = read(case, quantized(case, tmp_path))
    with pytest.raises(QuantizationError, match="no range was observed; calibrate with data"):
        graph_of_scales(model, drawn_frames_of(model, tmp_path))

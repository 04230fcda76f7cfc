"""A CfC of ncps whose loop over time is a Scan or a Loop of ONNX is a CfC again."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lnn_edge.errors import DataError
from lnn_edge.nn.imported import Imported
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from lnn_edge.quantize.imported import graph_of
from tests.support.host_c import compile_model, run_c, run_reference

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
ncps = pytest.importorskip("ncps.torch")
INPUTS, UNITS, OPSET = 3, 5, 17


class Step(nn.Module):
    """A step of a cell."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.cell(x, h, 1.0)[0]  # type: ignore[no-any-return]


def step_graph(step: nn.Module, folder: Path) -> Any:
    """Return a step (x, h) -> after in ONNX."""
    path = folder / "step.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            step,
            (torch.zeros(1, INPUTS), torch.zeros(1, UNITS)),
            str(path),
            input_names=["x", "h"],
            output_names=["after"],
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load(path).graph


def file_of(nodes: list[Any], tensors: dict[str, np.ndarray], path: Path) -> Path:
    """Write a model of frames (1, time, INPUTS) and an output y."""
    helper = onnx.helper
    frames = helper.make_tensor_value_info("frames", 1, (1, "time", INPUTS))
    out = helper.make_tensor_value_info("y", 1, None)
    held = [onnx.numpy_helper.from_array(v, n) for n, v in tensors.items()]
    graph = helper.make_graph(nodes, "g", [frames], [out], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 9
    path.write_bytes(model.SerializeToString())
    return path


def scanned(step: nn.Module, folder: Path) -> Path:
    helper, body = onnx.helper, step_graph(step, folder)
    body.node.append(helper.make_node("Identity", ["after"], ["shown"]))
    body.output.append(helper.make_tensor_value_info("shown", 1, (1, UNITS)))
    ports = {port.name: port for port in body.input}
    del body.input[:]
    body.input.extend([ports["h"], ports["x"]])
    nodes = [
        helper.make_node("Transpose", ["frames"], ["t"], perm=[1, 0, 2]),
        helper.make_node("Scan", ["zeros", "t"], ["last", "all"], body=body, num_scan_inputs=1),
        helper.make_node("Transpose", ["all"], ["y"], perm=[1, 0, 2]),
    ]
    return file_of(nodes, {"zeros": np.zeros((1, UNITS), np.float32)}, folder / "net.onnx")


def looped(step: nn.Module, folder: Path) -> Path:
    helper, body = onnx.helper, step_graph(step, folder)
    body.node.insert(0, helper.make_node("Gather", ["frames", "i"], ["x"], axis=1))
    body.node.append(helper.make_node("Identity", ["after"], ["shown"]))
    body.node.append(helper.make_node("Identity", ["go"], ["on"]))
    ports = {port.name: port for port in body.input}
    del body.input[:]
    index = helper.make_tensor_value_info("i", 7, ())
    body.input.extend([index, helper.make_tensor_value_info("go", 9, ()), ports["h"]])
    shown = helper.make_tensor_value_info("shown", 1, (1, UNITS))
    after = body.output.pop()
    body.output.extend([helper.make_tensor_value_info("on", 9, ()), after, shown])
    nodes = [
        helper.make_node("Shape", ["frames"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "one"], ["count"]),
        helper.make_node("Loop", ["count", "go_on", "zeros"], ["last", "all"], body=body),
        helper.make_node("Transpose", ["all"], ["y"], perm=[1, 0, 2]),
    ]
    tensors = {
        "zeros": np.zeros((1, UNITS), np.float32),
        "one": np.array(1),
        "go_on": np.array(True),
    }
    return file_of(nodes, tensors, folder / "net.onnx")


FORMS: dict[str, dict[str, Any]] = {
    "lecun": {"backbone_activation": "lecun_tanh"},
    "two layers": {"backbone_activation": "tanh", "backbone_layers": 2},
    "relu": {"backbone_activation": "relu"},
    "silu": {"backbone_activation": "silu"},
    "gelu": {"backbone_activation": "gelu"},
    "no gate": {"mode": "no_gate"},
    "no backbone": {"backbone_layers": 0},
}


def cell_of(form: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Step(ncps.CfCCell(INPUTS, UNITS, backbone_units=7, **FORMS[form])).eval()


def error_of(model: Imported, path: Path) -> float:
    """Return the largest difference from onnxruntime over 60 frames."""
    frames = np.random.default_rng(1).normal(size=(1, 60, INPUTS)).astype(np.float32)
    (wanted,) = onnxruntime.InferenceSession(path.read_bytes()).run(None, {"frames": frames})
    return float(np.abs(model.run(frames) - wanted).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrap", [scanned, looped])
def test_a_loop_around_a_step_is_a_cell(form: str, wrap: Any, tmp_path: Path) -> None:
    path = wrap(cell_of(form), tmp_path)
    model = import_model(path, ImportOptions())
    assert [row.kind for row in model.card.layers] == ["cfc"]
    assert error_of(model, path) < 1e-5


def test_the_c_of_a_loop_gives_every_bit(tmp_path: Path) -> None:
    model = import_model(scanned(cell_of("lecun"), tmp_path), ImportOptions())
    frames = np.random.default_rng(2).normal(size=(2, 200, INPUTS))
    graph = graph_of(model, frames)
    items = [("F", f) for f in graph.frame.quantize(frames[0]).astype(np.int16)]
    assert run_c(compile_model(graph, tmp_path, options=("-g0",)), items) == run_reference(
        graph, items
    )


class _Other(nn.Module):
    """What is no CfC, by a change of its formula."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self.change = change
        self.f, self.g, self.t = (nn.Linear(INPUTS + UNITS, UNITS) for _ in range(3))
        self.m = nn.Linear(UNITS, UNITS)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        z = torch.cat((x, h), -1)
        f, g, t = torch.tanh(self.f(z)), torch.tanh(self.g(z)), torch.sigmoid(self.t(z))
        if self.change == "halved":
            return f * (1 - t) + 0.5 * t * g
        if self.change == "old state":
            return h * (1 - t) + t * g
        if self.change == "squared":
            return f * (1 - t) + t * torch.tanh(self.m(f))
        if self.change == "norm":
            return f / (1 + torch.exp(t))
        return f * (1 - t) + t * self.g(z)


@pytest.mark.parametrize("change", ["halved", "old state", "squared", "norm", "heads"])
def test_another_cell_is_none(change: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of a CfC|no place in a loop"):
        import_model(scanned(_Other(change), tmp_path), ImportOptions())

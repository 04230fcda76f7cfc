"""Any torch module as integers: what it decides, and what the C decides, against its forward."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lnn_edge as le
from lnn_edge.errors import LayerError, QuantizationError
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.nn.layers import REGISTERED
from lnn_edge.nn.proof import CLOSE
from lnn_edge.quantize.lowering import Rule
from lnn_edge.quantize.rules.activations import relu
from tests.support import random_modules
from tests.support.host_c import compile_model, run_c, run_reference
from tests.support.modules import MODULES, Net, TimedCfc, make_module
from tests.support.random_blocks import CHANNELS, FRAMES, HOP, RandomBlocks
from tests.support.random_modules import REASONS, frames_of, quantized, random_module
from tests.support.signals import sines

X = sines(6, 96, 6, 1)
FOUND = (32, 456, 673, 1021, 1088, 1139, 1189, 1231, 1254, 1314, 1526, 1667)
"""Seeds whose modules went wrong once."""
NEVER = (17, 42, 56)
"""Seeds of blocks in which a ReLU never gives anything."""


def rows_of(module: nn.Module, *inputs: np.ndarray) -> np.ndarray:
    """Return forward's outputs (N, K) of one sequence, several side by side."""
    with torch.no_grad():
        value: Any = module(*(torch.from_numpy(x)[None] for x in inputs))
    parts = list(value.values()) if isinstance(value, dict) else [value]
    return torch.cat([p.reshape(-1, p.shape[-1]) for p in parts], -1).double().numpy()


def error_of(graph: QGraph, wanted: np.ndarray, frames: np.ndarray) -> float:
    """Return the RMSE of the integers, relative to the span of what forward gives."""
    got = le.simulate(graph, frames)[0]
    got = got[-1:] if len(wanted) == 1 else got[: len(wanted)]
    assert got.shape == wanted.shape
    return float(np.sqrt(np.mean((got - wanted) ** 2)) / np.ptp(wanted))


@pytest.mark.parametrize("name", [n for n in MODULES if n != "softmax"])
def test_integers_follow_forward(name: str) -> None:
    module = make_module(name)
    graph = le.quantize(module, X, name="net", rate_hz=50)
    assert float(str(graph.metadata["streaming_error"])) < CLOSE
    wanted = rows_of(module, X[2])
    if len(wanted) > 1:
        assert error_of(graph, wanted, X[2]) < 0.01
    else:
        span = np.ptp(np.concatenate([rows_of(module, x[:n]) for x in X for n in (60, 80, 96)]))
        got = le.simulate(graph, X[2])[0][-1]
        assert np.sqrt(np.mean((got - wanted[0]) ** 2)) < 0.01 * span


def test_a_chain_of_activations_stays_in_int16() -> None:
    def forward(net: Any, x: Tensor) -> Any:
        x = net.first(x)
        for function in (torch.tanh, torch.sigmoid, functional.relu, functional.elu, torch.tanh):
            x = function(x)
        return net.head(x)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Net(forward, first=nn.Linear(6, 6), head=nn.Linear(6, 3))
    graph = le.quantize(module, X, name="net")
    outputs = [op.outputs[0].dtype for op in graph.ops]
    assert outputs.count("int8") == 1, "only the head reads int8"
    assert error_of(graph, rows_of(module, X[2]), X[2]) < 0.01


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_first_results_of_a_strided_layer_may_be_left_out(stride: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = {"conv": nn.Conv1d(6, 4, 2, stride), "head": nn.Linear(4, 3)}
    module = Net(lambda s, x: s.head(s.conv(x.mT)[..., 2:].mT), **layers)
    graph = le.quantize(module, X, name="net")
    wanted = rows_of(module, X[2])
    assert len(le.simulate(graph, X[2])[0]) == len(wanted)
    assert error_of(graph, wanted, X[2]) < 0.01


def test_a_module_that_needs_most_of_a_sequence_keeps_its_time_axis() -> None:
    def forward(net: Any, x: Tensor) -> Any:
        z = net.mid(net.first(x.mT))  # 3 results, then 1, of 96 frames and of 77
        return net.head(net.last(functional.pad(z, (1, 0))).mT)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = {"first": nn.Conv1d(6, 4, 10, 30), "mid": nn.Conv1d(4, 4, 3)}
        layers |= {"last": nn.Conv1d(4, 4, 2), "head": nn.Linear(4, 3)}
    graph = le.quantize(Net(forward, **layers), X, name="net")
    assert len(le.simulate(graph, X[2])[0]) == 1


def test_a_join_of_a_small_and_a_large_part_holds_both() -> None:
    def forward(net: Any, x: Tensor) -> Any:
        joined = torch.cat((functional.relu(net.small(x)), functional.relu(net.large(x))), -1)
        return net.head(torch.tanh(joined))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        small, large = nn.Linear(6, 4), nn.Linear(6, 4)
        module = Net(forward, small=small, large=large, head=nn.Linear(8, 3))
        small.weight.data *= 0.01
        small.bias.data *= 0.01
    graph = le.quantize(module, X, name="net")
    assert error_of(graph, rows_of(module, X[2]), X[2]) < 0.01


def test_elapsed_time_is_the_last_channel() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = TimedCfc()
    x = X[..., :3]
    dt = np.random.default_rng(0).uniform(0.5, 1.5, (*x.shape[:2], 1)).astype(np.float32)
    graph = le.quantize(module, (x, dt), name="net", dt="input")
    assert graph.frame.size == 4
    wanted = rows_of(module, x[1], dt[1])
    assert error_of(graph, wanted, np.concatenate((x[1], dt[1]), -1)) < 0.01


def test_a_module_of_one_window_moves_over_the_stream() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Net(
            lambda s, x: s.head(functional.relu(s.conv(x.transpose(1, 2))).flatten(1)),
            conv=nn.Conv1d(6, 8, 5, 2),
            head=nn.Linear(8 * 14, 3),
        )
    windows = X.reshape(-1, 32, 6)
    graph = le.quantize(module, windows, name="net", hop=8)
    got = le.simulate(graph, X[0])[0]
    wanted = np.concatenate([rows_of(module, X[0, i : i + 32]) for i in range(0, 65, 8)])
    assert got.shape == wanted.shape
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.01 * np.ptp(wanted)


@pytest.mark.parametrize(
    "name", ["cfc", "conv_wired", "lstm2", "window_ltc", "two_heads", "tcn", "two_lengths"]
)
def test_c_decides_as_the_simulator_does(name: str, tmp_path: Path) -> None:
    graph = le.quantize(make_module(name), X, name="net")
    program = compile_model(graph, tmp_path)
    rng = np.random.default_rng(3)
    for frames in (graph.frame.quantize(X[0]), rng.integers(-32768, 32767, (96, 6))):
        items = [("F", f) for f in frames.astype(np.int16)]
        assert run_c(program, items) == run_reference(graph, items)


def test_outputs_have_names_and_classes() -> None:
    graph = le.quantize(make_module("two_heads"), X, name="net", classes=["a", "b", "c", "d"])
    assert [(o.name, o.size, o.kind) for o in graph.outputs] == [
        ("kind", 4, "scores"),
        ("rate", 1, "values"),
    ]
    assert graph.classes == ("a", "b", "c", "d")


def test_a_softmax_at_the_end_stays_away() -> None:
    module = make_module("softmax")
    graph = le.quantize(module, X, name="net")
    got = le.simulate(graph, X[2])[0]
    soft = np.exp(got) / np.exp(got).sum(-1, keepdims=True)
    wanted = rows_of(module, X[2])
    assert np.abs(soft - wanted).max() < 0.02
    assert graph.metadata["endings"] == ["softmax"]


@pytest.mark.parametrize(
    "decide",
    [
        lambda y: y.argmax(-1),
        lambda y: torch.softmax(y, -1).argmax(-1, keepdim=True),
        lambda y: torch.argmax(functional.log_softmax(y, 2), dim=2),
    ],
)
def test_an_argmax_at_the_end_stays_away_and_decides_alike(decide: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = {"rnn": nn.GRU(6, 10, batch_first=True), "head": nn.Linear(10, 3)}
    graph = le.quantize(Net(lambda s, x: decide(s.head(s.rnn(x)[0])), **layers), X, name="net")
    assert graph.metadata["endings"] == ["argmax"]
    with torch.no_grad():
        scores = layers["head"](layers["rnn"](torch.from_numpy(X[2:3]))[0])[0].numpy()
    first, second = np.sort(scores)[:, ::-1].T[:2]
    clear = first - second > 0.02 * np.ptp(scores)
    got = le.simulate(graph, X[2])[0].argmax(-1)
    assert clear.sum() > 50
    assert (got == scores.argmax(-1))[clear].all()


def test_the_module_is_left_as_it_is() -> None:
    module = make_module("weight_norm").train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    le.quantize(module, X, name="net")
    assert module.training
    assert {k: v.tolist() for k, v in before.items()} == {
        k: v.tolist() for k, v in module.state_dict().items()
    }


@pytest.mark.parametrize("seed", [*range(30), *FOUND])
def test_random_modules_are_right_or_refused(seed: int, tmp_path: Path) -> None:
    """Where a module is accepted, forward, simulator and C agree."""
    module = random_module(seed)
    with suppress(LayerError, QuantizationError):
        graph = quantized(module)
        assert random_modules.error_of(graph, module) < 0.03
        if seed % 6 == 0:
            items = [("F", f) for f in frames_of(graph, module, seed)]
            assert run_c(compile_model(graph, tmp_path), items) == run_reference(graph, items)
        return
    with pytest.raises((LayerError, QuantizationError), match="|".join(REASONS)):
        quantized(module)


@pytest.mark.parametrize("seed", [*range(24), 36])
def test_random_blocks_over_windows_are_right(seed: int, tmp_path: Path) -> None:
    """Residual, gated and branching ones, with a ReLU that writes into what is read again."""
    module, rng = RandomBlocks(seed), np.random.default_rng(0)
    x = rng.normal(0, 1, (20, FRAMES, CHANNELS)).astype(np.float32)
    if seed in NEVER:
        with pytest.raises(QuantizationError, match="no range was observed"):
            le.quantize(module, x, name="net", hop=HOP)
        return
    graph = le.quantize(module, x, name="net", hop=HOP)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).double().numpy()
    got = np.concatenate([le.simulate(graph, window)[0] for window in x])
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.03 * np.ptp(wanted)
    if seed % 4 == 0:
        wild = rng.integers(-32768, 32767, (FRAMES + 4 * HOP, CHANNELS), endpoint=True)
        items = [("F", f) for f in wild.astype(np.int16)]
        assert run_c(compile_model(graph, tmp_path), items) == run_reference(graph, items)


class Swish6(nn.Module):
    """A layer of another package."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x)


def test_layers_of_other_packages_are_registered() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Net(lambda s, x: s.b(s.act(s.a(x))), a=nn.Linear(6, 8), b=nn.Linear(8, 3))
    module.act = Swish6()
    le.nn.register(Swish6, Rule(relu))
    try:
        graph = le.quantize(module, X, name="net")
    finally:
        del REGISTERED[Swish6]
    assert error_of(graph, rows_of(module, X[2]), X[2]) < 0.01


def test_a_graph_and_its_reference_are_read_back(tmp_path: Path) -> None:
    graph = le.quantize(make_module("cfc"), X, name="net")
    graph.save(tmp_path / "net.qgraph")
    again = le.load(tmp_path / "net.qgraph")
    assert graph_sha256(again) == graph_sha256(graph)
    assert again.reference is not None
    assert graph.reference is not None
    for a, b in zip(again.reference.outputs, graph.reference.outputs, strict=True):
        np.testing.assert_array_equal(a, b)
    streamed = [d.outputs for d in Stream(graph).run(graph.frame.quantize(X[0]).astype(np.int16))]
    np.testing.assert_array_equal(
        graph.output.dequantize(np.stack(streamed)), le.simulate(graph, X[0])[0]
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "hold no sequence"),
        (np.full((2, 40, 6), np.nan), "NaN or infinite"),
        ([np.zeros(6)], "must be \\(frames, channels\\)"),
        ((X, X[..., :1]), "give dt='input'"),
    ],
)
def test_wrong_calibration_data_are_named(data: Any, sentence: str) -> None:
    with pytest.raises(QuantizationError, match=sentence):
        le.quantize(make_module("gelu"), data, name="net")

"""CCfC and CLTC: equal to Keras and ncps in real numbers; the passes change no bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lnn_edge.codegen.kernels import HOST, Core
from lnn_edge.codegen.plan import generate
from lnn_edge.data.twelve_leads import FINDINGS, LEADS, RATE_HZ
from lnn_edge.errors import UsageError
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.passes.columns import stream_columns
from lnn_edge.graph.passes.constants import fold_constants
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.graph.stage import Window, every_trigger
from lnn_edge.nn.cells.ltc import Ltc
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, ncp
from lnn_edge.quantize import assemble
from lnn_edge.quantize.assemble import lower_behind
from lnn_edge.quantize.observe import observe
from lnn_edge.quantize.trained import plan_of
from lnn_edge.tasks.findings.cnn12 import ConvNet
from lnn_edge.tasks.findings.columns import AbstractColumnsNet, ColumnsConfig
from lnn_edge.tasks.findings.conv_liquid import (
    CellKind,
    ConvLiquidConfig,
    ConvLiquidNet,
    ConvLiquidStreamNet,
)
from lnn_edge.tasks.labelled import Labelled
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.keras.make_huang2024_inputs import draw_input, draw_weights
from tests.support.places import SUPPORT
from tests.support.recordings import twelve_leads

WITNESS = SUPPORT / "keras" / "huang2024.npz"
KINDS: tuple[CellKind, ...] = ("cfc", "ltc")
PARAMETERS = {"cfc": 357_067, "ltc": 361_241}
GATES_OF = {"relu": "sigmoid", "tanh": "hard_sigmoid"}


def network(kind: CellKind, activation: Any = "relu", **more: Any) -> ConvLiquidNet:
    torch.manual_seed(1)
    gate: Any = GATES_OF[activation]
    config = ConvLiquidConfig(activation=activation, recurrent_activation=gate, **more)
    return ConvLiquidNet(config, cell=kind).double().eval()


@pytest.mark.parametrize("kind", KINDS)
def test_the_parameters_are_as_many_as_published(kind: CellKind) -> None:
    assert sum(p.numel() for p in network(kind).parameters()) == PARAMETERS[kind]


def load_keras(net: ConvLiquidNet, names: list[str], weights: list[np.ndarray]) -> None:
    """Put the weights of Keras in; rows there are leads, and here they are columns."""
    values = {
        name.split("/", 1)[1]: torch.from_numpy(w).double()
        for name, w in zip(names, weights, strict=True)
    }
    with torch.no_grad():
        cell: Any = net.convlstm.cells[0]
        for key in ("kernel", "recurrent_kernel"):
            getattr(cell, key).copy_(values[f"conv_lstm_cell/{key}"].transpose(0, 1))
        cell.kernel.div_(net.gain[:, None])
        cell.bias.copy_(values["conv_lstm_cell/bias"])
        ((_, kernel),) = (
            (k, v) for k, v in values.items() if k.startswith("dense") and k.endswith("kernel")
        )
        ((_, bias),) = (
            (k, v) for k, v in values.items() if k.startswith("dense") and k.endswith("bias")
        )
        net.dense.weight.copy_(kernel.T)
        net.dense.bias.copy_(bias)
        liquid = net.cell.cells[0]
        if isinstance(liquid, Ltc):
            for key, value in values.items():
                if "ltc_cell" in key:
                    name = key.rsplit("/", 1)[-1]
                    getattr(liquid, name).copy_(value)
            return
        assert isinstance(liquid, WiredCfc)
        wiring = ncp(75, auto_ncp(20, 6))
        ours = [v for k, v in values.items() if "cf_c_cell" in k]
        for index, layer in enumerate(liquid.layers):
            ff1, b1, ff2, b2, wa, ba, wb, bb = ours[8 * index : 8 * index + 8]
            sign = torch.from_numpy(wiring.mask(index, signed=True)).double()  # ncps.keras keeps it
            layer.ff1.weight.copy_(ff1.T * sign)
            layer.ff2.weight.copy_(ff2.T * sign)
            for module, w, b in (
                (layer.ff1, None, b1),
                (layer.ff2, None, b2),
                (layer.time_a, wa, ba),
                (layer.time_b, wb, bb),
            ):
                module.bias.copy_(b)
                if w is not None:
                    module.weight.copy_(w.T)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_keras_and_ncps(kind: CellKind, activation: str) -> None:
    witness = np.load(WITNESS)
    key = f"c{kind}.{activation}"
    net = network(kind, activation)
    names = witness[f"{key}.names"].tolist()
    shapes = [tuple(n for n in s if n) for s in witness[f"{key}.shapes"].tolist()]
    load_keras(net, names, draw_weights(names, shapes))
    assert witness[f"{key}.count"] == PARAMETERS[kind]
    windows = torch.from_numpy(draw_input()).double()[:, 0].permute(0, 2, 1, 3)  # columns first
    with torch.no_grad():
        scores = net(windows[None])[0].numpy()
    assert np.ptp(witness[key], axis=0).min() > 1e-4  # ten times the tolerance
    np.testing.assert_allclose(scores, witness[key], rtol=0, atol=1e-5)


SMALL = {"filters": 4, "dense_units": 12, "neurons": 10, "bins": 6}


def records(seed: int, *lengths: int) -> list[Labelled]:
    """Return wandering leads of several lengths."""
    rng = np.random.default_rng(seed)
    made = []
    for index, length in enumerate(lengths):
        walk = np.cumsum(rng.normal(0, 40, (length, len(LEADS))), axis=0)
        frames = (np.abs(walk % 4000 - 2000) - 1000).astype(np.int16)
        made.append(twelve_leads(f"r{index}", frames, [1, 0, -1, -1, index % 2, 0]))
    return made


def lowered(net: AbstractColumnsNet) -> QGraph:
    """Return a graph of ranges over random magnitudes."""
    shape = (2, 20, *net.window.shape)
    windows = net.window.dequantize(np.random.default_rng(0).integers(-128, 0, shape))
    plan = plan_of(net)
    ranges = observe(plan, [(torch.from_numpy(windows).float(),)])
    return lower_behind(plan, ranges, net.front, "net", METADATA)[0]


def plain(net: AbstractColumnsNet) -> QGraph:
    """Return the graph as the network is written: 33 columns at once, states of 0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "run_all", lambda graph: graph)
        return lowered(net)


METADATA = {
    "classes": list(FINDINGS),
    "sample_rate_hz": RATE_HZ,
    "leads": list(LEADS),
}


def decided(graph: QGraph, made: list[Labelled]) -> list[tuple[list[int], list[Any]]]:
    """Return stamps and scores of each record."""
    name = graph.output.name
    return [
        (s.stamps.tolist(), s.values[name].tolist()) for s in run_decisions(graph, made, (name,))
    ]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_passes_change_no_bit(kind: CellKind, activation: str) -> None:
    graph = plain(network(kind, activation, hop=2, **SMALL))
    folded = fold_constants(graph)
    streamed = stream_columns(folded)
    made = records(1, 6000, 9000, 4351, 200)
    expected = decided(graph, made)
    assert [len(stamps) for stamps, _ in expected] == [7, 19, 0, 0]
    assert np.ptp([row for _, rows in expected for row in rows], axis=0).max() > 0
    assert decided(folded, made) == expected
    assert decided(streamed, made) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_state_of_zeros_drives_is_gone(kind: CellKind) -> None:
    graph = plain(network(kind))
    folded = fold_constants(graph)
    convolutions = [op for op in folded.ops if isinstance(op, Conv2d)]
    assert len([op for op in graph.ops if isinstance(op, Conv2d)]) == 8
    assert sum(op.weight.size for op in convolutions) == 222_912  # of 334,080 with the dead ones
    assert not any("forget" in op.name or "_h_" in op.name for op in folded.ops)
    assert sum(op.macs for op in folded.ops) < 0.7 * sum(op.macs for op in graph.ops)


@pytest.mark.parametrize("kind", KINDS)
def test_the_window_never_exists(kind: CellKind) -> None:
    """16 KB of RAM and 260 KB of flash, the stack and the firmware around it apart."""
    net = network(kind)
    code = generate(lowered(net), Core("cortex-m7", dsp=True))
    assert code.state_bytes + code.arena_bytes <= 16 * 1024
    assert sum(array.nbytes for array in code.constants.values()) <= 254 * 1024
    whole = generate(plain(net), Core("cortex-m7", dsp=True))
    assert whole.state_bytes + whole.arena_bytes > 100 * 1024


@pytest.mark.parametrize("core", [HOST, Core("cortex-m7", dsp=True)], ids=["portable", "dsp"])
@pytest.mark.parametrize("kind", KINDS)
def test_raw_leads_in_scores_out_bit_exact(kind: CellKind, core: Core, tmp_path: Path) -> None:
    net = network(kind, hop=4, **SMALL)
    graph = lowered(net)
    (record,) = records(2, 6200)
    items = [*record_items(record.frames, record.events), ("G", None)]
    items[3000:3000] = [("S", 777), ("G", None)]
    expected = run_reference(graph, items)
    assert expected.count(b"D") >= 3
    assert run_c(compile_model(graph, tmp_path, core), items) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_stream_form_carries_its_states(kind: CellKind, tmp_path: Path) -> None:
    torch.manual_seed(2)
    net = ConvLiquidStreamNet(ConvLiquidConfig(**SMALL), cell=kind).double().eval()
    graph = lowered(net)
    recurrent = [op for op in graph.ops if isinstance(op, Conv2d) and "_h_" in op.name]
    assert [op.kernel_size for op in recurrent] == [(1, 1)] * 4  # of (3, 12)
    (record,) = records(3, 3000)
    items = [*record_items(record.frames, record.events), ("G", None)]
    expected = run_reference(graph, items)
    assert run_c(compile_model(graph, tmp_path), items) == expected
    ((stamps, scores),) = decided(graph, [record])
    assert stamps == list(range(511, 3000, 128))
    ((_, again),) = decided(graph, [twelve_leads("x", record.frames[512:], record.labels)])
    assert scores[4] != again[0]  # what came before matters
    window = run_decisions(net.front, [record], ("window",))[0].values["window"]
    with torch.no_grad():
        floats = net(torch.from_numpy(net.window.dequantize(window))[None])[0]
    error = np.abs(graph.output.dequantize(np.array(scores)) - floats.numpy())
    assert error.max() < 0.1 * np.ptp(floats.numpy())


def test_the_baseline_streams_as_well(tmp_path: Path) -> None:
    torch.manual_seed(4)
    for activation in GATES_OF:
        sizes: dict[str, Any] = {"filters": 6, "dense_units": 9, "bins": 6, "hop": 2}
        config = ColumnsConfig(**sizes, activation=activation)
        net: Any = ConvNet(config).double().eval()
        graph = lowered(net)
        assert len(graph.stages) == 4
        (record,) = records(5, 5200)
        ((_, scores),) = decided(graph, [record])
        window = run_decisions(net.front, [record], ("window",))[0].values["window"]
        with torch.no_grad():
            floats = net(torch.from_numpy(net.window.dequantize(window))[None])[0]
        error = np.abs(graph.output.dequantize(np.array(scores)) - floats.numpy())
        assert error.max() < 0.1 * np.ptp(floats.numpy())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"hop": 3}, "hop must be a multiple of 2 columns, not 3"),
        ({"bins": 130}, "bins must be 1 to 129, not 130"),
        ({"filters": 0}, "every size must be at least 1"),
        ({"dropout": 1.0}, "dropout must be 0 to below 1, not 1.0"),
    ],
)
def test_sizes_of_which_no_network_can_be_made_are_named(
    wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        ConvLiquidConfig(**wrong)


def test_windows_that_columns_do_not_fill_stay_whole() -> None:
    """Strides across decisions, a late first one, gaps, dilation, a second window."""
    graph = fold_constants(plain(network("cfc", hop=2, **SMALL)))
    assert stream_columns(graph) != graph
    trigger = every_trigger(graph.deciding_stage)
    rings = tuple(replace(r, length=2 * r.length) for r in graph.rings)
    column = replace(trigger.window, name="further", shape=trigger.window.shape[1:])
    for changed in (
        replace(trigger, hop=3),
        replace(trigger, first=40),
        replace(trigger, hop=34),
        replace(trigger, dilation=2),
        replace(trigger, others=(Window(trigger.ring, column),)),
    ):
        stage = replace(graph.deciding_stage, trigger=changed)
        kept = replace(graph, stages=(*graph.preparing_stages, stage), rings=rings)
        assert stream_columns(kept) == kept

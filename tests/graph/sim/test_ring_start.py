"""A ring that starts full of zeros: what windows before the record read, lost frames, the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Concat
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.rows import AbstractRowOp
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.batch import decision_inputs
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.toy import motion, toy_every_graph, toy_graph, toy_source_graph, toy_staged_graph

NO_EVENTS = np.zeros(0, np.int64)


def at_zero(graph: QGraph) -> QGraph:
    """The same graph, its rings full of zeros at the start of a record."""
    return replace(graph, rings=tuple(replace(r, start="zero") for r in graph.rings))


def coded(*zero_points: int) -> QGraph:
    """A frame of 3 becomes codes of 4 int8, joined; those of 3 frames decide, one a frame."""
    rng = np.random.default_rng(5)
    frame = QTensor("motion", (3,), "int16", 1 / 1000, role="input")
    codes = tuple(
        QTensor(f"code_{i}", (4,), "int8", 1 / 32, point) for i, point in enumerate(zero_points)
    )
    encode = tuple(
        Linear.quantize(f"encode_{i}", frame, code, rng.normal(0, 0.5, (4, 3)), np.zeros(4))
        for i, code in enumerate(codes)
    )
    join = Concat.join("join", codes, "codes_joined")
    (code,) = join.outputs
    window = replace(code, name="window", shape=(3, *code.shape), role="input")
    scores = QTensor("scores", (3,), "int16", 1 / 4096)
    weight, bias = rng.normal(0, 0.3, (3, window.size)), rng.normal(0, 0.5, 3)
    head = Linear.quantize("head", window, scores, weight, bias)
    stages = (
        Stage("sample", InputTrigger(frame, "codes"), (*encode, join), (), (code,)),
        Stage("decide", EveryTrigger("codes", window, 1, 1), (head,), (), (scores,)),
    )
    metadata = {"sample_rate_hz": 50, "classes": ["A", "B", "C"], "leads": ["x", "y", "z"]}
    return QGraph(stages, (Ring("codes", code, 3, "zero"),), "coded", metadata)


MODELS: dict[str, Callable[[], QGraph]] = {
    "events": lambda: at_zero(toy_graph()),
    "source": lambda: at_zero(toy_source_graph()),
    "every": lambda: at_zero(toy_every_graph()),
    "staged": lambda: at_zero(toy_staged_graph()),
    "coded": lambda: coded(-90, 3),
}


@pytest.fixture(scope="module", params=MODELS)
def graph(request: pytest.FixtureRequest) -> QGraph:
    return MODELS[request.param]()


@pytest.fixture(scope="module")
def program(graph: QGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_model(graph, tmp_path_factory.mktemp(graph.name))


def frames_of(graph: QGraph, seed: int, count: int) -> np.ndarray:
    """Random frames; where the third channel tells of events, it tells of few."""
    frames = motion(seed, count)[:, : graph.frame.size]
    if graph.name == "toy_source":
        frames[:, 2] = np.where(np.arange(count) % 17 == 3, 2, 0)
    return frames


def events_of(graph: QGraph) -> np.ndarray:
    return np.array([2, 30, 70, 170]) if graph.name == "toy" else NO_EVENTS


def test_generated_c_starts_as_the_simulator_does(graph: QGraph, program: Path) -> None:
    items = [("G", None), *record_items(frames_of(graph, 1, 300), events_of(graph))]
    expected = run_reference(graph, items)
    assert expected.count(b"D") > 3
    assert run_c(program, [*items, ("R", None), *items]) == expected + expected


@pytest.mark.parametrize("lost", [1, 7, 8, 100])
@pytest.mark.parametrize("before", [0, 1, 9])
def test_lost_frames_hold_the_last_one_or_zero(
    graph: QGraph, program: Path, before: int, lost: int
) -> None:
    items = [("F", f) for f in frames_of(graph, 2, 200)]
    items[before:before] = [("S", lost), ("G", None)]
    items += [("G", None)]
    assert run_c(program, items) == run_reference(graph, items)


def test_zeros_stand_where_frames_were_lost_before_the_first() -> None:
    stream = Stream(at_zero(toy_every_graph()))
    stream.skip_frames(4)
    for index in (4, 5):
        stream.push_frame(np.full(3, 100 + index, np.int16))
    (decision,) = stream.decisions()
    assert decision.values["window"][:, 0].tolist() == [0] * 6 + [104, 105]


def test_whole_records_decide_as_the_stream_does(graph: QGraph) -> None:
    records = [(frames_of(graph, seed, n), events_of(graph)) for seed, n in ((3, 250), (4, 200))]
    for (frames, events), (stamps, inputs) in zip(
        records, decision_inputs(graph, records), strict=True
    ):
        decisions = list(Stream(graph).run(frames, events))
        assert [d.stamp for d in decisions] == stamps.tolist()
        for name, values in inputs.items():
            np.testing.assert_array_equal(values, np.stack([d.values[name] for d in decisions]))


@pytest.mark.parametrize("cut", [0, 1, 8, 100])
def test_a_state_put_into_another_instance_continues_exactly(
    graph: QGraph, program: Path, cut: int
) -> None:
    stream, frames = Stream(graph), frames_of(graph, 5, 300)
    for frame in frames[:cut]:
        stream.push_frame(frame)
        list(stream.decisions())
    rest = [*(("F", f) for f in frames[cut:]), ("G", None)]
    whole = run_reference(graph, [*(("F", f) for f in frames[:cut]), *rest])
    assert whole.endswith(run_c(program, [("P", stream.state_blob()), *rest]))


def real_rows(op: AbstractRowOp) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias in real numbers, as the integers stand for them."""
    x, y = op.inputs[0], op.outputs[0]
    step = y.scales[0] * op.multiplier.astype(float) * 2.0 ** (op.shift - 32.0)
    scales = np.broadcast_to(x.scales, x.shape).ravel()
    return op.weight * step[:, None] / scales, op.bias * step


@pytest.mark.parametrize("zero_points", [(0,), (-90,), (127, -128), (5, 0, 77)])
def test_the_convolution_is_the_causal_one_of_torch(
    zero_points: tuple[int, ...], tmp_path: Path
) -> None:
    """Padded on the left by zeros, on the dequantized codes, within half a step of the output."""
    graph, frames = coded(*zero_points), motion(6, 50)
    decisions = list(Stream(graph).run(frames))
    window, head = graph.deciding_stage.inputs[0], graph.deciding_stage.ops[0]
    assert isinstance(head, AbstractRowOp)
    codes = window.dequantize(np.stack([d.values["window"] for d in decisions]))[:, -1]
    weight, bias = real_rows(head)
    kernel = torch.from_numpy(weight.reshape(3, *window.shape).transpose(0, 2, 1))
    past = torch.nn.functional.pad(torch.from_numpy(codes.T), (2, 0))
    expected = torch.nn.functional.conv1d(past[None], kernel, torch.from_numpy(bias))[0].T
    found = graph.output.dequantize(np.stack([d.outputs for d in decisions]))
    assert np.abs(found).max() < 7.9  # nothing saturates
    assert np.abs(found - expected.numpy()).max() <= graph.output.scales[0] / 2 + 1e-9
    items = [("G", None), *record_items(frames, NO_EVENTS), ("G", None)]
    assert run_c(compile_model(graph, tmp_path), items) == run_reference(graph, items)


def test_a_start_that_the_frame_cannot_hold_is_refused() -> None:
    code = QTensor("code", (4,), "int8", 1.0, -128, -100, 100)
    sentence = r"ring codes starts at zero, which code in \[-100, 100\] never is; widen its range"
    with pytest.raises(GraphError, match=sentence):
        Ring("codes", code, 3, "zero")
    with pytest.raises(GraphError, match="ring codes: start must be one of"):
        Ring("codes", code, 3, "mirror")  # type: ignore[arg-type]

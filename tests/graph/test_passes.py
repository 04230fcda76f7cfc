"""Passes leave out what has no effect and change no bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.constant import Constant
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.elementwise import Add, Concat, Requantize
from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.memory_cell import Remember
from lnn_edge.graph.passes.columns import stream_columns
from lnn_edge.graph.passes.constants import fold_constants
from lnn_edge.graph.passes.names import name_output
from lnn_edge.graph.passes.taps import crop_kernel, crop_kernels
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage
from tests.support.toy import toy_every_graph, toy_graph

RNG = np.random.default_rng(0)


def t(name: str, shape: int | tuple[int, ...], dtype: str = "int16", **more: object) -> QTensor:
    size = (shape,) if isinstance(shape, int) else shape
    more = {"scale": 2.0**-15} | more
    return QTensor(name, size, dtype, **more)  # type: ignore[arg-type]


def graph_of(ops: list[AbstractOp], scores: QTensor, frame: int = 4, length: int = 3) -> QGraph:
    """Return a graph whose deciding stage reads `window` (length, frame)."""
    frames, window = t("frame", frame, role="input"), t("window", (length, frame), role="input")
    stages = (
        Stage("sample", InputTrigger(frames, "ring")),
        Stage("decide", EveryTrigger("ring", window, 2, length), tuple(ops), (), (scores,)),
    )
    return QGraph(stages, (Ring("ring", frames, length),), "g", {"classes": ["a", "b"]})


def outputs(graph: QGraph) -> np.ndarray:
    stage = graph.deciding_stage
    rng = np.random.default_rng(3)
    window = rng.integers(-32768, 32768, (50, *graph.deciding_trigger.window.shape))
    values = interpreter.run_stage(stage, {"window": window}, {})
    return np.asarray(values[graph.output.name])


def joined(value: int = 77) -> tuple[QGraph, Linear]:
    """Return a matrix that reads the window's pool and a constant, int8 with zero points."""
    flat, rest = (
        t("flat", 5, "int8", scale=0.5, zero_point=3),
        t("rest", 3, "int8", scale=0.5, zero_point=-9),
    )
    window = t("window", (3, 4), role="input")
    first = Linear.quantize("first", window, flat, RNG.normal(0, 9, (5, 12)), np.zeros(5))
    join = Concat.join("join", (flat, rest), "both")
    scores = t("scores", 2, scale=0.01)
    head = Linear.quantize("head", join.outputs[0], scores, RNG.normal(0, 9, (2, 8)), np.ones(2))
    ops = [Constant.fill("rest_value", rest, value), first, join, head]
    return graph_of(ops, scores), head


@pytest.mark.parametrize("value", [77, -9, -128])
def test_columns_that_read_constants_go_into_the_bias(value: int) -> None:
    graph, head = joined(value)
    folded = fold_constants(graph)
    assert [op.name for op in folded.ops] == ["first", "head"]
    last = folded.ops[-1]
    assert isinstance(last, Linear)
    assert last.weight.shape == (2, 5)
    assert (last.bias.tolist() == head.bias.tolist()) == (value == -9)  # its zero point
    np.testing.assert_array_equal(outputs(folded), outputs(graph))


def test_a_joined_vector_that_others_read_keeps_its_constants() -> None:
    graph, _ = joined()
    join = graph.deciding_stage.ops[2]
    stage = replace(graph.deciding_stage, probes=join.outputs)
    kept = replace(graph, stages=(graph.stages[0], stage))
    folded = fold_constants(kept)
    assert [op.kind for op in folded.ops] == ["linear", "constant", "concat", "linear"]
    np.testing.assert_array_equal(outputs(folded), outputs(kept))


def test_sums_with_zero_and_memories_of_zero_shrink() -> None:
    window = t("window", (3, 4), role="input")
    a, zero, total = t("a", 2), t("zero", 2), t("total", 2, scale=2.0**-14)
    gate = QTensor("gate", (2,), "uint16", 2.0**-15, 0, 0, 1 << 15)
    memory, kept = (
        t(n, 2, "int32", scale=2.0**-24, qmin=1 - (1 << 31)) for n in ("memory", "kept")
    )
    scores = t("scores", 2)
    dense = Linear.quantize("dense", window, a, RNG.normal(0, 0.1, (2, 12)), np.zeros(2))
    value = t("value", 2, qmin=-32767)
    ops = [
        Constant.fill("z", zero, 0),
        Constant.fill("g", gate, 20000),
        Constant.fill("m", memory, 0),
        dense,
        Add.quantize("sum", a, zero, total),
        Requantize.quantize("limit", total, value),
        Remember("remember", (memory, gate, value, gate), (kept,), 24),
        Requantize.quantize("show", kept, scores),
    ]
    graph = graph_of(ops, scores)
    folded = fold_constants(graph)
    kinds = ["linear", "requantize", "requantize", "constant", "gate", "requantize"]
    assert [op.kind for op in folded.ops] == kinds
    np.testing.assert_array_equal(outputs(folded), outputs(graph))


def test_a_result_that_is_constant_stays() -> None:
    scores = t("scores", 2)
    graph = graph_of([Constant.fill("fixed", scores, 5)], scores)
    folded = fold_constants(graph)
    assert [op.kind for op in folded.ops] == ["constant"]


@pytest.mark.parametrize("make", [toy_graph, toy_every_graph])
def test_graphs_without_constants_and_convolutions_stay_as_they_are(make: object) -> None:
    graph = make()  # type: ignore[operator]
    assert [o.name for o in fold_constants(graph).ops] == [o.name for o in graph.ops]
    assert stream_columns(graph) == graph
    assert crop_kernels(graph) == graph


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_taps_on_padding_are_cropped(padding: str) -> None:
    """Of a kernel of 5 by 7 on an image of 2 by 1 only 3 by 1 taps ever see it."""
    x = t("x", (2, 1, 3), "int8", scale=0.1, zero_point=4)
    size = (5, 7) if padding == "same" else (2, 1)
    geometry = geometry_of((2, 1), size, (1, 1), padding)
    y = t("y", (*geometry.output, 2), scale=0.01)
    op = Conv2d.quantize("conv", x, y, RNG.normal(0, 1, (*size, 3, 2)), np.ones(2), geometry)
    cropped = crop_kernel(op)
    assert isinstance(cropped, Conv2d)
    assert cropped.kernel_size == ((3, 1) if padding == "same" else (2, 1))
    values = RNG.integers(-128, 128, (40, 2, 1, 3))
    np.testing.assert_array_equal(cropped.reference(values)[0], op.reference(values)[0])


def test_two_parts_that_vary_stay_joined_without_the_constant_between_them() -> None:
    window = t("window", (3, 4), role="input")
    parts = [t(n, 3, "int8", scale=0.5) for n in ("one", "rest", "two")]
    dense = [
        Linear.quantize(f"to_{p.name}", window, p, RNG.normal(0, 9, (3, 12)), np.zeros(3))
        for p in (parts[0], parts[2])
    ]
    join = Concat.join("join", tuple(parts), "all")
    scores = t("scores", 2, scale=0.01)
    head = Linear.quantize("head", join.outputs[0], scores, RNG.normal(0, 9, (2, 9)), np.ones(2))
    graph = graph_of([*dense, Constant.fill("value", parts[1], 7), join, head], scores)
    folded = fold_constants(graph)
    assert [op.name for op in folded.ops] == ["to_one", "to_two", "join", "head"]
    np.testing.assert_array_equal(outputs(folded), outputs(graph))


def test_a_sum_with_what_is_zero_in_part_stays() -> None:
    window = t("window", (3, 4), role="input")
    a, some, total = t("a", 2), t("some", 2), t("total", 2, scale=2.0**-14)
    dense = Linear.quantize("dense", window, a, RNG.normal(0, 0.1, (2, 12)), np.zeros(2))
    value = Constant("value", (), (some,), np.array([0, 5000], np.int32))
    graph = graph_of([value, dense, Add.quantize("sum", a, some, total)], total)
    folded = fold_constants(graph)
    assert [op.kind for op in folded.ops] == ["linear", "constant", "add"]
    np.testing.assert_array_equal(outputs(folded), outputs(graph))


def test_the_output_is_named_and_nothing_else() -> None:
    graph = toy_every_graph()
    named = name_output(graph, "wanted")
    assert named.output == replace(graph.output, name="wanted")
    frames = {
        t.name: RNG.integers(t.qmin, t.qmax, (9, *t.shape)) for t in graph.deciding_stage.inputs
    }
    state = interpreter.initial_state(graph.deciding_stage, (9,))
    before = interpreter.run_stage(graph.deciding_stage, frames, state)
    after = interpreter.run_stage(named.deciding_stage, frames, state)
    assert before.keys() - after.keys() == {graph.output.name}
    np.testing.assert_array_equal(after["wanted"], before[graph.output.name])
    taken = graph.ops[0].outputs[0].name
    assert name_output(graph, taken) is graph


def test_a_window_with_frames_between_is_not_streamed() -> None:
    frame, window = t("frame", 2, role="input"), t("window", (4, 1, 2), role="input")
    image = t("image", (1, 2))
    columns, scores = t("columns", (3, 1, 2), scale=1e-4), t("scores", 2, scale=0.01)
    geometry = geometry_of((4, 1), (2, 1), (1, 1), "valid")
    conv = Conv2d.quantize(
        "conv", window, columns, RNG.normal(0, 1, (2, 1, 2, 2)), np.zeros(2), geometry
    )
    flat = t("flat", 6, scale=1e-4)
    shape = Requantize.quantize("shape", frame, image)
    flatten = Requantize.quantize("flatten", columns, flat)
    head = Linear.quantize("head", flat, scores, RNG.normal(0, 1, (2, 6)), np.zeros(2))
    for dilation, is_streamed in ((1, True), (2, False)):
        reach = 3 * dilation + 1
        trigger = EveryTrigger("ring", window, 1, 4, dilation=dilation)
        stages = (
            Stage("sample", InputTrigger(frame, "ring"), (shape,), (), (image,)),
            Stage("decide", trigger, (conv, flatten, head), (), (scores,)),
        )
        graph = QGraph(stages, (Ring("ring", image, reach),), "g", {"classes": ["a", "b"]})
        assert (stream_columns(graph) != graph) == is_streamed, dilation

"""Windows whose frames lie apart, and skips over them: simulator, whole records, C, torch."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.codegen.kernels import HOST, Core
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.errors import GraphError
from lnn_edge.files import resources
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Add
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.batch import decision_inputs
from lnn_edge.graph.sim.queues import Counters
from lnn_edge.graph.sim.stream import Decision, Stream
from lnn_edge.graph.stage import EveryTrigger, Window, every_trigger
from tests.support.causal import Net, real_rows
from tests.support.host_c import WARNINGS, compile_model, record_items, run_c, run_reference
from tests.support.toy import motion, toy_every_graph

NO_EVENTS = np.zeros(0, np.int64)
NETS = {
    "causal": Net(),
    "valid": Net(start="edge", hop=2),
    "slow": Net(kernel=2, dilations=(1, 3, 7), thin=2, channels=8),
    "late": Net(dilations=(4, 3), hop=3, slack=2),
    "residual": Net(skip=1),
    "pairs": Net(skip=2, dilations=(1, 1, 3, 2)),
    "valid pairs": Net(skip=2, dilations=(1, 2, 3, 1), start="edge", hop=2, slack=1),
    "over all": Net(skip=3, kernel=2, dilations=(1, 3, 7), thin=2, channels=8),
}


@pytest.fixture(scope="module", params=NETS)
def graph(request: pytest.FixtureRequest) -> QGraph:
    return NETS[request.param].graph()


@pytest.fixture(scope="module")
def program(graph: QGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_model(graph, tmp_path_factory.mktemp(graph.name))


def dilated(length: int, **fields: object) -> QGraph:
    """The toy that decides on 8 frames, these apart, its ring as long as is said."""
    graph = toy_every_graph(ring_length=length)
    trigger = replace(every_trigger(graph.deciding_stage), **fields)  # type: ignore[arg-type]
    return replace(graph, stages=(graph.stages[0], replace(graph.stages[1], trigger=trigger)))


def test_the_window_is_frames_that_lie_apart() -> None:
    stream, windows = Stream(dilated(22, dilation=3)), {}
    for index in range(40):
        stream.push_frame(np.full(3, 100 + index, np.int16))
        windows |= {d.stamp: d.values["window"][:, 0].tolist() for d in stream.decisions()}
    assert windows[37] == list(range(116, 138, 3))
    assert windows[5] == [100] * 6 + [102, 105]  # begins before the record


def test_a_window_of_neighbours_is_the_one_of_before() -> None:
    graph = toy_every_graph()
    assert dilated(11, dilation=1).deciding_trigger == graph.deciding_trigger
    assert every_trigger(graph.deciding_stage).reach == 8


@pytest.mark.parametrize("lost", [3, 4])
def test_a_firing_whose_first_tap_has_left_the_ring_is_dropped(lost: int, tmp_path: Path) -> None:
    graph = dilated(25, dilation=3)
    items: list[tuple[str, object]] = [("N", f) for f in motion(6, 6)]
    items += [("S", lost), ("G", None)]
    expected = run_reference(graph, items)
    assert expected.startswith(b"D") == (lost < 4)
    assert run_c(compile_model(graph, tmp_path), items) == expected


@pytest.mark.parametrize(("low", "high"), [(-4000, 4000), (-32768, 32767), (0, 0)])
def test_random_frames_are_bit_exact(graph: QGraph, program: Path, low: int, high: int) -> None:
    items = [*record_items(motion(1, 300, low, high), NO_EVENTS), ("G", None)]
    expected = run_reference(graph, items)
    assert expected.count(b"D") > 40
    assert run_c(program, [*items, ("R", None), *items]) == expected + expected


@pytest.mark.parametrize("lost", [1, 9, 1000])
@pytest.mark.parametrize("before", [0, 1, 60])
def test_lost_frames_are_bit_exact(graph: QGraph, program: Path, lost: int, before: int) -> None:
    frames = motion(2, 120)
    items = [("F", f) for f in frames[:before]] + [("S", lost), ("G", None)]
    items += [x for f in frames[before:] for x in (("F", f), ("G", None))]
    assert run_c(program, items) == run_reference(graph, items)


@pytest.mark.parametrize("cut", [0, 1, 13, 100])
def test_a_state_put_into_another_instance_continues_exactly(
    graph: QGraph, program: Path, cut: int
) -> None:
    stream, frames = Stream(graph), motion(5, 200)
    list(stream.run(frames[:cut]))
    rest = [*(("F", f) for f in frames[cut:]), ("G", None)]
    whole = run_reference(graph, [*(("F", f) for f in frames[:cut]), *rest])
    assert whole.endswith(run_c(program, [("P", stream.state_blob()), *rest]))


def test_whole_records_decide_as_the_stream_does(graph: QGraph) -> None:
    records = [motion(seed, n) for seed, n in ((3, 150), (4, 3), (5, 61))]
    found = decision_inputs(graph, [(r, NO_EVENTS) for r in records])
    for record, (stamps, inputs) in zip(records, found, strict=True):
        decisions = list(Stream(graph).run(record))
        assert [d.stamp for d in decisions] == stamps.tolist()
        for step, decision in enumerate(decisions):
            for name, values in inputs.items():
                np.testing.assert_array_equal(values[step], decision.values[name])
    assert len(found[0][0]) > 20


@pytest.mark.parametrize("name", NETS)
def test_each_layer_is_the_dilated_convolution_of_torch(name: str) -> None:
    """On its dequantized input, of every frame from the first on, within half a step."""
    net = replace(NETS[name], hop=1, slack=0)
    for depth in range(1, len(net.dilations) + 1):
        graph, decisions = cut(net, depth)
        window, conv = graph.deciding_stage.inputs[0], graph.deciding_stage.ops[0]
        assert isinstance(conv, Linear)
        z = window.dequantize(np.stack([d.values[window.name] for d in decisions]))
        reach = net.reach(depth - 1) - 1
        weight, bias = real_rows(conv)
        kernel = torch.from_numpy(weight.reshape(-1, *window.shape).transpose(0, 2, 1))
        line = torch.nn.functional.pad(torch.from_numpy(z[:, -1].T), (reach, 0))
        real = torch.nn.functional.conv1d(
            line[None], kernel, torch.from_numpy(bias), dilation=net.dilations[depth - 1]
        )[0].T
        y = conv.outputs[0]
        found = y.dequantize(np.stack([d.values[y.name] for d in decisions]))
        expected = real.numpy().clip(0, y.qmax * y.scales[0])
        whole = 0 if net.start == "zero" else reach  # valid: before them the taps are not at hand
        assert len(found) > whole + 40
        error = np.abs(found - expected)[whole:].max()
        assert error <= y.scales[0] / 2 + 1e-9
        assert np.abs(found).max() > 50 * y.scales[0]


def cut(net: Net, depth: int) -> tuple[QGraph, list[Decision]]:
    """Return a network of the first layers, and what it decides on a record."""
    graph = replace(net, dilations=net.dilations[:depth]).graph()
    return graph, list(Stream(graph).run(motion(7, 150)))


@pytest.mark.parametrize("name", [name for name, net in NETS.items() if net.skip])
def test_a_skip_carries_the_value_of_the_same_frame(name: str) -> None:
    """That which the earlier layer's own window ends with; the sum is right to half a step."""
    net = replace(NETS[name], hop=1)
    for depth in range(net.skip, len(net.dilations) + 1, net.skip):
        graph, decisions = cut(net, depth)
        conv, add = graph.deciding_stage.ops[:2]
        (y, skipped), total = add.inputs, add.outputs[0]
        assert y == conv.outputs[0]
        source, earlier = cut(net, depth + 1 - net.skip)
        taps = source.deciding_stage.inputs[0].name
        carried = {d.stamp: d.values[taps][-1] for d in earlier}
        assert len(decisions) > 50
        for d in decisions:
            np.testing.assert_array_equal(d.values[skipped.name], carried[d.stamp])
            real = y.dequantize(d.values[y.name]) + skipped.dequantize(d.values[skipped.name])
            found = total.dequantize(d.values[total.name])
            limited = real.clip(total.qmin * total.scales[0], total.qmax * total.scales[0])
            assert np.abs(found - limited).max() <= total.scales[0] / 2 + 1e-9


def with_other(layer: int, window: Window, net: Net | None = None) -> QGraph:
    """A network one of whose layers has another further window."""
    graph = (net or NETS["pairs"]).graph()
    stages = list(graph.stages)
    trigger = every_trigger(stages[layer + 1])
    stages[layer + 1] = replace(stages[layer + 1], trigger=replace(trigger, others=(window,)))
    return replace(graph, stages=tuple(stages))


SKIPPED = every_trigger(NETS["pairs"].graph().stages[2]).others[0].frames
SAMPLES = QTensor("more", (1, 3), "int16", 1 / 1000, role="input")


@pytest.mark.parametrize(
    ("window", "sentence"),
    [
        (Window("none", SKIPPED), "stage layer1 reads ring none before it is filled"),
        (Window("z2", SKIPPED), "stage layer1 reads ring z2 before it is filled"),
        (Window("z0", SKIPPED, 9), "ring z0 must have at least 9 frames, not 3"),
        (Window("z0", SKIPPED, 2), r"window shape \(6,\) does not fit the ring's frames"),
        (Window("z0", SKIPPED, 1, 0), "skip0: length and dilation must be at least 1 frame"),
        (Window("z0", replace(SKIPPED, name="taps1")), "stage layer1: two inputs or states have"),
    ],
)
def test_a_further_window_that_does_not_fit_is_named(window: Window, sentence: str) -> None:
    with pytest.raises(GraphError, match=sentence):
        with_other(1, window)


def test_a_further_window_in_another_format_is_named() -> None:
    window = Window("z0", replace(SKIPPED, name="more", scale=1.0))
    with pytest.raises(GraphError, match="more and the ring's frames have different formats"):
        with_other(0, window)


def test_a_ring_at_another_pace_is_named() -> None:
    sentence = (
        "stage layer1: ring samples must get a frame whenever z1 gets one; it gets one after 1 "
        "input frames and every 1, ring z1 after 2 and every 2"
    )
    with pytest.raises(GraphError, match=sentence):
        with_other(2, Window("samples", SAMPLES), NETS["slow"])


def test_a_ring_that_begins_later_is_named() -> None:
    """The stage counts z0; z2 is there when two layers have waited for their taps."""
    graph = NETS["valid"].graph()
    window = Window("z2", replace(graph.rings[2].frame, name="later", role="input"))
    stage = graph.deciding_stage
    taps = replace(graph.rings[0].frame, name="taps", shape=(3, 6), role="input")
    conv = replace(stage.ops[0], inputs=(taps,))
    changed = replace(
        stage,
        trigger=EveryTrigger("z0", taps, 1, 3, others=(window,)),
        ops=(conv, *stage.ops[1:]),
    )
    with pytest.raises(GraphError, match="it gets one after 7 input frames and every 1, "):
        replace(graph, stages=(*graph.preparing_stages, changed))


def test_a_further_window_is_kept_as_long_as_the_one_that_is_counted() -> None:
    graph = replace(NETS["pairs"], slack=2).graph()
    short = tuple(replace(r, length=2) if r.name == "z2" else r for r in graph.rings)
    with pytest.raises(GraphError, match="ring z2 must have at least 7 frames, not 2"):
        replace(graph, rings=short)
    kept = tuple(replace(r, length=7) if r.name == "z2" else r for r in graph.rings)
    sentence = (
        "ring z2 must have at least 8 frames, not 7, to keep what stage decide reads as long as"
    )
    trigger = replace(graph.deciding_trigger, first=1)
    stages = (*graph.stages[:-1], replace(graph.deciding_stage, trigger=trigger))
    longer = tuple(replace(r, length=12) if r.name == "z3" else r for r in kept)
    with pytest.raises(GraphError, match=sentence):
        replace(graph, stages=stages, rings=longer)


@pytest.mark.parametrize("late", [0, 2, 3])
def test_a_firing_polled_late_reads_what_it_would_have_read(
    late: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Both windows are those of its frame; after more frames than the slack it is dropped."""
    graph = replace(NETS["valid pairs"], hop=20, slack=2).graph()
    frames = motion(9, 60)
    prompt = list(Stream(graph).run(frames))
    items: list[tuple[str, object]] = [("N", f) for f in frames[: prompt[0].stamp + late]]
    items += [("F", frames[prompt[0].stamp + late]), ("G", None)]
    expected = run_reference(graph, items)
    assert run_c(compile_model(graph, tmp_path_factory.mktemp("late")), items) == expected
    made = late < 3
    assert expected.startswith(b"D" + prompt[0].stamp.to_bytes(4, "little")) == made
    assert (prompt[0].outputs.astype("<i2").tobytes() in expected) == made


def branched() -> QGraph:
    """Two dilations side by side on one ring, their sum the frame of the next."""
    graph = Net(dilations=(1, 2), slack=6).graph()
    stage = graph.stages[1]
    conv = stage.ops[0]
    y, taps = conv.outputs[0], conv.inputs[0]
    parts = replace(y, name="near"), replace(y, name="far")
    far = replace(taps, name="far_taps")
    ops = (
        replace(conv, outputs=parts[:1]),
        replace(conv, name="far_matrix", inputs=(far,), outputs=parts[1:]),
        Add.quantize("join", *parts, y),
    )
    others = (Window("z0", far, 3, 4),)
    trigger = replace(every_trigger(stage), others=others)
    changed = replace(stage, trigger=trigger, ops=ops)
    return replace(graph, stages=(graph.stages[0], changed, graph.stages[2]))


def showing(net: Net) -> QGraph:
    """A network that shows further windows: three frames of the first ring, one of the second."""
    graph = net.graph()
    stage, (first, second) = graph.deciding_stage, graph.rings[:2]
    three = replace(first.frame, name="three", shape=(3, *first.frame.shape), role="input")
    one = replace(second.frame, name="one", role="input")
    others = (Window(first.name, three, 3, 2), Window(second.name, one))
    trigger = replace(every_trigger(stage), others=others)
    shown = replace(stage, trigger=trigger, probes=(*stage.probes, three, one))
    return replace(graph, stages=(*graph.preparing_stages, shown))


MADE = {
    "branched": branched,
    "showing": lambda: showing(Net(dilations=(2, 1, 2), slack=1)),
    "showing valid": lambda: showing(Net(start="edge", dilations=(2, 1, 2), hop=3, slack=2)),
}


@pytest.mark.parametrize("name", MADE)
def test_further_windows_of_every_kind_are_bit_exact(name: str, tmp_path: Path) -> None:
    """At once, after lost frames, polled late; and whole records as the stream."""
    graph, frames = MADE[name](), motion(3, 120)
    items: list[tuple[str, object]] = [("F", f) for f in frames[:50]]
    items += [("S", 3), *(("F", f) for f in frames[50:70]), ("N", frames[70]), ("F", frames[71])]
    items += [("S", 40), *(("N", f) for f in frames[72:80]), *(("F", f) for f in frames[80:])]
    items += [("G", None)]
    expected = run_reference(graph, items)
    assert expected.count(b"D") > 20
    assert run_c(compile_model(graph, tmp_path), items) == expected
    ((_, inputs),) = decision_inputs(graph, [(frames, NO_EVENTS)])
    decisions = list(Stream(graph).run(frames))
    for tensor, values in inputs.items():
        np.testing.assert_array_equal(values, np.stack([d.values[tensor] for d in decisions]))


def test_a_window_shows_the_frames_of_its_own_moment() -> None:
    """Of z0 the newest three of every second frame, though the stage counts z2, which is late."""
    graph = MADE["showing valid"]()
    frames = motion(3, 60)
    entered = {d.stamp: d for d in Stream(Net(dilations=(1,)).graph()).run(frames)}
    for decision in Stream(graph).run(frames):
        stamps = decision.stamp - np.array([4, 2, 0])
        found = [entered[s].values["taps0"][-1] for s in stamps]
        np.testing.assert_array_equal(decision.values["three"], found)


def test_a_diagnostic_build_with_further_windows_compiles(tmp_path: Path) -> None:
    code = generate(NETS["pairs"].graph(), HOST, trace=True)
    for file, text in render_model(code).items():
        (tmp_path / file).write_text(text)
    runtime = resources.path("firmware") / "runtime"
    command = ["gcc", *WARNINGS, "-c", f"-I{tmp_path}", f"-I{runtime}", "causal.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "net", [Net(channels=16, skip=1), Net(channels=76, dtype="int16", skip=2, dilations=(1, 2))]
)
def test_the_kernels_of_a_core_with_dsp_instructions_are_bit_exact(
    net: Net, tmp_path: Path
) -> None:
    """Short frames, and such as are copied in several chunks."""
    graph = net.graph()
    items = [*record_items(motion(1, 200), NO_EVENTS), ("G", None)]
    program = compile_model(graph, tmp_path, Core("cortex-m7", dsp=True))
    assert run_c(program, items) == run_reference(graph, items)


def test_nothing_is_dropped_at_the_shortest_ring(graph: QGraph) -> None:
    stream = Stream(graph)
    list(stream.run(motion(8, 100)))
    assert stream.counters == Counters()


def test_a_dilated_window_does_not_slide() -> None:
    graph = Net().graph()
    assert [graph.slides(r) for r in graph.rings] == [True, False, False]
    residual = Net(skip=1).graph()
    assert [residual.slides(r) for r in residual.rings] == [False, False, False]


@pytest.mark.parametrize(
    ("length", "dilation", "sentence"),
    [
        (21, 3, "ring samples must have at least 22 frames, not 21"),
        (11, 0, "window: length and dilation must be at least 1 frame, not 8 and 0"),
        (11, -2, "window: length and dilation must be at least 1 frame, not 8 and -2"),
    ],
)
def test_a_dilation_that_does_not_fit_is_named(length: int, dilation: int, sentence: str) -> None:
    with pytest.raises(GraphError, match=sentence):
        dilated(length, dilation=dilation)

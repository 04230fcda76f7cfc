"""A header is a contract: what it says of times, units and classes is what the model does."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.data.uci_har import STEPS
from lnn_edge.errors import DataError, GraphError, UsageError
from lnn_edge.files import resources
from lnn_edge.files.shipped import graph_path, shipped_names
from lnn_edge.graph.contract import contract_of
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import LabelledSignal
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.nn.model_card import unlearned_beside
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import ModelCard, Trained
from lnn_edge.train.recipe import load_recipe
from tests.support.causal import Net
from tests.support.cells import frames_for, make_net, quantized
from tests.support.host_c import WARNINGS
from tests.support.places import SUPPORT
from tests.support.recordings import motion
from tests.support.toy import toy_every_graph, toy_graph, toy_source_graph, toy_staged_graph

UNITS = SUPPORT / "c" / "units.c"


@cache
def network_graph(name: str) -> QGraph:
    """Return the graph of a recipe's network with drawn weights."""
    recipe = load_recipe(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_network(recipe.network, recipe.model).eval()
    is_motion = name.startswith("har")
    runs: list[LabelledSignal] = [motion(1, 20)] if is_motion else []
    data = runs or load_labelled("synthetic-12lead")[:1]
    return quantize(Trained(network, ModelCard("", 0, "", (), (), recipe)), data)


@cache
def cell_graph(dt: float | None) -> QGraph:
    net = make_net("default", dt)
    facts = {"cell": "cfc", "dt": dt or "input", "source": "policy.pt"}
    return quantized(net, frames_for(net, 4, 100), facts=facts)


@cache
def shipped(name: str) -> QGraph:
    return load_graph(graph_path(Path(name)))


def without_task(graph: QGraph) -> QGraph:
    return replace(graph, metadata={k: v for k, v in graph.metadata.items() if k != "task"})


FIRED_BY_FRAMES: dict[str, Callable[[], QGraph]] = {
    "ccfc": lambda: shipped("ccfc"),
    "cltc": lambda: shipped("cltc"),
    "ccfc-stream": lambda: network_graph("ccfc-stream"),
    "har-cfc": lambda: network_graph("har-cfc"),
    "har-convlstm-cfc": lambda: network_graph("har-convlstm-cfc"),
    "har-spectrum-cfc": lambda: network_graph("har-spectrum-cfc"),
    "har-demo": lambda: network_graph("har-demo"),
    "cell": lambda: cell_graph(1.0),
    "cell with dt": lambda: cell_graph(None),
    "every": toy_every_graph,
    "every, long ring": lambda: toy_every_graph(hop=4, first=9, ring_length=30),
    "staged": toy_staged_graph,
    "causal": Net(slack=3, skip=1).graph,
    "valid": Net(start="edge", thin=2, hop=3, skip=3).graph,
}
FIRED_BY_EVENTS: dict[str, Callable[[], QGraph]] = {
    "ecg-beats-cfc": lambda: shipped("ecg-beats-cfc"),
    "finding": lambda: find_beats(shipped("ecg-beats-cfc")),
    "event": lambda: without_task(toy_graph()),
    "event, no wait": lambda: without_task(toy_graph(wait=0)),
    "source": toy_source_graph,
}
ALL = FIRED_BY_FRAMES | FIRED_BY_EVENTS


def header_of(graph: QGraph, unlearned: tuple[str, ...] | None = None) -> str:
    return render_model(generate(graph, HOST, unlearned=unlearned))[f"{graph.name}.h"]


def macros_of(graph: QGraph) -> dict[str, int]:
    prefix = f"{graph.name.upper()}_"
    found = re.findall(rf"#define {prefix}(\w+) \(?(-?\d+)[UL]*\)?", header_of(graph))
    return {name: int(value) for name, value in found}


def frames(graph: QGraph, count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(-300, 300, (count, graph.frame.size)).astype(np.int16)


# --- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIRED_BY_FRAMES)
def test_decisions_come_when_the_header_says(name: str) -> None:
    graph = FIRED_BY_FRAMES[name]()
    macros = macros_of(graph)
    first, interval = macros["FIRST_DECISION_FRAMES"], macros["DECISION_INTERVAL_FRAMES"]
    stamps = [d.stamp for d in Stream(graph).run(frames(graph, first + 2 * interval - 1))]
    assert stamps == [first - 1, first - 1 + interval]


@pytest.mark.parametrize(
    ("name", "first", "interval"), [("ccfc", 4352, 1024), ("ccfc-stream", 512, 128), ("cell", 1, 1)]
)
def test_frames_are_those_of_the_input(name: str, first: int, interval: int) -> None:
    """Not columns of a spectrum: 33 of 128 samples, the first after 256, are 4,352 samples."""
    macros = macros_of(FIRED_BY_FRAMES[name]())
    assert macros["FIRST_DECISION_FRAMES"] == first
    assert macros["DECISION_INTERVAL_FRAMES"] == interval


def test_what_windows_read_before_the_record_is_said_where_it_is_zero() -> None:
    graph = toy_staged_graph()
    assert "read zeros" not in header_of(graph)
    rings = (graph.rings[0], *(replace(r, start="zero") for r in graph.rings[1:]))
    said = "Before the first frame the windows of code, decide read zeros."
    assert said in header_of(replace(graph, rings=rings))


@pytest.mark.parametrize("name", [n for n in FIRED_BY_FRAMES if n != "cltc"])  # as ccfc
def test_a_decision_waits_as_long_as_the_header_says(name: str) -> None:
    graph = FIRED_BY_FRAMES[name]()
    first = macros_of(graph)["FIRST_DECISION_FRAMES"]
    said = re.search(r"Poll one before ([\d,]+) frames? more", header_of(graph))
    assert said is not None
    patience = int(said[1].replace(",", ""))
    for more, is_lost in ((patience - 1, False), (patience, True)):
        stream = Stream(graph)
        for frame in frames(graph, first + more):
            stream.push_frame(frame)
        stamps = [d.stamp for d in stream.decisions()]
        counters = stream.counters
        assert (counters.event_overflows + counters.events_rejected > 0) == is_lost
        assert is_lost or stamps == [first - 1]


def pushed(stream: Stream, graph: QGraph, until: int) -> None:
    """Push frames, of which none tells of an event, up to a number of them."""
    quiet = np.zeros(graph.frame.size, np.int16)
    while stream.frames < until:
        stream.push_frame(quiet)


@pytest.mark.parametrize("name", ["ecg-beats-cfc", "event", "event, no wait"])
def test_a_decision_on_an_event_comes_when_the_header_says(name: str) -> None:
    graph = FIRED_BY_EVENTS[name]()
    macros, at = macros_of(graph), 100
    post, wait = macros["EVENT_POST_FRAMES"], macros["EVENT_WAIT_FRAMES"]
    alone = Stream(graph)
    pushed(alone, graph, at + 1)
    alone.push_event(at)
    latest = at + max(post, wait)
    pushed(alone, graph, latest - 1)
    assert not list(alone.decisions())
    pushed(alone, graph, latest)
    assert [d.stamp for d in alone.decisions()] == [at]
    followed = Stream(graph)
    pushed(followed, graph, at + 2)
    followed.push_event(at)
    followed.push_event(at + 1)
    pushed(followed, graph, at + post - 1)
    assert not list(followed.decisions())
    pushed(followed, graph, at + post)
    assert next(d.stamp for d in followed.decisions()) == at


@pytest.mark.parametrize("name", ["ecg-beats-cfc", "event", "event, no wait"])
def test_an_event_waits_as_long_as_the_header_says(name: str) -> None:
    graph = FIRED_BY_EVENTS[name]()
    reach, at = macros_of(graph)["EVENT_REACH_FRAMES"], 100
    for more, stamps in ((0, [at]), (1, [])):
        stream = Stream(graph)
        pushed(stream, graph, at + reach + more)
        stream.push_event(at)
        assert [d.stamp for d in stream.decisions()] == stamps
        assert stream.counters.events_rejected == more


def test_a_model_that_finds_events_says_how_late() -> None:
    graph = find_beats(shipped("ecg-beats-cfc"))
    said = re.search(r"finds the R peaks itself, each at most (\d+) frames", header_of(graph))
    assert said is not None
    trigger = graph.deciding_trigger
    assert isinstance(trigger, EventTrigger)
    assert trigger.pre + int(said[1]) < graph.ring(trigger.ring).length  # so none is lost
    assert "finds the events itself, each at most 499 frames" in header_of(toy_source_graph())


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("ecg-beats-cfc", "finding")])
def test_only_models_of_beats_speak_of_r_peaks(name: str) -> None:
    assert "R peak" not in header_of(ALL[name]())


# --- units ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("ecg-beats-cfc", ["MLII: mV = (sample - 1024) / 200", "any: mV = (sample - 1024) / 200"]),
        ("ccfc", ["I: mV = sample / 1000", "V6: mV = sample / 1000"]),
        (
            "har-cfc",
            [f"acc_x: g = sample * {1 / STEPS[0]}", f"gyro_z: rad/s = sample * {1 / STEPS[5]}"],
        ),
        ("cell with dt", ["channel 0: real = sample * ", "dt: s = sample * "]),
        ("every", ["x: real = sample * 0.001"]),
    ],
)
def test_every_channel_has_its_unit(name: str, lines: list[str]) -> None:
    text = header_of(ALL[name]())
    for line in lines:
        assert f" *   {line}" in text
    assert ("it is not recorded" in text) == (name in ("cell with dt", "every"))


@pytest.mark.parametrize(
    ("rate", "macro"),
    [(360, "RATE_HZ 360U"), (62.5, "PERIOD_NS 16000000U"), (0.125, "PERIOD_NS 8000000000ULL")],
)
def test_the_rate_is_a_constant(rate: float, macro: str) -> None:
    graph = replace(toy_graph(), metadata={**toy_graph().metadata, "sample_rate_hz": rate})
    assert f"#define TOY_{macro}\n" in header_of(graph)


def run_units(
    graph: QGraph, folder: Path, values: np.ndarray, compiler: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples of float32 (N,) values on each channel, and all values of each output."""
    name, channels, outputs = graph.name, graph.frame.size, graph.output.size
    for file, text in render_model(generate(graph, HOST)).items():
        (folder / file).write_text(text)
    size = re.search(r"per signal, (\d+) bytes", header_of(graph))
    assert size is not None
    defined = {
        "HEADER": f'"{name}_units.h"',
        "QUANTIZE": f"{name}_quantize_input",
        "DEQUANTIZE": f"{name}_dequantize_output",
        "CONTEXT": f"{name}_ctx_t",
        "CONTEXT_BYTES": size[1],
        "CHANNELS": f"{channels}U",
        "OUTPUTS": f"{outputs}U",
        "VALUES": f"{len(values)}U",
    }
    language = ["-x", "c++", "-std=c++17", *WARNINGS[1:]] if "++" in compiler else WARNINGS
    sanitize = ["-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
    include = [f"-I{folder}", f"-I{resources.path('firmware') / 'runtime'}"]
    macros = [f"-D{key}={value}" for key, value in defined.items()]
    program = folder / "units"
    command = [compiler, *language, *sanitize, *include, *macros, str(UNITS), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    raw = values.astype("<f4").tobytes()
    said = subprocess.run([program], input=raw, capture_output=True, check=True).stdout
    cut = 2 * channels * len(values)
    samples = np.frombuffer(said[:cut], "<i2").reshape(channels, -1)
    return samples, np.frombuffer(said[cut:], "<f4").reshape(outputs, -1)


@pytest.mark.parametrize("compiler", ["gcc", "g++"])
@pytest.mark.parametrize("name", ["ecg-beats-cfc", "ccfc", "har-cfc", "cell with dt", "every"])
def test_real_values_are_those_of_numpy(name: str, compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    graph = ALL[name]()
    contract, frame = graph.contract, graph.frame
    gain, shift = contract.adc_gain, contract.adc_zero
    steps = np.full(frame.size, 1 / gain) if gain else np.resize(frame.scales, frame.size)
    zeros = np.full(frame.size, shift) if gain else np.resize(frame.zero_points, frame.size)
    rng = np.random.default_rng(0)
    whole = np.arange(-33000, 33000, 7) * steps[0]
    odd = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-40, 3e38]
    values = np.concatenate((whole, rng.normal(0, 100, 500), odd)).astype(np.float32)
    samples, reals = run_units(graph, tmp_path, values, compiler)
    for channel in range(frame.size):
        with np.errstate(over="ignore"):
            scaled = values / np.float32(steps[channel])  # in 32 bits, as the C does
        wanted = np.floor(np.nan_to_num(scaled.astype(float), nan=-np.inf) + 0.5) + zeros[channel]
        assert np.array_equal(samples[channel], np.clip(wanted, -32768, 32767))
    # Every sample comes back from its real value.
    known = np.arange(-32768, 32768)
    back = ((known - zeros[0]) * steps[0]).astype(np.float32)
    assert np.array_equal(run_units(graph, tmp_path, back, compiler)[0][0], known)
    output = graph.output
    for index, found in enumerate(reals):
        scale = np.float32(np.resize(output.scales, output.size)[index])
        zero = np.resize(output.zero_points, output.size)[index]
        assert np.array_equal(found, (known - zero).astype(np.float32) * scale)


def test_ties_are_rounded_up_as_everywhere(tmp_path: Path) -> None:
    graph = replace(toy_graph(), metadata={**toy_graph().metadata, "adc_gain": 4.0, "adc_zero": 0})
    values = np.array([-0.625, -0.375, -0.125, 0.125, 0.375, 0.625], np.float32)
    assert run_units(graph, tmp_path, values, "gcc")[0][0].tolist() == [-2, -1, 0, 1, 2, 3]


# --- classes --------------------------------------------------------------------------------------


def test_findings_are_decided_for_one_by_one() -> None:
    for name in ("ccfc", "cltc", "ccfc-stream"):
        text = header_of(ALL[name]())
        assert "Decision: each class by itself" in text
        assert "is above " + ALL[name]().name.upper() + "_OUTPUT_ZERO" in text
        assert "the largest score" not in text
    for name in ("ecg-beats-cfc", "har-cfc", "every"):
        assert "Decision: one class, that of the largest score" in header_of(ALL[name]())
    for name in ("cell", "cell with dt"):
        assert "Decision" not in header_of(ALL[name]())


@pytest.mark.parametrize(
    ("name", "classes"), [("ccfc", {"SB", "ST"}), ("cltc", {"SB", "ST"}), ("ecg-beats-cfc", {"F"})]
)
def test_shipped_models_mark_what_they_did_not_learn(name: str, classes: set[str]) -> None:
    """As their cards say: no labels of SB and ST at hand, and F counted as N."""
    path = graph_path(Path(name))
    graph = load_graph(path)
    unlearned = unlearned_beside(path, graph)
    text = header_of(graph, unlearned)
    assert set(re.findall(r"^ \* (\w+) was not learned", text, re.MULTILINE)) == classes
    marked = re.findall(r"/\*\*< (\w+): not learned, its score means nothing \*/", text)
    assert set(marked) == classes
    assert "not recorded" not in text
    told = {key: fact for key, fact in graph.metadata.items() if key != "unlearned"}
    silent = header_of(replace(graph, metadata=told))
    assert "Whether the training data told of every class is not recorded" in silent


def test_a_card_of_other_weights_says_nothing(tmp_path: Path) -> None:
    graph = shipped("ccfc")
    (tmp_path / "model.toml").write_text('weights_sha256 = "00"\nunlearned = ["AF"]\n')
    assert unlearned_beside(tmp_path / "model.qgraph", graph) is None
    assert unlearned_beside(tmp_path / "nowhere" / "model.qgraph", graph) is None
    weights = f'weights_sha256 = "{graph.metadata["weights_sha256"]}"\n'
    (tmp_path / "model.toml").write_text(weights)
    assert unlearned_beside(tmp_path / "model.qgraph", graph) is None
    for wrong in ('["Q"]', '"AF"', "[1]", "true"):
        (tmp_path / "model.toml").write_text(f"{weights}unlearned = {wrong}\n")
        with pytest.raises(DataError, match="must be a list of some of 1dAVb, RBBB"):
            unlearned_beside(tmp_path / "model.qgraph", graph)


def test_what_a_graph_records_comes_before_its_card() -> None:
    graph = replace(toy_graph(), metadata={**toy_graph().metadata, "unlearned": ["S"]})
    text = header_of(graph, ("V",))
    assert "S was not learned" in text
    assert "V was not learned" not in text


def test_any_class_has_a_constant(tmp_path: Path) -> None:
    names = [["1dAVb", "int", "N"], ["a b", "a_b", "a-b_1"], ["größe", "*/", "default"]]
    made = [
        ["CLASS_1DAVB", "CLASS_INT", "CLASS_N"],
        ["CLASS_A_B_0", "CLASS_A_B_1", "CLASS_A_B_1_2"],
        ["CLASS_GR__E", "CLASS___", "CLASS_DEFAULT"],
    ]
    for classes, constants in zip(names, made, strict=True):
        graph = replace(toy_graph(), metadata={**toy_graph().metadata, "classes": classes})
        text = header_of(graph)
        assert re.findall(r"TOY_(CLASS_\w+) = (\d)", text) == [
            (constant, str(index)) for index, constant in enumerate(constants)
        ]
        (tmp_path / "toy.h").write_text(text)
        (tmp_path / "x.c").write_text('#include "toy.h"\n')
        include = [f"-I{tmp_path}", f"-I{resources.path('firmware') / 'runtime'}"]
        for language in (["-std=c11"], ["-x", "c++", "-std=c++17"]):
            command = ["gcc", *language, "-Wall", "-Werror", "-fsyntax-only", *include]
            subprocess.run([*command, str(tmp_path / "x.c")], check=True)


@pytest.mark.parametrize("name", ALL)
def test_every_stage_is_accounted_for(name: str) -> None:
    graph = ALL[name]()
    text = header_of(graph)
    push, poll = text[text.index(" * Work") : text.index(" * Threads")].split("_poll runs")
    assert all(f" *   {stage.name}, every " in push for stage in graph.preparing_stages)
    last = graph.deciding_stage
    assert f" *   {last.name}, every decision: {len(last.ops)} operator" in poll
    macs = sum(op.macs for op in last.ops)
    assert (f" {macs:,} multiply-accumulates" in poll) == (macs > 0)


# --- metadata -------------------------------------------------------------------------------------


def test_shipped_models_have_whole_contracts() -> None:
    for name in shipped_names():
        contract = shipped(name).contract
        assert contract.task in ("beats", "findings", "rhythm")
        assert contract.sample_rate_hz in (360.0, 500.0, 300.0)
        assert contract.adc_gain in (200.0, 1000.0)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ([], "metadata must be an object, not a list"),
        ({"classes": ["N", "N"]}, "two of the classes N, N are alike"),
        ({"classes": "NSV"}, "metadata: classes must be "),
        ({"classes": [1]}, "metadata: classes must be str, not 1"),
        ({"task": 3}, "metadata: task must be str | None, not 3"),
        ({"sample_rate_hz": "360"}, "sample_rate_hz must be float | None, not '360'"),
        ({"sample_rate_hz": 0}, "sample_rate_hz must be 0.001 to 1e+06, not 0"),
        ({"sample_rate_hz": True}, "sample_rate_hz must be float | None, not True"),
        ({"adc_gain": -200.0}, "adc_gain must be 1e-09 to 1e+09, not -200"),
        ({"adc_zero": 40000}, "adc_zero must be -32768 to 32767, not 40000"),
        ({"adc_zero": 0.5}, "adc_zero must be int, not 0.5"),
        ({"dt": "output"}, "dt must be float | ('input',) | None, not 'output'"),
        ({"unlearned": ["Q"], "classes": ["N"]}, "unlearned 'Q' is none of the classes"),
        ({"note": float("nan")}, "metadata: note must be a finite number, not nan"),
        ({"note": {"a": ["\n"]}}, "metadata: note: a '\\n' is not printable text on one line"),
        ({"a\nb": 1}, "metadata: key 'a\\nb' is not printable"),
        ({"note": {1}}, "is not printable text"),
    ],
)
def test_metadata_that_mean_nothing_are_named(metadata: object, sentence: str) -> None:
    with pytest.raises(GraphError) as caught:
        contract_of(metadata)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("key", ["classes", "leads", "units"])
def test_names_are_as_many_as_what_they_name(key: str) -> None:
    with pytest.raises(GraphError, match=rf"metadata: 4 {key} for \w+ of \d elements"):
        replace(toy_graph(), metadata={key: ["a", "b", "c", "d"]})


def test_a_detector_needs_the_rate() -> None:
    for rate in (None, 62.5):
        metadata = {k: v for k, v in toy_graph().metadata.items() if k != "sample_rate_hz"}
        graph = replace(toy_graph(), metadata=metadata | ({"sample_rate_hz": rate} if rate else {}))
        with pytest.raises(
            UsageError, match=f"sample_rate_hz must be a whole number of Hz, not {rate}"
        ):
            find_beats(graph)

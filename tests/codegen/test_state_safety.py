"""States that come from outside: one that the model cannot be in is refused whole."""

from __future__ import annotations

import binascii
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.files import resources
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.ops.r_peaks import RPeaks
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.queues import MOST_AHEAD
from lnn_edge.graph.sim.stream import BLOB_CRC_BYTES, BLOB_HEAD_BYTES, Stream, state_layout
from lnn_edge.graph.stage import EventTrigger
from lnn_edge.tasks.beats.find_beats import find_beats
from tests.support.causal import Net
from tests.support.host_c import SANITIZERS, WARNINGS, compile_model, run_c
from tests.support.places import SUPPORT
from tests.support.toy import toy_every_graph, toy_graph, toy_source_graph, toy_staged_graph

FUZZ = SUPPORT / "c"


def signed(body: bytes, blob: bytes) -> bytes:
    """Put a body into a blob, with the right checksum."""
    whole = blob[:BLOB_HEAD_BYTES] + body
    return whole + binascii.crc32(whole).to_bytes(BLOB_CRC_BYTES, "little")


def with_word(blob: bytes, at: int, value: int) -> bytes:
    """Change a 32-bit word behind the state tensors."""
    body = bytearray(blob[BLOB_HEAD_BYTES:-BLOB_CRC_BYTES])
    body[at : at + 4] = (value % (1 << 32)).to_bytes(4, "little")
    return signed(bytes(body), blob)


def running(graph: QGraph, frames: int) -> tuple[Stream, bytes]:
    stream = Stream(graph)
    rng = np.random.default_rng(1)
    for _ in range(frames):
        stream.push_frame(rng.integers(-500, 500, graph.frame.size).astype(np.int16))
    list(stream.decisions())
    if isinstance(graph.deciding_trigger, EventTrigger):
        stream.push_event(frames - 3)  # not ready yet
        stream.push_event(frames - 1)
    return stream, stream.state_blob()


def after(graph: QGraph, program: Path, blob: bytes) -> bytes:
    """State of the generated model once it was given a blob."""
    output = run_c(program, [("P", blob), ("G", None)])
    return output[-len(blob) :]


@pytest.fixture(scope="module")
def event_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[QGraph, Path]:
    graph = toy_graph()
    return graph, compile_model(graph, tmp_path_factory.mktemp("event"))


@pytest.fixture(scope="module")
def every_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[QGraph, Path]:
    graph = toy_every_graph()
    return graph, compile_model(graph, tmp_path_factory.mktemp("every"))


def test_a_state_that_the_model_was_in_is_taken(event_model, every_model):
    for graph, program in (event_model, every_model):
        for frames in (100, 250):
            _, blob = running(graph, frames)
            assert after(graph, program, blob) == blob


# Words behind the state tensors: next frame, ring filled, events, last, has last, counters, stamps.
FORGED_EVENTS = {
    "more events than the queue holds": (8, 2000),
    "events without end": (8, 0xFFFFFFFF),
    "fewer events than stamps": (8, 1),
    "a ring that is half filled": (4, 2),
    "frames that would wrap": (0, 0xFFFFFFFF),
    "a last event in the far future": (12, 0xFFFFFFF0),
    "a last event that never was": (12, 5),
    "a flag that is none": (16, 7),
    "an event in the far future": (36, 0x7FFFFFFF),
    "events that descend": (36, 99),
}


@pytest.mark.parametrize("case", FORGED_EVENTS)
def test_a_forged_queue_is_refused_whole_and_the_model_reset(case, event_model):
    graph, program = event_model
    stream, blob = running(graph, 100)
    at, value = FORGED_EVENTS[case]
    forged = with_word(blob, len(stream.state_prefix()) + at, value)
    assert forged != blob
    assert after(graph, program, forged) == Stream(graph).state_blob()


def test_what_lies_ahead_is_refused_from_its_limit_on(event_model):
    """Behind the prefix: next frame, ring filled, then events, last, has last, and the stamps."""
    graph, program = event_model
    stream = Stream(graph)
    list(stream.run(np.zeros((300, 2), np.int16), [100, 200]))
    blob, at = stream.state_blob(), len(stream.state_prefix())
    words = np.frombuffer(blob[BLOB_HEAD_BYTES + at :][: 4 * 5], "<u4")
    assert words.tolist() == [300, 1, 0, 200, 1]
    fresh, post = Stream(graph).state_blob(), graph.deciding_trigger.post
    for last, is_legal in ((300 - post, True), (301 - post, False), (300, False)):
        forged = with_word(blob, at + 12, last)
        assert after(graph, program, forged) == (forged if is_legal else fresh)
    for stamp, is_legal in ((300 + MOST_AHEAD, True), (301 + MOST_AHEAD, False)):
        forged = with_word(with_word(blob, at + 8, 1), at + 36, stamp)
        assert after(graph, program, forged) == (forged if is_legal else fresh)


def test_a_sum_that_a_detector_carries_on_has_to_be_right(tmp_path):
    """A wrong one would stay wrong, and the detector deaf."""
    graph = find_beats(toy_graph())
    program = compile_model(graph, tmp_path)
    stream = Stream(graph)
    list(stream.run(np.random.default_rng(2).integers(-900, 900, (300, 2)).astype(np.int16)))
    blob, state = stream.state_blob(), next(op for op in graph.ops if isinstance(op, RPeaks))
    at = 0
    for each in state_layout(graph):
        if each.tensor == state.inputs[2]:
            break
        at += each.tensor.bytes
    at += 4 * state.layout["total"].start
    total = int.from_bytes(blob[BLOB_HEAD_BYTES + at :][:4], "little")
    assert total > 1000
    assert after(graph, program, blob) == blob
    for wrong in (total - 1, total + 1, 0):
        assert after(graph, program, with_word(blob, at, wrong)) == Stream(graph).state_blob()


@pytest.mark.parametrize("due", [101, 1, 0xFFFFFFFF])
def test_a_firing_that_cannot_wait_is_refused(due, every_model):
    graph, program = every_model
    stream, blob = running(graph, 100)
    forged = with_word(blob, len(stream.state_prefix()) + 8, due)
    assert after(graph, program, forged) == Stream(graph).state_blob()


@pytest.fixture(scope="module")
def zero_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[QGraph, Path]:
    """Decides on 8 frames of three axes, its ring full of zeros at the start."""
    graph = toy_every_graph()
    graph = replace(graph, rings=(replace(graph.rings[0], start="zero"),))
    return graph, compile_model(graph, tmp_path_factory.mktemp("zero"))


@pytest.mark.parametrize("frames", [0, 100])
def test_a_ring_that_starts_full_is_full_in_every_state(frames, zero_model):
    """Were the flag taken, the next frame would be the whole past."""
    graph, program = zero_model
    stream, blob = running(graph, frames)
    assert after(graph, program, blob) == blob
    forged = with_word(blob, len(stream.state_prefix()) + 4, 0)
    assert forged != blob
    assert after(graph, program, forged) == Stream(graph).state_blob()


@pytest.mark.parametrize("lost", [1, 500])
def test_a_window_that_slides_and_is_full_before_the_first_frame_has_no_last_one(lost, tmp_path):
    """Frame -1 of a window that fires when it is full lies before its memory."""
    graph = toy_staged_graph()
    coarsen = replace(graph.stages[1], trigger=replace(graph.stages[1].trigger, first=8))
    graph = replace(graph, stages=(graph.stages[0], coarsen, *graph.stages[2:]))
    assert graph.slides(graph.rings[0])
    stream = Stream(graph)
    forged = with_word(stream.state_blob(), len(stream.state_prefix()) + 4, 1)
    items = [("P", forged), ("S", lost), *(("F", np.zeros(3, np.int16)) for _ in range(30))]
    run_c(compile_model(graph, tmp_path), items)


def test_a_value_out_of_its_range_is_refused(event_model):
    """An average of int16 with 14 bits more does not reach 2**30; nor is one of two empty."""
    graph, program = event_model
    _, blob = running(graph, 100)
    assert state_layout(graph)[0].tensor.name == "average"
    for values in ((1 << 30, 0), (-(1 << 31), 0)):
        forged = with_word(with_word(blob, 0, values[0]), 4, values[1])
        assert after(graph, program, forged) == Stream(graph).state_blob()
    legal = with_word(with_word(blob, 0, (1 << 29) - (1 << 14)), 4, -(1 << 29))
    assert after(graph, program, legal) == legal


@pytest.mark.parametrize("at", [0, 3, 5, 13, 20, -1])
def test_a_flipped_bit_anywhere_is_refused(at, event_model):
    """In the head the state stays as it was; the program fills it with 0xA5 before."""
    graph, program = event_model
    _, blob = running(graph, 100)
    damaged = bytearray(blob)
    damaged[at] ^= 1
    output = run_c(program, [("R", None), ("P", bytes(damaged)), ("R", None), ("G", None)])
    assert output[-len(blob) :] == Stream(graph).state_blob()


MODELS: dict[str, Callable[[], QGraph]] = {
    "events": toy_graph,
    "every": toy_every_graph,
    "staged": toy_staged_graph,
    "source": toy_source_graph,
    "zero": lambda: replace(
        toy_staged_graph(),
        rings=tuple(replace(r, start="zero") for r in toy_staged_graph().rings),
    ),
    "causal": Net(skip=2).graph,
    "valid": Net(skip=3, start="edge", thin=2).graph,
    "found": lambda: find_beats(toy_graph()),
    "beats": lambda: load_graph(shipped_graph()),
}


def compile_fuzz(graph: QGraph, folder: Path, road: str) -> Path:
    for name, text in render_model(generate(graph, HOST)).items():
        (folder / name).write_text(text)
    firmware = resources.path("firmware")
    sources = [*folder.glob("*.c"), *(firmware / "runtime").glob("*.c"), FUZZ / f"fuzz_{road}.c"]
    if road == "protocol":
        sources += [firmware / "src" / f"{name}.c" for name in ("frame", "protocol")]
    places = (folder, FUZZ, firmware / "runtime", firmware / "include")
    command = ["gcc", *WARNINGS, *SANITIZERS, *(f"-I{p}" for p in places), *map(str, sources)]
    done = subprocess.run(
        [*command, "-o", str(folder / "fuzz")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "fuzz"


@pytest.mark.parametrize(
    ("model", "road"),
    [*((m, "state") for m in MODELS), ("events", "protocol"), ("staged", "protocol")],
)
def test_no_forged_state_harms_a_model(model: str, road: str, tmp_path: Path) -> None:
    program = compile_fuzz(MODELS[model](), tmp_path, road)
    command = [str(program), "1", "5000", "32"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.match(r"(\d+) accepted, (\d+) refused, (\d+) decisions", done.stdout)
    assert found is not None
    accepted, refused, decisions = map(int, found.groups())
    assert min(accepted, refused) > 500
    assert decisions > 5

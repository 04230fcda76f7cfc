"""The stream of events: the board's decisions as they fall, on a good line and on a bad one."""

from __future__ import annotations

import io
import math
import os
import pty
import threading
import tty
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import lnn_edge as le
from lnn_edge.build.cmake import build
from lnn_edge.build.project import Project, open_project
from lnn_edge.codegen.project import export
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Channel, Record
from lnn_edge.device.board import load_board
from lnn_edge.errors import DataError, UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Decision, Stream
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.beats.quality import with_quality
from lnn_edge.tasks.feed import Wish, load_feed
from lnn_edge.tasks.live import live_frames
from lnn_edge.verify.monitor.events import (
    BoardStatus,
    Decided,
    Event,
    LineLost,
    Paused,
    RecordingBegan,
    RecordingEnded,
    Samples,
    Started,
    Waiting,
)
from lnn_edge.verify.monitor.pace import Pace
from lnn_edge.verify.monitor.play import monitor
from lnn_edge.verify.monitor.source import Live, Source, embedded, given, open_source
from tests.support.bad_line import BadLine, Board, Fault, bad_line
from tests.support.once import once
from tests.support.projects import needs_arm_gcc
from tests.support.toy import motion, toy_every_graph, toy_graph
from tests.tasks.beats.test_find_beats import beats_of, two_leads

FRAMES = motion(3, 300)


def make_project(graph: QGraph, folder: Path) -> Path:
    export(graph, load_board("stm32f746"), folder / "project")
    return folder / "project"


@pytest.fixture(scope="module")
def project() -> Project:
    """A model that reads x, y and z at 50 Hz and decides every fourth frame."""
    return open_project(once("monitored", lambda f: make_project(toy_every_graph(), f)))


def lines(frames: np.ndarray, graph: QGraph) -> bytes:
    """Return frames as lines in the units of the model."""
    scale = np.broadcast_to(graph.frame.scales, graph.frame.size)
    return "".join(
        ",".join(f"{v!r}" for v in row) + "\n" for row in (frames * scale).tolist()
    ).encode()


def live(graph: QGraph, text: bytes) -> Source:
    return lambda is_stopped: [
        Live(live_frames(graph, io.BytesIO(text), None, {}, raw=False), 50.0, is_stopped)
    ]


def steps_of(events: list[Event]) -> list[tuple[int, tuple[int, ...]]]:
    return [(e.sample, e.steps) for e in events if isinstance(e, Decided)]


def told(decisions: Iterator[Decision]) -> list[tuple[int, tuple[int, ...]]]:
    return [(d.stamp, tuple(d.outputs.tolist())) for d in decisions]


def test_events_are_the_decisions_of_the_simulator(tmp_path: Path) -> None:
    graph = le.load("ecg-beats-cfc")
    project = le.export(graph, board="stm32f746", to=tmp_path / "firmware")
    (record,) = load_feed(graph.metadata, Wish(names=["200_1490"])).recordings
    found = list(monitor(project, "host", embedded(graph, ["200_1490"]), Pace(math.inf)))
    assert steps_of(found) == told(Stream(graph).run(record.frames, record.events))
    said = Counter(e.decision for e in found if isinstance(e, Decided))
    assert said == {"N": 49, "V": 30, "S": 3}


def test_what_is_wrong_with_the_signal_is_said_of_each_lead(tmp_path: Path) -> None:
    graph = with_quality(find_beats(le.load("ecg-beats-cfc")), (0, 2047))
    project = make_project(graph, tmp_path)
    channels = (Channel("MLII", "mV", 200.0, 1024), Channel("V1", "mV", 200.0, 1024))
    frames = two_leads(beats_of(np.arange(400, 6000, 290), 6600))
    frames[4000:, 1] = 2047
    record = Record("r", "r", frames, 360.0, channels)
    found = list(monitor(open_project(project), "host", given(graph, record, None), Pace(math.inf)))
    (started,) = (e for e in found if isinstance(e, Started))
    assert started.outputs == ("N", "S", "V", "F")
    assert started.signal == ("signal", "signal MLII", "signal channel 2")
    decided = [e for e in found if isinstance(e, Decided)]
    assert all(len(e.values) == 4 and len(e.steps) == 7 for e in decided)
    clear = [e for e in decided if 1000 < e.sample < 3700 or e.sample > 4200]
    said = [(e.sample < 4000, e.signal) for e in clear]
    assert set(said) == {
        (True, ("good", "good", "good")),
        (False, ("flat+saturated", "good", "flat+saturated")),
    }


def test_a_play_is_told_from_beginning_to_end(project: Project) -> None:
    graph = project.graph
    data = FRAMES[:200].astype(np.int16)
    found = list(le.monitor(project, data=data, speed=math.inf))
    started, began, *_, status, ended = found
    assert isinstance(started, Started)
    assert (started.board, started.rate_hz, started.classes) == ("host", 50.0, graph.classes)
    assert began == RecordingBegan("0", 200)
    assert steps_of(found) == told(Stream(graph).run(data, np.zeros(0, np.int64)))
    samples = np.concatenate([e.values for e in found if isinstance(e, Samples)])
    assert samples == pytest.approx(data * np.array(graph.frame.scales))
    decided = [e for e in found if isinstance(e, Decided)]
    assert decided[3].decision == graph.classes[int(np.argmax(decided[3].steps))]
    assert decided[3].time_s == decided[3].sample / 50
    assert isinstance(status, BoardStatus)
    assert (status.frames, status.decisions, status.recoveries) == (200, len(decided), 0)
    assert ended == RecordingEnded("0", 200, len(decided))


def test_a_damaged_line_is_named_and_counts_as_a_frame_that_never_came(project: Project) -> None:
    graph, frames = project.graph, FRAMES[:120].astype(np.int16)
    good = lines(frames, graph).splitlines(keepends=True)
    good[50:50], good[70] = [b"1,2\n"], b"1,x,3\n"
    found = list(monitor(project, "host", live(graph, b"".join(good)), Pace(math.inf)))
    assert [e for e in found if isinstance(e, LineLost)] == [
        LineLost(51, "it has 2 numbers and must have 3"),
        LineLost(71, "it must hold numbers only"),
    ]
    stream, wanted = Stream(graph), []
    for index, frame in enumerate(frames):
        if index == 50:
            stream.skip_frames(1)
        if index == 69:
            stream.skip_frames(1)
        else:
            stream.push_frame(frame)
        wanted += told(stream.decisions())
    assert steps_of(found) == wanted
    status = next(e for e in reversed(found) if isinstance(e, BoardStatus))
    assert (status.frames, status.frames_skipped) == (121, 2)


def test_a_serial_source_is_read_from_its_next_line(project: Project) -> None:
    graph, frames = project.graph, FRAMES[:60].astype(np.int16)
    master, slave = pty.openpty()
    tty.setraw(slave)
    source = open_source(graph, f"serial:{os.ttyname(slave)}@115200", Hints(), {})
    pace, found = Pace(math.inf), []
    whole = told(Stream(graph).run(frames, np.zeros(0, np.int64)))

    def send() -> None:
        os.write(master, b"17\n" + lines(frames, graph))

    for event in monitor(project, "host", source, pace):
        if isinstance(event, RecordingBegan):  # what was sent before is lost in opening the port
            threading.Timer(0.5, send).start()
        found.append(event)
        if len(steps_of(found)) == len(whole):
            break
    os.close(master)
    os.close(slave)
    assert steps_of(found) == whole
    assert pace.is_stopped


def test_a_pause_holds_the_play_and_is_told(project: Project) -> None:
    pace, seen = Pace(50.0), []
    data = np.tile(FRAMES, (4, 1)).astype(np.int16)
    events = monitor(project, "host", given(project.graph, data, None), pace)
    for event in events:
        if isinstance(event, RecordingBegan):
            pace.toggle()
        if isinstance(event, Paused):
            seen.append(event.is_paused)
            if event.is_paused:
                assert pace.is_paused
                threading.Timer(0.3, pace.toggle).start()
    assert seen == [True, False]


def test_leaving_the_loop_leaves_the_device(project: Project) -> None:
    before = threading.active_count()
    events = le.monitor(project, data=FRAMES.astype(np.int16))
    assert len(list(islice(events, 2))) == 2
    events.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize("trouble", ["silence", "reset", "port"])
def test_a_line_that_dies_is_waited_for(project: Project, trouble: str) -> None:
    happen = {
        "silence": lambda line: line.fall_silent(3.0),
        "reset": BadLine.reset_board,
        "port": lambda line: line.go_away(3.0),
    }[trouble]
    board = Board([str(build(project.folder, "host").elf)])
    board.start()
    data = np.tile(FRAMES, (3, 1)).astype(np.int16)
    happened = []

    def once_only(line: BadLine) -> None:
        if not happened:
            happened.append(trouble)
            happen(line)

    try:
        with bad_line(board, Fault(trouble, every=3000, happen=once_only)) as line:
            found = list(le.monitor(project, link=f"serial:{line.url}", data=data, speed=math.inf))
    finally:
        board.close()
    assert happened
    assert steps_of(found) == told(Stream(project.graph).run(data, np.zeros(0, np.int64)))
    if trouble != "reset":
        assert any(isinstance(e, Waiting) for e in found)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("-", "decides on events that no stream brings; export it with --find-beats"),
        ("serial:@9600", "must be such as serial:/dev/ttyUSB0@9600"),
        ("serial:/dev/x@fast", "must be such as serial:/dev/ttyUSB0@9600"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(source: str, said: str) -> None:
    graph = toy_graph() if source == "-" else toy_every_graph()
    with pytest.raises(UsageError, match=said):
        open_source(graph, source, Hints(), {})


def test_recordings_that_do_not_fit_are_refused(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,x,y\n0,1,2\n0.02,2,3\n0.04,3,4\n")
    with pytest.raises(DataError, match="has the channels x, y and the model needs z"):
        list(le.monitor(project, data=path, speed=math.inf))
    with pytest.raises(UsageError, match="--raw is of a live source"):
        open_source(project.graph, str(path), Hints(), {}, raw=True)


def test_an_event_is_plain_data() -> None:
    event = Decided("a", 1, 0.02, "N", (1, 2), (0.1, 0.2), (), 3)
    assert list(asdict(event)) == [
        "recording", "sample", "time_s", "decision", "steps", "values", "signal", "cost",
    ]  # fmt: skip
    with pytest.raises(AttributeError):
        event.cost = 4  # type: ignore[misc]

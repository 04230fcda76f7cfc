"""`lnn-edge monitor` as it is typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.graph.file import save_graph
from lnn_edge.graph.sim.stream import Stream
from tests.cli.command import PROGRAM, call, call_json, refusal
from tests.support.once import once
from tests.support.toy import motion, toy_every_graph

FRAMES = motion(5, 60).astype(np.int16)


def export_every(folder: Path) -> Path:
    save_graph(toy_every_graph(), folder / "toy.qgraph")
    call_json("export", folder / "toy.qgraph", "--board", "stm32f746", "-o", folder / "project")
    return folder / "project"


@pytest.fixture(scope="module")
def project() -> Path:
    """A project of a model that reads x, y and z at 50 Hz and decides every fourth frame."""
    return once("monitored-cli", export_every)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of it."""
    path = tmp_path_factory.mktemp("walk") / "walk.csv"
    body = "\n".join(",".join(map(repr, row)) for row in values())
    path.write_text(f"x,y,z\n{body}\n")
    return path


def values() -> list[list[float]]:
    rows: list[list[float]] = (FRAMES * np.array(toy_every_graph().frame.scales)).tolist()
    return rows


def wanted() -> list[list[int]]:
    run = Stream(toy_every_graph()).run(FRAMES, np.zeros(0, np.int64))
    return [d.outputs.tolist() for d in run]


def test_a_recording_becomes_a_line_for_each_decision(project: Path, walk: Path) -> None:
    options = ("--link", "host", "--source", walk, "--rate", "50", "--speed", "max")
    outcome = call("monitor", project, *options)
    assert outcome.code == 0, outcome
    assert len(outcome.out.splitlines()) == len(wanted())
    assert outcome.out.startswith("walk  0.")
    assert "walk: 60 samples" in outcome.err
    events = [json.loads(x) for x in call("monitor", project, *options, "--json").out.splitlines()]
    assert [e["steps"] for e in events if e["event"] == "decided"] == wanted()


def start(project: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), "monitor", str(project), "--link", "host", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_a_damaged_line_of_stdin_is_named_and_the_others_go_on(project: Path) -> None:
    rows = [",".join(map(repr, row)) for row in values()]
    rows[20:20] = ["1,2"]
    process = start(project, "--source", "-", "--json")
    out, err = process.communicate("\n".join(["x,y,z", *rows]) + "\n", timeout=120)
    assert process.returncode == 1, err
    events = [json.loads(line) for line in out.splitlines()]
    (lost,) = (e for e in events if e["event"] == "line_lost")
    assert lost["number"] == 22
    assert lost["reason"] == "it has 2 numbers and must have 3"
    assert events[-1]["frames"] == 61


def test_ctrl_c_ends_it_in_order(project: Path) -> None:
    process = start(project, "--source", "-", "--web")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("open http://127.0.0.1:")
    assert process.stderr.readline() == "toy_every on host (host)\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert "Traceback" not in err


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_a_speed_that_is_none_is_refused(project: Path, speed: str) -> None:
    outcome = call("monitor", project, "--speed", speed)
    assert outcome.code == 2
    assert "it must be a number above 0, or max" in outcome.err


@pytest.mark.parametrize(
    "option", [("--rate", "9"), ("--channel", "x=y"), ("--raw",), ("--time-column", "t")]
)
def test_what_is_told_of_no_source_is_refused(project: Path, option: tuple[str, ...]) -> None:
    said = refusal(call("monitor", project, *option))
    assert said == f"{option[0]} is of a source; give --source, or leave it out"


def test_a_model_without_recordings_asks_for_some(project: Path) -> None:
    said = refusal(call("monitor", project))
    assert said.endswith("give some with --source") or "name some with" in said


def test_a_view_that_is_not_installed_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn_edge.cli.monitor.find_spec", lambda _: None)
    said = refusal(call("monitor", project, "--source", "-", "--web"))
    assert said == (
        "this view needs aiohttp, which is not installed; install it with "
        "`pip install 'lnn-edge[monitor]'`"
    )

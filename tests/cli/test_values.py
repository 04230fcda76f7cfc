"""A value from `data inspect` to a proven model: the tilt of people's phones, in degrees."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

import lnn_edge as le
from lnn_edge.data import uci_har
from lnn_edge.data.readers.reader import Hints
from lnn_edge.tasks.feed import Wish
from lnn_edge.tasks.metrics.value import ValuesEvaluation
from lnn_edge.tasks.own_data import Source
from tests.cli.command import call, call_json
from tests.cli.test_own_data import small
from tests.support.recordings import mitdb_folder

COLUMNS = ("--label-column", "tilt", "--subject-column", "who")
RUNS = (1, 3, 5, 7)  # of four people
HELD = "run01"


def needs_har() -> Path:
    folder = mitdb_folder().parent / uci_har.NAME
    if not folder.is_dir():
        pytest.skip("needs uci_har in LNN_EDGE_DATA")
    return folder


def write_swings(folder: Path) -> Path:
    """Write 40 s of four people who swing: two axes, how wide and how fast in stretches of 5 s."""
    folder.mkdir()
    for person in range(4):
        rng = np.random.default_rng(person)
        wide, fast = rng.uniform(0.2, 1, 8), rng.uniform(0.5, 2, 8)
        at = np.arange(40 * 50) // 250
        turn = np.cumsum(fast[at]) / 50 * 2 * np.pi
        rows = [
            f"{i / 50:.2f},{a:.4f},{b:.4f},{w:.3f},{'' if i < 500 else f'{f:.3f}'},p{person}"
            for i, (a, b, w, f) in enumerate(
                zip(
                    wide[at] * np.sin(turn),
                    wide[at] * np.cos(turn),
                    wide[at],
                    fast[at],
                    strict=True,
                )
            )
        ]
        text = "\n".join(("time_s,ax (g),ay (g),wide,fast,who", *rows)) + "\n"
        (folder / f"p{person}.csv").write_text(text)
    return folder


def test_two_values_of_a_window_go_down_the_whole_road(tmp_path: Path) -> None:
    data, model = write_swings(tmp_path / "swings"), tmp_path / "m"
    two = ("--label-column", "wide,fast", "--subject-column", "who")
    task = tomllib.loads(call("data", "inspect", data, *two, "--toml").out)
    assert task["labels"] == {"kind": "value", "classes": ["wide", "fast"], "units": ["", ""]}
    call_json(
        "train", "har-cfc", "--data", data, *two, *small(), "--set", "training.batch_size=4",
        "--set", "training.sequence_length=8", "--fold", "0", "--epochs", "2", "-o", model,
    )  # fmt: skip
    assert call("quantize", model).code == 0
    own = ("--data", data, *two, "--records", "p0")
    judged = call_json("evaluate", model / "model.qgraph", *own)
    assert list(judged["values"]) == ["wide", "fast"]
    assert judged["values"]["wide"]["n"] > judged["values"]["fast"]["n"] > 0  # its first 10 s
    project = tmp_path / "firmware"
    assert call("export", model / "model.qgraph", "--board", "stm32f746", "-o", project).code == 0
    proof = call_json("verify", project, "--link", "host", *own)
    assert proof["mismatches"] == 0
    assert proof["value"]["nrmse"] == pytest.approx(judged["nrmse"], rel=1e-12)
    (first, *_) = lines_of("predict", model, data / "p0.csv", "--to", "json")
    assert {"wide", "fast"} <= set(first)
    told = call_json("report", project, *own)
    assert told["value"]["values"]["fast"]["mae"] == judged["values"]["fast"]["mae"]
    page = (project / "report.html").read_text()
    assert page.count("<h3>") == 2
    assert "fast: model over true" in page
    assert page.count('class="value wanted"') > page.count('<div class="wide strip') > 0


@pytest.fixture(scope="module")
def tilts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of each run as CSV, with the angle between the x axis and gravity."""
    folder = tmp_path_factory.mktemp("tilts")
    low = butter(2, 0.5, fs=uci_har.RATE_HZ, output="sos")
    for record in uci_har.read(needs_har(), [uci_har.name_of(n) for n in RUNS]):
        acc = record.values()[4000:10000, :3]
        gravity = sosfiltfilt(low, acc, axis=0)
        tilt = np.degrees(np.arccos(gravity[:, 0] / np.linalg.norm(gravity, axis=1)))
        rows = [
            f"{i / uci_har.RATE_HZ:.2f},{x:.4f},{y:.4f},{z:.4f},{angle:.1f},{record.subject}"
            for i, ((x, y, z), angle) in enumerate(zip(acc, tilt, strict=True))
        ]
        header = "time_s,ax (g),ay (g),az (g),tilt,who"
        (folder / f"{record.name}.csv").write_text("\n".join((header, *rows)) + "\n")
    return folder


def lines_of(*words: object) -> list[dict[str, Any]]:
    """Return the JSON lines that a command prints."""
    return [json.loads(line) for line in call(*words).out.splitlines()]


def test_tilt_of_people_is_estimated_bit_by_bit(tilts: Path, tmp_path: Path) -> None:
    said = call("data", "inspect", tilts, *COLUMNS).out
    assert "different numbers" in said
    task = tomllib.loads(call("data", "inspect", tilts, *COLUMNS, "--toml").out)
    assert task["labels"] == {"kind": "value", "classes": ["tilt"], "units": [""]}
    model = tmp_path / "m"
    plan = ("batch_size=4", "sequence_length=12", "learning_rate=0.01", "average_decay=0.9")
    settings = tuple(word for p in plan for word in ("--set", f"training.{p}"))
    settings += ("--set", "augmentation.rotation=0.0", "--set", "model.dropout=0.0", *small())
    done = call_json(
        "train", "har-cfc", "--data", tilts, *COLUMNS, *settings, "--fold", "0", "--epochs", "12",
        "-o", model,
    )  # fmt: skip
    assert done["epochs"][-1]["mae"] < done["epochs"][0]["mae"]
    assert call("quantize", model).code == 0
    graph, own = model / "model.qgraph", ("--data", tilts, *COLUMNS, "--records", HELD)
    judged = call_json("evaluate", graph, *own)
    assert judged["trained_on"]["records"] == []
    assert judged["rmse"] < 0.7 * judged["spread"]
    assert [s["name"] for s in judged["subjects"]] == ["subject01"]
    plain = call_json("evaluate", model, *own)
    assert judged["mae"] == pytest.approx(plain["mae"], abs=0.5)
    text = call("evaluate", graph, *own).out
    assert "tilt: mean absolute error" in text

    project = tmp_path / "firmware"
    assert call("export", graph, "--board", "stm32f746", "-o", project).code == 0
    proof = call_json("verify", project, "--link", "host", *own)
    assert (proof["mismatches"], proof["accuracy"]) == (0, None)
    assert proof["steps"] == judged["n"]
    assert proof["value"]["mae"] == pytest.approx(judged["mae"], rel=1e-12)
    assert "tilt: mean absolute error" in call("verify", project, "--link", "host", *own).out

    recording = tilts / f"{HELD}.csv"
    rows = lines_of("predict", model, recording, "--float", "--to", "json")
    assert {"tilt", "tilt_float"} <= set(rows[0])
    assert abs(rows[0]["tilt"] - rows[0]["tilt_float"]) < 3
    (mean,) = lines_of("predict", model, recording, "--mean", "--to", "json")
    assert mean["tilt"] == pytest.approx(np.mean([r["tilt"] for r in rows]), abs=0.01)
    assert "tells values" in call("predict", model, recording, "--to", "wfdb", "-o", "x").err
    source = Source(tilts, Hints(label_column="tilt", subject_column="who"))
    figures = le.evaluate(model, Wish(own=source)).figures
    assert isinstance(figures, ValuesEvaluation)
    assert len(figures.values[0].subjects) == len(RUNS)

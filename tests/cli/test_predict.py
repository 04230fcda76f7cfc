"""`lnn-edge predict` as it is typed: files, folders, streams, forms, and recordings that fail."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import lnn_edge as le
from lnn_edge.data.annotation_file import read_annotations
from lnn_edge.data.embedded import folder_of_pieces
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.graph.file import save_graph
from tests.cli.command import (
    PROGRAM,
    Outcome,
    call,
    call_process,
    document,
    error_line,
    refusal,
    untouched,
)
from tests.support.toy import toy_every_graph, toy_heads_graph

BEATS = ("predict", "ecg-beats-cfc", "--marks")


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that reads x, y and z at 50 Hz, and recordings of it, one of them damaged."""
    folder = tmp_path_factory.mktemp("motion")
    save_graph(toy_every_graph(), folder / "toy.qgraph")
    save_graph(toy_heads_graph(), folder / "heads.qgraph")
    records = folder / "records"
    records.mkdir()
    for name in ("a", "b"):
        write_csv(records / f"{name}.csv", seed=ord(name))
    (records / "c.csv").write_text("time,x,y\n0,1,2\n0.02,2,3\n0.04,3,4\n")
    return folder


def write_csv(path: Path, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 0.2, (90, 3))
    body = "\n".join(f"{i / 50:g},{x:g},{y:g},{z:g}" for i, (x, y, z) in enumerate(values))
    path.write_text(f"time,x,y,z\n{body}\n")


def table_of(outcome: Outcome, code: int = 0) -> list[dict[str, str]]:
    assert outcome.code == code, outcome
    return list(csv.DictReader(StringIO(outcome.out)))


def test_a_recording_becomes_a_row_for_each_beat() -> None:
    path = folder_of_pieces() / "200_1490.hea"
    outcome = call(*BEATS, path)
    (predicted,) = le.predict("ecg-beats-cfc", path, marks=True)
    rows = table_of(outcome)
    assert [r["class"] for r in rows] == predicted.classes
    assert [int(r["sample"]) for r in rows] == predicted.samples.tolist()
    assert float(rows[0]["V"]) == pytest.approx(predicted.values[0, 2], rel=1e-5)
    assert "1 recordings, 82 decisions: N 49, V 30, S 3" in outcome.err


def test_a_damaged_recording_is_named_and_the_others_go_on(motion: Path) -> None:
    outcome = call("predict", motion / "toy.qgraph", motion / "records")
    assert {r["record"] for r in table_of(outcome, code=1)} == {"a", "b"}
    assert "skipped c: record c has the channels x, y and the model needs z" in outcome.err
    alone = refusal(call("predict", motion / "toy.qgraph", motion / "records" / "c.csv"))
    assert alone.startswith("c: record c has the channels x, y and the model needs z")
    twice = (motion / "records" / "a.csv", motion / "records" / "a.csv")
    again = call("predict", motion / "toy.qgraph", *twice)
    assert {r["record"] for r in table_of(again, code=1)} == {"a"}
    assert "skipped a: there are two records called a; rename one" in again.err


def test_json_is_an_object_a_line(motion: Path) -> None:
    outcome = call("predict", motion / "heads.qgraph", motion / "records" / "a.csv", "--json")
    first = json.loads(outcome.out.splitlines()[0])
    assert list(first)[:4] == ["record", "sample", "time_s", "class"]
    assert list(first)[-3:] == ["pose_0", "pose_1", "strides"]
    assert outcome.err == ""


def test_a_file_is_whole_or_not_there(motion: Path, tmp_path: Path) -> None:
    good, out = motion / "records" / "a.csv", tmp_path / "out.csv"
    assert call("predict", motion / "toy.qgraph", good, "-o", out).code == 0
    wanted = call("predict", motion / "toy.qgraph", good).out
    assert out.read_text() == wanted
    with untouched(tmp_path):
        said = refusal(call("predict", motion / "toy.qgraph", good, "-o", out))
        assert "is there already" in said
        bad = call("predict", motion / "toy.qgraph", motion / "records" / "c.csv",
                   "-o", tmp_path / "bad.csv")  # fmt: skip
        assert bad.code == 2


def test_beats_become_annotations_that_wfdb_reads(tmp_path: Path) -> None:
    path = folder_of_pieces() / "200_1490.hea"
    assert call(*BEATS, path, "--to", "wfdb", "-o", tmp_path).code == 0
    (predicted,) = le.predict("ecg-beats-cfc", path, marks=True)
    with wfdb_library() as wfdb:
        found = wfdb.rdann(str(tmp_path / "200_1490"), "lnn")
    assert found.symbol == predicted.classes
    assert found.sample.tolist() == predicted.samples.tolist()
    assert found.fs == 360


def test_other_classes_become_notes(motion: Path, tmp_path: Path) -> None:
    arguments = ("predict", motion / "toy.qgraph", motion / "records" / "a.csv", "--to", "wfdb")
    assert "give their folder with -o" in refusal(call(*arguments))
    assert call(*arguments, "-o", tmp_path).code == 0
    (predicted,) = le.predict(toy_every_graph(), motion / "records" / "a.csv")
    found, rate = read_annotations(tmp_path / "a.lnn")
    assert rate == 50
    assert [(a.sample, a.symbol, a.note) for a in found] == [
        (sample, '"', name)
        for sample, name in zip(predicted.samples.tolist(), predicted.classes, strict=True)
    ]


def test_drawings_lie_in_a_folder(motion: Path, tmp_path: Path) -> None:
    outcome = call("predict", motion / "toy.qgraph", motion / "records", "--to", "svg",
                   "-o", tmp_path / "svg")  # fmt: skip
    assert outcome.code == 1
    assert sorted(p.name for p in (tmp_path / "svg").iterdir()) == ["a.svg", "b.svg"]
    again = call("predict", motion / "toy.qgraph", motion / "records", "--to", "svg", "--json",
                 "-o", tmp_path / "svg")  # fmt: skip
    summary = document(again, code=1)
    assert (summary["recordings"], len(summary["refused"])) == (2, 1)
    assert sum(summary["classes"].values()) == summary["decisions"]


def test_the_mean_of_a_recording_is_what_findings_are_judged_by(motion: Path) -> None:
    path = motion / "records" / "a.csv"
    (predicted,) = le.predict(toy_every_graph(), path)
    (row,) = table_of(call("predict", motion / "toy.qgraph", path, "--mean"))
    scores = predicted.values.mean(0)
    assert [float(row[c]) for c in "ABC"] == pytest.approx(scores, rel=1e-5)
    assert (row["class"], row["sample"]) == ("ABC"[scores.argmax()], "89")


def test_a_recording_too_short_for_a_decision_is_told(motion: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("time,x,y,z\n0,1,2,3\n0.02,2,3,4\n0.04,3,4,5\n")
    outcome = call("predict", motion / "toy.qgraph", tmp_path / "s.csv", "--mean")
    assert (outcome.code, outcome.out.count("\n")) == (0, 1)
    assert "1 recordings are too short for a decision" in outcome.err


def test_a_name_from_a_file_leads_nowhere_else(motion: Path, tmp_path: Path) -> None:
    text = (motion / "records" / "a.csv").read_text().splitlines()
    halves = ["../../x"] * 45 + ["e<v>e"] * 45
    body = [f"{line},{who}" for line, who in zip(text[1:], halves, strict=True)]
    (tmp_path / "in.csv").write_text("\n".join([f"{text[0]},subject", *body]))
    arguments = ("predict", motion / "toy.qgraph", tmp_path / "in.csv", "--to", "svg")
    assert call(*arguments, "-o", tmp_path / "deep" / "out").code == 0
    written = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.svg"))
    assert written == ["deep/out/in/e_v_e.svg", "deep/out/in/x.svg"]


def test_the_float_model_stands_beside(trained: Path) -> None:
    path = folder_of_pieces() / "100_0830.hea"
    rows = table_of(call("predict", trained, path, "--marks", "--float"))
    ours, theirs = ([float(r[c]) for r in rows] for c in ("N", "N_float"))
    assert np.abs(np.array(ours) - theirs).max() < 0.5
    assert ours != theirs
    assert {"class_float", "F_float"} <= set(rows[0])
    said = error_line(call("predict", trained / "model.qgraph", path, "--marks", "--float"))
    assert "--float needs the folder of a trained model" in said


def test_leads_have_other_names(tmp_path: Path) -> None:
    for path in folder_of_pieces().glob("200_1490.*"):
        shutil.copy(path, tmp_path)
    header = tmp_path / "200_1490.hea"
    header.write_text(header.read_text().replace("MLII", "ECG1"))
    outcome = call(*BEATS, header)
    assert "has the channels ECG1, V1 and the model needs MLII" in refusal(outcome)
    wanted = call(*BEATS, folder_of_pieces() / "200_1490.hea").out
    for option in (("--lead", "ECG1"), ("--channel", "MLII=ECG1")):
        assert call(*BEATS, header, *option).out == wanted
    said = refusal(call(*BEATS, header, "--channel", "ECG1"))
    assert said.startswith("--channel must be such as acc_x=ax")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.csv",), "nowhere.csv is not there"),
        (("/dev/null",), "/dev/null is no file"),
        (("-", "x.csv"), "a stream goes alone"),
        (("-", "--float"), "a stream goes alone"),
        (("-", "--rate", "60"), "must come at 50 Hz, not 60"),
        (("x.csv", "--channel", "w=x"), "the model has no channel w; it has x, y, z"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    arguments: tuple[str, ...], said: str, motion: Path
) -> None:
    outcome = call("predict", motion / "toy.qgraph", *arguments)
    assert outcome.code == 2
    assert said in outcome.err


def stream(motion: Path, data: bytes, *options: str) -> Outcome:
    command = [sys.executable, str(PROGRAM), "predict", str(motion / "toy.qgraph"), "-", *options]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_stream_says_what_a_file_says(motion: Path) -> None:
    path = motion / "records" / "a.csv"
    wanted = [r["class"] for r in table_of(call("predict", motion / "toy.qgraph", path))]
    lines = stream(motion, path.read_bytes())
    assert [r["class"] for r in table_of(lines)] == wanted
    (predicted,) = le.predict(toy_every_graph(), path)
    raw = stream(motion, predicted.fed.record.samples.astype("<i2").tobytes(), "--raw", "--json")
    assert [json.loads(line)["class"] for line in raw.out.splitlines()] == wanted


def test_a_line_that_is_lost_is_told_and_time_goes_on(motion: Path) -> None:
    lines = (motion / "records" / "a.csv").read_text().splitlines()
    lines[20] = "garbage"
    found = stream(motion, "\n".join(lines).encode())
    assert "line 21 is lost: it has 1 numbers and must have 4" in found.err
    assert table_of(found, code=1)[-1]["sample"] == "89"
    out = motion / "lost.csv"
    kept = stream(motion, "\n".join(lines).encode(), "-o", str(out))
    assert (kept.code, kept.out, out.read_text()) == (1, "", found.out)


def test_decisions_are_there_before_the_stream_ends(motion: Path) -> None:
    command = [sys.executable, str(PROGRAM), "predict", str(motion / "toy.qgraph"), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"0.1,0.2,0.3\n" * 12)
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"record,sample")
        assert process.stdout.readline().startswith(b"stdin,5,0.1,")
        process.stdin.close()
        assert process.wait(20) == 0


def test_integers_need_no_torch(motion: Path, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    arguments = ("predict", motion / "toy.qgraph", motion / "records" / "a.csv")
    outcome = call_process(*arguments, cwd=tmp_path, env=env)
    assert (outcome.code, outcome.out) == (0, call(*arguments).out)

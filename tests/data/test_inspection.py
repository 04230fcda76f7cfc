"""What `data inspect` says of recordings: counts, ranges, gaps, what was refused, a task file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.inspection import inspect
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.registry import DATA_VARIABLE
from lnn_edge.data.task_file import propose
from lnn_edge.errors import DataError
from tests.cli.command import call, call_json, refusal
from tests.support.wfdb_files import needs_mitdb, write_small


def write_walks(folder: Path) -> Path:
    """Two persons, two files, one of them with a hole and a broken value."""
    folder.mkdir(exist_ok=True)
    for who, labels in (("eve", ["walk"] * 150 + ["sit"] * 150), ("bob", ["sit"] * 300)):
        lines = [
            f"{i / 50 + 2 * (who == 'bob' and i > 99):.2f},{i if i != 7 else ''},1,{n},{who}"
            for i, n in enumerate(labels)
        ]
        (folder / f"{who}.csv").write_text(
            "\n".join(["time_s,x (g),y (g),activity,who", *lines, ""])
        )
    return folder


HINTS = Hints(subject_column="who")


def test_everything_is_counted(tmp_path: Path) -> None:
    (write_walks(tmp_path) / "notes.txt").write_text("hello")
    found = inspect(tmp_path, HINTS)
    assert (found.format, found.rates, found.subjects) == ("CSV", {50.0: 2}, {"eve": 1, "bob": 1})
    assert [(r.name, r.samples, r.gaps, r.gap_s) for r in found.records] == [
        ("bob", 400, 1, 2.0),
        ("eve", 300, 0, 0.0),
    ]
    assert found.intervals == {"sit": (3, 9.0), "walk": (1, 3.0)}
    x, y = found.channels
    assert (x.name, x.unit, x.records, x.low, x.high, x.non_finite) == ("x", "g", 2, 0, 299, 102)
    assert y.non_finite == 100
    assert found.duration_s == 14.0
    assert found.changes.lines() == [
        "dropped .txt of another format: 1 files in 1 record",
        "filled holes in the times with NaN: 100 samples in 1 record",
    ]


def test_files_that_cannot_be_used_are_named_and_the_others_read(tmp_path: Path) -> None:
    (write_walks(tmp_path) / "ann.csv").write_text("a,b\n1,2\n")
    found = inspect(tmp_path, HINTS)
    assert list(found.refused) == ["ann"]
    assert "has no column 'who'" in found.refused["ann"]
    outcome = call("data", "inspect", tmp_path, "--subject-column", "who")
    assert outcome.code == 1
    assert f"refused: {tmp_path / 'ann.csv'} has no column 'who'" in outcome.out


def test_a_task_of_samples_is_proposed(tmp_path: Path) -> None:
    proposal = propose(inspect(write_walks(tmp_path), HINTS))
    assert tomllib.loads(proposal.text()) == {
        "format": 1,
        "frame": {
            "rate_hz": 50.0,
            "channels": [
                {"name": "x", "unit": "g", "steps_per_unit": 54.0},
                {"name": "y", "unit": "g", "steps_per_unit": 16000.0},
            ],
        },
        "decide": {"on": "frames", "window": 128, "hop": 64},
        "labels": {"kind": "sample", "classes": ["sit", "walk"]},
        "split": {"by": "subject"},
    }


def test_a_task_of_beats_has_the_classes_of_their_symbols(tmp_path: Path) -> None:
    write_small(tmp_path, "a")
    write_small(tmp_path, "b")
    task = propose(inspect(tmp_path))
    assert task.document["labels"] == {
        "kind": "event",
        "classes": ["N", "S", "V", "F"],
        "map": {"N": "N", "A": "S", "V": "V", "F": "F"},
        "unscored": ["Q"],
    }
    assert "Nothing says who was recorded: each record counts as a subject." in task.remarks
    assert "Marks of no class: + Q." in task.remarks


@pytest.mark.parametrize(("labels", "kind"), [([1, 2], "record"), (["", ""], "")])
def test_labels_of_records_or_none(labels: list[object], kind: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", x=np.zeros((2, 90, 3)), y=labels, fs=30)
    task = propose(inspect(tmp_path / "r.npz"))
    assert task.document["labels"] == {"kind": kind, "classes": [str(v) for v in labels if v]}


def test_names_of_files_cannot_write_into_a_task_file(tmp_path: Path) -> None:
    (tmp_path / 'a\nformat = 2\n[x"]').mkdir()
    write_walks(tmp_path / 'a\nformat = 2\n[x"]')
    task = propose(inspect(tmp_path / 'a\nformat = 2\n[x"]', HINTS))
    assert tomllib.loads(task.text())["format"] == 1


def test_records_are_read_when_they_are_reached(tmp_path: Path) -> None:
    write_walks(tmp_path)
    records = read_records(find_records(tmp_path, HINTS))
    assert next(records).name == "bob"
    (tmp_path / "eve.csv").unlink()
    with pytest.raises(DataError, match=r"eve\.csv cannot be read"):
        next(records)


def test_intervals_beside_a_file_are_its_own(tmp_path: Path) -> None:
    rows = "".join(f"{i / 50},{i}\n" for i in range(100))
    (tmp_path / "a.csv").write_text("time,x\n" + rows)
    (tmp_path / "a.intervals.csv").write_text("start_s,end_s,label\n0,1,walk\n")
    for path in (tmp_path, tmp_path / "a.csv"):
        assert inspect(path).intervals == {"walk": (1, 1.0)}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "is not there"),
        ("a.txt", "of no format that is read; formats are"),
        ("", "no file"),
    ],
)
def test_a_path_without_recordings(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match=said):
        inspect(tmp_path / name)


def test_the_command_prints_tables_json_or_the_task(tmp_path: Path) -> None:
    write_walks(tmp_path)
    outcome = call("data", "inspect", tmp_path, "--subject-column", "who")
    assert outcome.code == 0
    for said in (
        "CSV, 2 records of 2 subjects",
        "gaps: 1, 2.0 s",
        "walk",
        "filled holes",
        "[frame]",
    ):
        assert said in outcome.out
    document = call_json("data", "inspect", tmp_path, "--subject-column", "who")
    assert document["channels"][0] == {
        "name": "x", "unit": "g", "records": 2, "low": 0.0, "high": 299.0, "non_finite": 102,
    }  # fmt: skip
    text = call("data", "inspect", tmp_path, "--subject-column", "who", "--toml").out
    assert text == document["task"]
    assert tomllib.loads(text)["frame"]["rate_hz"] == 50.0
    assert "is not there" in refusal(call("data", "inspect", tmp_path / "gone"))
    assert "no column 'z'" in refusal(
        call("data", "inspect", tmp_path / "eve.csv", "--time-column", "z")
    )


@needs_mitdb
def test_svdb_is_as_its_readme_counts_it() -> None:
    found = inspect(Path(os.environ[DATA_VARIABLE]) / "svdb")
    assert (len(found.records), found.rates) == (62, {128.0: 62})
    assert found.symbols["N"] + found.symbols["B"] == 126_723
    assert found.symbols["S"] + found.symbols["J"] == 8_514
    assert (found.symbols["V"], found.symbols["F"], found.symbols["Q"]) == (8_551, 23, 69)

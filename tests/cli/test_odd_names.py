"""Files with names that scripts trip over; sentences on files that tell a place once."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.files.reason import reason_of
from tests.cli.command import call, call_json, refusal

NAMES = [
    b"a,b.csv",
    b"quo\"te'.csv",
    b"new\nline.csv",
    "ünï.csv".encode(),
    b"-dash.csv",
    b"%s{0}.csv",
    b"\xff\xfe.csv",
    b"[x]*.csv",
    b"~.csv",
]


def table(path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(1500, 2))
    rows = np.column_stack((np.arange(1500) / 360, values))
    np.savetxt(path, rows, "%.4f", ",", header="time_s,MLII (mV),V1 (mV)", comments="")
    return path


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_any_name_is_read_and_written(name: bytes, tmp_path: Path) -> None:
    path = table(tmp_path / os.fsdecode(name))
    for form, made in (("csv", "out.csv"), ("json", "out.json"), ("svg", "drawings")):
        outcome = call("predict", "ecg-beats-cfc", path, "--to", form, "-o", tmp_path / made)
        assert outcome.code == 0, outcome
    (drawing,) = (tmp_path / "drawings").rglob("*.svg")
    drawing.read_text("utf-8")
    assert call("data", "inspect", path).code == 0
    assert len(call_json("data", "inspect", path)["records"]) == 1


def test_a_recording_without_a_beat_is_judged_with_the_others(
    trained: Path, data_dir: Path, tmp_path: Path
) -> None:
    """By the float model, too: it was given no decision."""
    folder = table(tmp_path / "none.csv")
    for model in (trained, trained / "model.qgraph"):
        said = refusal(call("evaluate", model, "--data", folder))
        assert said == "no decision has a label of N, S, V, F; nothing to evaluate"


def test_a_reason_names_neither_number_nor_path() -> None:
    assert reason_of(OSError(errno.ENOSPC, "No space left", "/a")) == "No space left"
    assert reason_of(ValueError("first\nsecond")) == "first"
    assert reason_of(KeyError()) == "KeyError"


@pytest.mark.parametrize("command", [("data", "inspect"), ("predict", "ecg-beats-cfc")])
def test_a_file_that_is_too_large_or_none_is_told_once(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    huge = tmp_path / "huge.csv"
    huge.touch()
    os.truncate(huge, 6 << 30)
    said = refusal(call(*command, huge))
    assert f"{huge} cannot be read (it has 6442450944 bytes, more than 4294967296)" in said
    assert "Errno" not in said
    os.mkfifo(tmp_path / "pipe")
    table(tmp_path / "a.csv")
    listed = refusal(call("data", "inspect", tmp_path / "a.csv", "--intervals", tmp_path / "pipe"))
    assert f"{tmp_path / 'pipe'} is missing or damaged (it is no file); copy it again" in listed


def test_a_large_file_that_is_no_array_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.npy"
    huge.touch()
    for size, said in ((3 << 30, "it does not begin as one"), (6 << 30, "more than 4294967296")):
        os.truncate(huge, size)
        tracemalloc.start()
        told = refusal(call("data", "inspect", huge))
        assert tracemalloc.get_traced_memory()[1] < 200e6
        tracemalloc.stop()
        assert said in told

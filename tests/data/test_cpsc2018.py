"""The data set of 12-lead findings: its records, folds and refusals."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data import cpsc2018
from lnn_edge.data.registry import folds
from lnn_edge.data.twelve_leads import FINDINGS, ecg
from lnn_edge.errors import DataError
from lnn_edge.tasks.recordings import load_labelled


@pytest.fixture(scope="module")
def folder() -> Path:
    place = os.environ.get("LNN_EDGE_DATA")
    if not place or not (Path(place) / "cpsc2018").is_dir():
        pytest.skip("needs CPSC-2018 in LNN_EDGE_DATA/cpsc2018")
    return Path(place) / "cpsc2018"


def test_records_are_as_published(folder: Path) -> None:
    records = load_labelled("cpsc2018", folder)
    assert len(records) == 259
    counts = {c: sum(r.count()[c] for r in records) for c in FINDINGS}
    assert counts == {"1dAVb": 22, "RBBB": 64, "LBBB": 11, "SB": 0, "AF": 42, "ST": 0}
    first = records[0]
    assert (first.name, first.duration_s, first.frames.shape) == ("A0001", 15.0, (7500, 12))
    assert first.frames[0].tolist() == [28, 7, -21, -17, 24, -7, -290, -204, -96, -112, -596, -16]
    assert first.labels.tolist() == [0, 1, 0, -1, 0, -1]


def test_every_record_is_held_out_once() -> None:
    held_out = [name for fold in folds("cpsc2018") for name in fold]
    assert sorted(held_out) == sorted(cpsc2018.names_of("all"))
    assert not set(cpsc2018.names_of("train", 2)) & set(cpsc2018.names_of("validation", 2))
    with pytest.raises(DataError, match="cpsc2018 has no split 'test'"):
        cpsc2018.names_of("test")


def test_a_finding_nobody_looked_for_is_unknown(folder: Path) -> None:
    (record,) = load_labelled("cpsc2018", folder, records=["A0003"])
    labels = record.labels_at(np.array([5, 6]))
    assert labels.tolist() == [[0, 0, 0, -1, 1, -1]] * 2


def test_a_table_may_begin_with_a_mark(folder: Path, tmp_path: Path) -> None:
    for file in ("A0001.hea", "A0001.dat", "REFERENCE.csv"):
        shutil.copyfile(folder / file, tmp_path / file)
    table = tmp_path / "REFERENCE.csv"
    table.write_text(table.read_text(), encoding="utf-8-sig")
    (record,) = cpsc2018.read(tmp_path, ["A0001"])
    assert (record.labels, record.unknown) == (("RBBB",), ("SB", "ST"))


@pytest.mark.parametrize("damage", ["label", "header", "reference"])
def test_damage_is_named(damage: str, folder: Path, tmp_path: Path) -> None:
    for file in ("A0001.hea", "A0001.dat", "REFERENCE.csv"):
        shutil.copyfile(folder / file, tmp_path / file)
    if damage == "label":
        (tmp_path / "REFERENCE.csv").write_text("Recording,First_label,Second_label,Third_label\n")
        sentence = "has no label of record A0001"
    elif damage == "header":
        text = (tmp_path / "A0001.hea").read_text().replace("12 500 7500", "12 400 7500")
        (tmp_path / "A0001.hea").write_text(text)
        sentence = "at 400 Hz"
    else:
        (tmp_path / "REFERENCE.csv").write_text("nothing\n1\n")
        sentence = "missing or damaged"
    with pytest.raises(DataError, match=sentence):
        cpsc2018.read(tmp_path, ["A0001"])


def test_no_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"holds REFERENCE.csv and WFDB records"):
        cpsc2018.locate(tmp_path)
    monkeypatch.delenv("LNN_EDGE_DATA", raising=False)
    with pytest.raises(DataError, match="no folder given for cpsc2018"):
        cpsc2018.locate(None)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(DataError, match="record r has 11 columns and the channels I, II"):
        ecg("r", "p", np.zeros((5, 11), np.int16), {})
    with pytest.raises(DataError, match=r"must be \(N, C\) int16"):
        ecg("r", "p", np.zeros((5, 12), np.int64), {})

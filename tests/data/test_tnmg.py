"""ECGs of the Telehealth Network of Minas Gerais: both layouts, resampling, split, refusals."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data import folds, tnmg
from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.data.readers import apart
from lnn_edge.data.readers.apart import Groups
from lnn_edge.data.twelve_leads import FINDINGS, LEADS
from lnn_edge.errors import DataError, MissingToolError
from lnn_edge.tasks.recordings import load_labelled
from tests.cli.command import call, call_json, refusal
from tests.support.apart import read_here, write_program

h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.usefixtures("readers_here")
COLUMNS = ("exam_id", "age", "patient_id", "trace_file", *FINDINGS)
NOTHING = ["False"] * 6


def tracings(count: int = 1) -> np.ndarray:
    """Pieces of an invented heart in mV, (count, 4096, 12) float32, each of another scale."""
    (record,) = load_labelled("synthetic-12lead", records=["calm"])
    scale = 1 + np.arange(count)[:, None, None]
    return (scale * record.frames[:4096] / 1000).astype(np.float32)


def write_hdf5(path: Path, values: np.ndarray, exam_ids: Sequence[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["tracings"] = values
        if exam_ids is not None:
            file["exam_id"] = np.array(exam_ids, np.int64)


def write_table(path: Path, rows: Sequence[Sequence[object]], columns: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path.parent


def row_of(exam: object, patient: object, part: int = 0, truths: object = NOTHING) -> list[object]:
    return [exam, 50, patient, f"exams_part{part}.hdf5", *truths]  # type: ignore[misc]


def write_code15(folder: Path, rows: Sequence[Sequence[object]]) -> Path:
    return write_table(folder / tnmg.TABLE, rows, COLUMNS)


def write_ordered(folder: Path, count: int = 3, **changes: object) -> Path:
    """Write one HDF5 file and a table in its order; exam i has finding i."""
    write_hdf5(folder / "ecg_tracings.hdf5", **({"values": tracings(count)} | changes))  # type: ignore[arg-type]
    rows = np.eye(max(count, 6), 6, dtype=int)[:count].tolist()
    return write_table(folder / "gold.csv", rows, FINDINGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CODE-15 %: 200 exams of 100 patients; the three of part 0 at hand, in another order."""
    place = tmp_path_factory.mktemp("data") / "tnmg"
    truths = (["True", "False", "True", *NOTHING[:3]], NOTHING, [*NOTHING[:5], "True"])
    rows = [row_of(1169160 + i, 7000 + i, 0, truths[i]) for i in range(3)]
    rows += [row_of(1169160 + i, 7000 + i % 100, 1 + i % 3) for i in range(3, 200)]
    empty = np.zeros((1, 4096, 12), np.float32)
    values = np.concatenate((tracings(3)[::-1], empty))
    write_hdf5(place / "exams_part0.hdf5", values, [1169162, 1169161, 1169160, 0])
    return write_code15(place, rows)


def test_a_record_of_code15_is_as_written(folder: Path) -> None:
    records = load_labelled("tnmg", folder.parent)
    assert [r.name for r in records] == ["1169160", "1169161", "1169162"]
    for index, record in enumerate(records):
        assert (record.patient, record.leads) == (f"tnmg-{7000 + index}", LEADS)
        assert (record.frames.shape, record.duration_s) == ((5120, 12), 10.24)
        assert np.array_equal(record.frames, tnmg.to_frames(tracings(3)[index]))
    findings = [r.labels.tolist() for r in records]
    assert findings == [[1, 0, 1, 0, 0, 0], [0] * 6, [0, 0, 0, 0, 0, 1]]


def test_columns_are_taken_by_name(tmp_path: Path) -> None:
    columns = ("exam_id", "patient_id", "trace_file", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
    write_table(tmp_path / tnmg.TABLE, [[5, 1, "a.hdf5", *NOTHING[:5], "True"]], columns)
    write_hdf5(tmp_path / "a.hdf5", tracings(), [5])
    assert load_labelled("tnmg", tmp_path)[0].count()["AF"] == 1


def test_one_file_and_a_table_in_its_order(tmp_path: Path) -> None:
    write_ordered(tmp_path / "tnmg", 3)
    write_table(tmp_path / "tnmg" / "attributes.csv", [[50, "F"]] * 3, ("age", "sex"))
    records = load_labelled("tnmg", tmp_path)
    assert [r.name for r in records] == ["row000000", "row000001", "row000002"]
    assert [r.patient for r in records] == [f"tnmg-row00000{i}" for i in range(3)]
    assert np.array_equal([r.labels for r in records], np.eye(6)[:3])
    assert np.array_equal(records[2].frames, tnmg.to_frames(tracings(3)[2]))


def test_a_sine_keeps_its_shape_at_the_new_rate() -> None:
    cycles, phase = np.arange(12) + 1, np.linspace(0, 3, 12)
    old, new = (np.arange(n)[:, None] / n for n in (4096, 5120))
    wanted = 2000 * np.sin(2 * np.pi * cycles * new + phase)  # microvolts
    found = tnmg.to_frames((2 * np.sin(2 * np.pi * cycles * old + phase)).astype(np.float32))
    assert found.dtype == np.int16
    assert np.abs(found - wanted).max() < 0.501


def test_what_does_not_fit_is_clipped() -> None:
    high = np.full((4096, 12), 40, np.float32)
    assert (tnmg.to_frames(high) == 32767).all()
    assert (tnmg.to_frames(-high) == -32768).all()
    assert not tnmg.to_frames(0 * high).any()


def test_splits_are_by_patient_and_folds_partition(folder: Path) -> None:
    everything = set(tnmg.names_of(folder, "all"))
    develop, test = (set(tnmg.names_of(folder, s)) for s in ("develop", "test"))
    assert len(everything) == 200
    assert develop | test == everything
    assert not develop & test
    assert 20 <= len(test) <= 60
    held_out = [name for fold in folds("tnmg", folder) for name in fold]
    assert sorted(held_out) == sorted(develop)
    for fold in range(tnmg.FOLD_COUNT):
        parts = [set(tnmg.names_of(folder, s, fold)) for s in ("train", "validation", "test")]
        assert set.union(*parts) == everything
        assert all(parts)
        patients = [{(int(name) - 1169160) % 100 for name in part} for part in parts]
        assert sum(map(len, patients)) == 100  # nobody is in two parts


def test_a_patient_stays_in_its_split_whatever_is_at_hand(tmp_path: Path) -> None:
    write_code15(tmp_path, [row_of(i, i) for i in range(1, 41)])
    assert tnmg.names_of(tmp_path, "test") == ("9", "11", "16", "25", "30")
    assert tnmg.names_of(tmp_path, "validation")[:3] == ("24", "29", "35")


def test_a_damaged_record_is_found_when_it_is_reached(tmp_path: Path) -> None:
    values = tracings(3)
    values[1, 5, 5] = np.nan
    write_hdf5(tmp_path / "exams_part0.hdf5", values, [1, 2, 3])
    (tmp_path / "exams_part1.hdf5").write_bytes(b"nothing")
    write_code15(tmp_path, [row_of(i, i, i // 4) for i in range(1, 6)])
    records = load_labelled("tnmg", tmp_path)
    assert isinstance(records, LazyRecords)
    assert records.names == ("1", "2", "3", "4", "5")
    assert records[2].name == "3"
    with pytest.raises(DataError, match="record 2 has values that are no number"):
        records[1]
    with pytest.raises(DataError, match=r"exams_part1.hdf5 is missing or damaged"):
        records[3]


def test_of_records_that_follow_each_other_many_are_read_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def note(module: str, path: Path, wanted: str) -> Groups:
        asked.append(list(json.loads(wanted)[1]))
        return read_here(module, path, wanted)

    monkeypatch.setattr(tnmg, "read_apart", note)
    records = load_labelled("tnmg", folder)
    first = [record.frames for record in records]
    again = [records[index].frames for index in (2, 0)]
    assert asked == [list(records.names), ["1169162"], ["1169160", *records.names[1:]]]
    np.testing.assert_array_equal(again, [first[2], first[0]])


@pytest.mark.parametrize(
    ("does", "said"), [("hang", "does not come to an end with it"), ("crash", "crashes on it")]
)
def test_a_library_that_fails_reaches_nobody_else(
    does: str, said: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tnmg, "read_apart", apart.read_apart)
    monkeypatch.setattr(apart.sys, "executable", write_program(tmp_path / "python", does))
    monkeypatch.setattr(apart, "_SECONDS", 0.5)
    records = load_labelled("tnmg", folder)
    with pytest.raises(DataError, match=rf"exams_part0.hdf5 is missing or damaged \(its .*{said}"):
        records[1]


def test_a_process_of_its_own_reads_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = load_labelled("tnmg", folder)
    here = [records[index].frames for index in (0, 1)]
    monkeypatch.setattr(tnmg, "read_apart", apart.read_apart)
    np.testing.assert_array_equal(
        here, [record.frames for record in load_labelled("tnmg", folder)[:2]]
    )


def test_only_the_row_of_the_record_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    whole = h5py.Dataset.__getitem__

    def note(self: object, key: object, **options: object) -> object:
        asked.append((self.name, key))  # type: ignore[attr-defined]
        return whole(self, key, **options)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", note)
    load_labelled("tnmg", folder)[1]
    assert asked == [("/exam_id", slice(None)), ("/tracings", 1)]


@pytest.mark.parametrize(
    ("values", "ids", "said"),
    [
        (
            np.zeros((1, 4000, 12)),
            [1],
            r"tracings must be \(n, 4096, 12\), .*, not \(1, 4000, 12\)",
        ),
        (np.zeros((1, 12, 4096)), [1], r"tracings must be .*, not \(1, 12, 4096\)"),
        (np.zeros((4096, 12)), [1], r"tracings must be .*, not \(4096, 12\)"),
        (np.zeros((1, 4096, 12)), [2], "must hold exam 1 once, not 0 times"),
        (np.zeros((2, 4096, 12)), [1, 1], "must hold exam 1 once, not 2 times"),
        (np.zeros((1, 4096, 12)), [2, 1], r"exams_part0.hdf5 is missing or damaged"),
        (np.zeros((1, 4096, 12)), None, r"exams_part0.hdf5 is missing or damaged .*exam_id"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    values: np.ndarray, ids: list[int] | None, said: str, tmp_path: Path
) -> None:
    write_hdf5(tmp_path / "exams_part0.hdf5", values, ids)
    write_code15(tmp_path, [row_of(1, 1)])
    with pytest.raises(DataError, match=said):
        load_labelled("tnmg", tmp_path)[0]


def test_file_and_table_of_other_lengths_are_refused(tmp_path: Path) -> None:
    write_ordered(tmp_path, 3, values=tracings(2))
    with pytest.raises(DataError, match=r"tracings must be \(3, 4096, 12"):
        load_labelled("tnmg", tmp_path)[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (row_of(1, 2), "exam_id '1' of patient_id '2' .* must be a number listed once"),
        (row_of("x", 2), "exam_id 'x'"),
        (row_of(2, ""), "patient_id '' in trace_file"),
        (
            row_of(2, 2, 0, ["yes", *NOTHING[1:]]),
            "1dAVb of 2 must be True or False, 1 or 0, not 'yes'",
        ),
        (
            row_of(2, 2, 0, ["0", *NOTHING[1:5], ""]),
            "ST of 2 must be True or False, 1 or 0, not ''",
        ),
        ([2, 50, 2], "row 2 ends after 3 columns; copy it again"),
    ],
)
def test_a_damaged_row_is_named(row: list[object], said: str, tmp_path: Path) -> None:
    write_code15(tmp_path, [row_of(1, 1), row])
    with pytest.raises(DataError, match=said):
        load_labelled("tnmg", tmp_path)


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / tnmg.TABLE, [], ("exam_id", "patient_id", *FINDINGS))
    with pytest.raises(DataError, match=r"must have the columns exam_id, .* and lacks trace_file"):
        load_labelled("tnmg", tmp_path)
    (tmp_path / tnmg.TABLE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"is missing or damaged .*; copy it again"):
        load_labelled("tnmg", tmp_path)


def test_more_than_one_table_or_file_is_refused(tmp_path: Path) -> None:
    write_ordered(tmp_path)
    write_table(tmp_path / "second.csv", [], FINDINGS)
    with pytest.raises(DataError, match=r"holds 1 .hdf5 files and 2 .csv tables with the columns"):
        load_labelled("tnmg", tmp_path)
    for table in tmp_path.glob("*.csv"):
        table.unlink()
    with pytest.raises(DataError, match=r"and 0 .csv tables .* it must hold one of each, or exams"):
        load_labelled("tnmg", tmp_path)


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"holds exams.csv, or one .hdf5 file with its .csv table;"):
        tnmg.locate(tmp_path)
    write_code15(tmp_path, [row_of(i, i, i) for i in range(5)])
    with pytest.raises(DataError, match=r"none of its files exams_part0.hdf5, .* \.\.\.; unpack"):
        load_labelled("tnmg", tmp_path)
    with pytest.raises(DataError, match="has no record 9; see"):
        tnmg.read(tmp_path, ["9"])
    with pytest.raises(DataError, match=r"tnmg has no split 'dev' .* and a fold from 0 to 4"):
        load_labelled("tnmg", tmp_path, "dev")
    monkeypatch.delenv("LNN_EDGE_DATA", raising=False)
    with pytest.raises(DataError, match="no folder given for tnmg; give --data-dir or set"):
        load_labelled("tnmg")


def test_without_h5py_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingToolError, match=r"needs h5py; .*`pip install lnn-edge\[tnmg\]`"):
        load_labelled("tnmg", folder)


def test_the_command_line_describes_it(folder: Path, tmp_path: Path) -> None:
    infos = call_json("data", "info", "tnmg", "--data-dir", folder)
    assert [i["name"] for i in infos] == ["1169160", "1169161", "1169162"]
    assert infos[0]["labels"]["LBBB"] == 1
    outcome = call("data", "info", "tnmg", "--data-dir", folder.parent)
    assert (outcome.code, outcome.err) == (0, "")
    assert all(i["name"] in outcome.out for i in infos)
    assert "tnmg" in call("data", "list").out
    said = refusal(call("data", "info", "tnmg", "--data-dir", tmp_path))
    assert said.startswith("neither ")

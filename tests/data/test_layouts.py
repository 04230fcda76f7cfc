"""Published layouts: small folders made after their listings, and the real sets where they are."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from lnn_edge.data import hapt_cache, uci_har
from lnn_edge.data.inspection import inspect
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.readers import wfdb_record
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Interval
from lnn_edge.data.registry import DATA_VARIABLE
from lnn_edge.errors import DataError
from tests.data.readers.damage import SHARED, damaged
from tests.data.readers.test_wfdb_record import NOISE, write
from tests.support.wfdb_files import needs_mitdb

NAMES = "1 WALKING\n2 SITTING\n"
RNG = np.random.default_rng(4)


def write_windows(folder: Path) -> dict[str, np.ndarray]:
    """Write runs cut into windows that share their halves, as the README describes them."""
    (folder / "activity_labels.txt").write_text(NAMES)
    runs = {}
    for part, subject in (("train", 1), ("test", 2)):
        place = folder / part / "Inertial Signals"
        place.mkdir(parents=True)
        runs[part] = np.round(RNG.normal(0, 1, (2, 320, 6)), 6)
        windows = np.concatenate(
            [np.stack([run[s : s + 128] for s in range(0, 193, 64)]) for run in runs[part]]
        )
        for i, name in enumerate(("total_acc_x", "total_acc_y", "total_acc_z",
                                  "body_gyro_x", "body_gyro_y", "body_gyro_z")):  # fmt: skip
            np.savetxt(place / f"{name}_{part}.txt", windows[:, :, i], fmt="  %.7e", delimiter="")
        (folder / part / f"y_{part}.txt").write_text("1\n1\n2\n2\n" * 2)
        (folder / part / f"subject_{part}.txt").write_text(f"{subject}\n" * 8)
    return runs


def test_windows_of_uci_har_are_joined_to_runs(tmp_path: Path) -> None:
    runs = write_windows(tmp_path)
    found = find_records(tmp_path)
    records = list(read_records(found))
    assert found.format == "UCI HAR, Inertial Signals"
    assert [(r.name, r.subject, r.part) for r in records] == [
        ("train/subject01/run0001", "subject01", "train"),
        ("train/subject01/run0002", "subject01", "train"),
        ("test/subject02/run0001", "subject02", "test"),
        ("test/subject02/run0002", "subject02", "test"),
    ]
    assert np.allclose(records[3].samples, runs["test"][1], atol=1e-6)
    assert records[0].intervals[1:3] == (
        Interval(64, 191, "WALKING"),
        Interval(128, 255, "SITTING"),
    )
    (tmp_path / "test" / "y_test.txt").write_text("1\n2\n")
    with pytest.raises(DataError, match=r"its files have \[2, 8\] rows"):
        list(read_records(found))


def write_raw(folder: Path, acc: np.ndarray, gyro: np.ndarray, labels: str) -> None:
    (folder / "RawData").mkdir(exist_ok=True)
    (folder / "activity_labels.txt").write_text(NAMES)
    np.savetxt(folder / "RawData" / "acc_exp01_user02.txt", acc, fmt="%.9f")
    np.savetxt(folder / "RawData" / "gyro_exp01_user02.txt", gyro, fmt="%.9f")
    (folder / "RawData" / "labels.txt").write_text(labels)


def test_raw_data_of_hapt(tmp_path: Path) -> None:
    acc, gyro = RNG.normal(0, 1, (2, 300, 3))
    write_raw(tmp_path, acc, gyro, "1 2 2 1 100\n1 2 1 150 300\n2 2 1 5 9\n")
    (record,) = read_records(find_records(tmp_path))
    assert (record.name, record.subject, record.part) == ("exp01", "subject02", "test")
    assert record.intervals == (Interval(0, 99, "SITTING"), Interval(149, 299, "WALKING"))
    assert np.allclose(record.samples, np.hstack([acc, gyro]), atol=1e-8)
    write_raw(tmp_path, acc, gyro[:9], "1 2 2 1 100\n")
    with pytest.raises(DataError, match="has 300 rows and its gyro file 9"):
        list(read_records(find_records(tmp_path)))


@needs_mitdb
def test_a_real_run_written_as_raw_data_is_the_run(tmp_path: Path) -> None:
    folder = hapt_cache.locate(Path(os.environ[DATA_VARIABLE]))
    with np.load(folder / "hapt_raw.npz") as raw:
        end = int(raw["exp_offset"][1])
        acc, gyro = raw["acc"][:end] / 720, raw["gyro"][:end] * 0.00030543
        rows = [r for r in raw["segments"].tolist() if r[0] == 1]
    text = "".join(f"{r[0]} {r[1]} {min(r[2], 2)} {r[3] + 1} {r[4]}\n" for r in rows)
    write_raw(tmp_path, acc, gyro, text)
    (record,) = read_records(find_records(tmp_path))
    assert np.allclose(record.samples, np.hstack([acc, gyro]), atol=1e-8)
    with np.load(hapt_cache.locate(tmp_path) / uci_har.FILE) as packed:  # by the reader of texts
        for name, scale in (("acc", 720), ("gyro", 1 / 0.00030543)):
            assert np.array_equal(packed[name], np.rint((acc, gyro)[name == "gyro"] * scale))
        assert np.array_equal(packed["segments"][:, 3:], [r[3:] for r in rows])
    (run,) = uci_har.read(tmp_path, ["run01"])
    assert np.array_equal(run.samples[:, :3], np.rint(acc * 720))
    assert [(i.first, i.last + 1) for i in record.intervals] == [(r[3], r[4]) for r in rows]


def test_labels_of_cpsc_2018_stand_in_the_headers(tmp_path: Path) -> None:
    comments = ["Age: 74", "Sex: Male", "Dx: 59118001,164889003", "Rx: Unknown"]
    write(tmp_path / "cpsc_2018" / "g1", "A0001", NOISE, comments=comments)
    write(tmp_path / "cpsc_2018" / "g2", "A1001", NOISE, comments=["Dx: 12345"])
    found = find_records(tmp_path)
    assert found.format == "CPSC-2018 of PhysioNet"
    assert [(r.name, r.labels) for r in read_records(found)] == [
        ("A0001", ("RBBB", "AF")),
        ("A1001", ("12345",)),
    ]
    assert all(r.unknown == ("SB", "ST") for r in read_records(found))


@needs_mitdb
def test_cinc2017_is_as_its_readme_counts_it() -> None:
    found = find_records(Path(os.environ[DATA_VARIABLE]) / "cinc2017")
    assert (found.format, len(found.entries)) == ("CinC 2017", 600)
    labels = Counter(entry.read.args[2] for entry in found.entries)  # type: ignore[attr-defined]
    assert labels == {"normal": 180, "AF": 180, "other": 160, "noise": 80}
    (record,) = found.entries[0].read()
    assert (record.name, record.labels, record.rate_hz) == ("A00004", ("AF",), 300.0)


def test_a_reference_of_other_labels_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "A00001", NOISE)
    (tmp_path / "REFERENCE.csv").write_text("A00001,N\nA00002,?\n")
    with pytest.raises(DataError, match=r"holds \['A00002', '\?'\]; a row must be record,label"):
        inspect(tmp_path)
    (tmp_path / "REFERENCE.csv").write_text("A00002,N\n")
    with pytest.raises(DataError, match="has no label of A00001"):
        inspect(tmp_path)
    assert wfdb_record.read(tmp_path / "A00001.hea", "A00001", Hints())


@pytest.mark.parametrize("name", ["activity_labels.txt", "RawData/labels.txt",
                                  "RawData/acc_exp01_user02.txt"])  # fmt: skip
@pytest.mark.filterwarnings("ignore:loadtxt. input contained no data")
def test_damaged_texts_are_read_or_refused(name: str, tmp_path: Path) -> None:
    acc = np.zeros((30, 3))
    write_raw(tmp_path, acc, acc, "1 2 2 1 10\n")

    @settings(max_examples=40, suppress_health_check=SHARED)
    @given(damaged((tmp_path / name).read_bytes()))
    def check(data: bytes) -> None:
        (tmp_path / name).write_bytes(data)
        try:
            list(read_records(find_records(tmp_path)))
        except DataError as error:
            said = str(error)
        else:
            return
        assert "\n" not in said

    check()

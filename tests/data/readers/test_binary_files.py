"""EDF, Parquet, HDF5 and MAT: written by the library of each format, read, damaged."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.io import savemat

from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.readers import edf_file, hdf5_file, mat_file, parquet_file
from lnn_edge.data.readers.reader import Hints, Reader
from lnn_edge.data.record import Interval, Mark, Record
from lnn_edge.errors import DataError, MissingToolError
from tests.data.readers.damage import SHARED, damaged, read_or_refuse

h5py = pytest.importorskip("h5py")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pyedflib = pytest.importorskip("pyedflib")

TIMES = np.arange(500) / 250
STEPS = np.rint(8000 * np.stack([np.sin(9 * TIMES), np.cos(5 * TIMES)], 1)).astype(np.int16)
NOTHING = Hints()


def read(reader: Reader, path: Path, hints: Hints = NOTHING) -> list[Record]:
    return list(reader.read(path, "r1", hints))


def write_edf(
    path: Path, rates: tuple[int, int] = (250, 250), labels: tuple[str, str] = ("ECG", "EEG")
) -> Path:
    columns = [STEPS[:: 250 // rate, i] for i, rate in enumerate(rates)]
    with pyedflib.EdfWriter(str(path), 2, file_type=pyedflib.FILETYPE_EDFPLUS) as file:
        for i, rate in enumerate(rates):
            facts = {"physical_max": 4.0, "physical_min": -4.0}
            facts |= {"digital_max": 32767, "digital_min": -32768, "sample_frequency": rate}
            texts = {"label": labels[i], "dimension": "mV", "prefilter": "", "transducer": ""}
            file.setSignalHeader(i, {**facts, **texts})
        file.setPatientCode("p7")
        file.writeSamples([c.astype(np.int32) for c in columns], digital=True)
        file.writeAnnotation(0.5, -1, "spike")
        file.writeAnnotation(1.0, 0.5, "stage 2")
    return path


def write_parquet(path: Path) -> Path:
    columns = {"time_ms": np.arange(500) * 4, "x": STEPS[:, 0] / 8, "y": STEPS[:, 1] / 8}
    labels = ["walk"] * 200 + ["sit"] * 300
    table = pyarrow.table({**columns, "activity": labels, "lists": [[1]] * 500})
    parquet.write_table(table, path)
    return path


def write_hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["fs"] = 250
        for who in ("eve", "bob"):
            group = file.create_group(who)
            group["signal"] = STEPS
            group["signal"].attrs["units"] = ["mV", "V"]
            group["label"] = [b"a"] * 100 + [b"b"] * 400
            group["subject"] = who
    return path


def write_mat(path: Path) -> Path:
    struct = {"fs": 250.0, "label": np.repeat([1, 2], 250), "names": np.array(["I", "II"], object)}
    savemat(path, {"ecg": {"signal": STEPS.T, **struct}, "meta": {"a": {"b": [1, "x"]}}})
    return path


def write_mat_7_3(path: Path) -> Path:
    """HDF5 with the 512 bytes before it that MATLAB writes, and arrays turned as it turns them."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["val"] = STEPS
        file["fs"] = [[250.0]]
        file["val"].attrs["MATLAB_class"] = np.bytes_("int16")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    return path


def test_edf_steps_stay_steps_and_annotations_keep_their_place(tmp_path: Path) -> None:
    (record,) = read(edf_file.READER, write_edf(tmp_path / "r1.edf"))
    assert np.array_equal(record.samples, STEPS)
    assert np.allclose(record.values(), (STEPS + 32768.0) * 8 / 65535 - 4, atol=1e-9)
    assert (record.subject, record.rate_hz) == ("p7", 250.0)
    assert [(c.name, c.unit) for c in record.channels] == [("ECG", "mV"), ("EEG", "mV")]
    assert record.marks == (Mark(125, "spike"),)
    assert record.intervals == (Interval(250, 374, "stage 2"),)


def test_edf_channels_of_several_rates_come_to_the_highest(tmp_path: Path) -> None:
    (record,) = read(edf_file.READER, write_edf(tmp_path / "r1.edf", (250, 50), ("A", "A")))
    values = (STEPS + 32768.0) * 8 / 65535 - 4
    assert (record.rate_hz, [c.name for c in record.channels]) == (250.0, ["A", "A_2"])
    assert np.abs(record.samples - values)[30:-30].max() < 3e-3
    assert record.changes.lines() == [
        "renamed channels without a name of their own: 1 channels in 1 record",
        "resampled channels from 50 Hz to 250 Hz: 1 channels in 1 record",
    ]


def test_bdf_with_a_late_step_beyond_16_bit_is_in_values(tmp_path: Path) -> None:
    steps = np.arange(300_000, dtype=np.int32) % 1000
    steps[-1] = 1 << 20
    path = tmp_path / "r1.bdf"
    with pyedflib.EdfWriter(str(path), 2, file_type=pyedflib.FILETYPE_BDFPLUS) as file:
        ranges = {"physical_max": 8388607, "physical_min": -8388608}
        ranges |= {"digital_max": 8388607, "digital_min": -8388608, "sample_frequency": 250}
        for label in ("A", "B"):
            file.setSignalHeader(
                label == "B",
                {"label": label, "dimension": "uV", "prefilter": "", "transducer": "", **ranges},
            )
        file.writeSamples([steps // 2000, steps], digital=True)
    (record,) = read(edf_file.READER, path)
    assert np.abs(record.samples - np.stack([steps // 2000, steps], 1)).max() < 1e-6


def test_edf_of_pieces_is_refused(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "r1.edf")
    path.write_bytes(path.read_bytes().replace(b"EDF+C", b"EDF+D"))
    with pytest.raises(DataError, match=r"r1\.edf is damaged or no EDF file \(.*discontinuous"):
        read(edf_file.READER, path)


def test_parquet_is_read_as_a_table(tmp_path: Path) -> None:
    (record,) = read(parquet_file.READER, write_parquet(tmp_path / "r1.parquet"))
    assert np.array_equal(record.samples, STEPS / 8)
    assert (record.rate_hz, record.intervals[1]) == (250.0, Interval(200, 499, "sit"))
    assert record.changes.lines()[0] == "dropped columns of lists: 1 columns in 1 record"


def test_groups_of_hdf5_are_records(tmp_path: Path) -> None:
    records = read(hdf5_file.READER, write_hdf5(tmp_path / "r1.h5"))
    assert [(r.name, r.subject) for r in records] == [("r1/bob", "bob"), ("r1/eve", "eve")]
    assert np.array_equal(records[0].samples, STEPS)
    assert [c.unit for c in records[0].channels] == ["mV", "V"]
    assert (records[0].rate_hz, records[0].intervals[0]) == (250.0, Interval(0, 99, "a"))


def test_fields_of_a_struct_of_matlab_are_arrays(tmp_path: Path) -> None:
    (record,) = read(mat_file.READER, write_mat(tmp_path / "r1.mat"))
    assert np.array_equal(record.samples, STEPS)
    assert [c.name for c in record.channels] == ["I", "II"]
    assert (record.rate_hz, record.intervals[0]) == (250.0, Interval(0, 249, "1"))


def test_files_of_matlab_7_3_are_hdf5(tmp_path: Path) -> None:
    (record,) = read(mat_file.READER, write_mat_7_3(tmp_path / "r1.mat"))
    assert np.array_equal(record.samples, STEPS)
    assert record.rate_hz == 250.0


@pytest.mark.parametrize("packed", [False, True])
def test_hdf5_cannot_promise_more_than_the_file_holds(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "r1.h5"
    more: dict[str, object] = {"chunks": (1000,), "compression": "gzip"} if packed else {}
    with h5py.File(path, "w") as file:
        file.create_dataset("x", shape=(1 << 26,), dtype="S1", **more)  # nothing of it is written
    with pytest.raises(DataError, match="x promises more than the file holds"):
        read(hdf5_file.READER, path)


WRITERS: dict[str, tuple[Reader, Callable[[Path], Path]]] = {
    "edf": (edf_file.READER, write_edf),
    "parquet": (parquet_file.READER, write_parquet),
    "h5": (hdf5_file.READER, write_hdf5),
    "mat": (mat_file.READER, write_mat),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_damaged_files_are_read_or_refused(suffix: str, tmp_path: Path, readers_here: None) -> None:
    reader, write = WRITERS[suffix]
    path = write(tmp_path / f"r1.{suffix}")

    @settings(max_examples=60, derandomize=True, suppress_health_check=SHARED)
    @given(damaged(path.read_bytes()))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        read_or_refuse(reader.read, path)

    check()


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_folder_of_each_format_is_found(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    WRITERS[suffix][1](tmp_path / "deep" / f"a.{suffix}")
    records = list(read_records(find_records(tmp_path)))
    assert all(r.name.startswith("deep/a") for r in records)
    assert records


@pytest.mark.parametrize(
    ("suffix", "library", "extra"),
    [("edf", "pyedflib", "edf"), ("parquet", "pyarrow.parquet", "parquet"), ("h5", "h5py", "hdf5")],
)
def test_a_missing_library_is_named_with_its_extra(
    suffix: str, library: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = WRITERS[suffix][1](tmp_path / f"r1.{suffix}")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingToolError, match=rf"pip install lnn-edge\[{extra}\]"):
        read(WRITERS[suffix][0], path)

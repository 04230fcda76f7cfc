"""Long tables lie on disk: the same records as from memory, in a fraction of it."""

from __future__ import annotations

import errno
import gzip
import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn_edge.data import on_disk
from lnn_edge.data.on_disk import RowsOnDisk, let_go, parts
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.readers import (
    apart,
    csv_file,
    hdf5_file,
    long_times,
    npy_file,
    parquet_file,
    time_axis,
)
from lnn_edge.data.readers.long_times import LongTimes
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from tests.support.reader_cost import cost_of

Patch = pytest.MonkeyPatch
ROWS = 60


def long(patch: Patch) -> None:
    """Take every file for a long one, in parts of a few rows."""
    for module, name, value in (
        (csv_file, "_LONG", 0),
        (csv_file, "_PART", 7),
        (parquet_file, "_LONG", 0),
        (parquet_file, "_PART", 7),
        (npy_file, "_LONG", 0),
        (time_axis, "_LONG", 1),
        (long_times, "_PART", 5),
        (on_disk, "_SPAN", 11),
    ):
        patch.setattr(module, name, value)


def read(path: Path, **hints: object) -> list[Record] | str:
    """Return the records of a file, or why there are none."""
    try:
        return list(read_records(find_records(path, Hints(**hints))))  # type: ignore[arg-type]
    except DataError as error:
        return str(error)


def facts(found: list[Record] | str) -> object:
    """Return all that is in records; as text NaN equals NaN."""
    if isinstance(found, str):
        return found
    return [
        (r.name, r.subject, r.rate_hz, r.channels, r.marks, r.intervals, r.changes.lines(),
         r.samples.dtype, str(r.samples.tolist()))
        for r in found
    ]  # fmt: skip


def is_mapped(samples: np.ndarray) -> bool:
    """Whether samples lie in a file."""
    owner: object = samples
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return isinstance(owner, mmap.mmap)


def same(path: Path, patch: Patch, **hints: object) -> list[Record] | str:
    """See that a file is read alike from memory and in parts; return what the parts gave."""
    expected = facts(read(path, **hints))
    with patch.context() as inner:
        long(inner)
        found = read(path, **hints)
        assert facts(found) == expected
    return found


def lines(row: Callable[[int], str]) -> str:
    return "".join(row(i) + "\n" for i in range(ROWS))


@pytest.mark.parametrize(
    ("head", "row", "hints", "outcome"),
    [
        ("a (mV),b (mV)", lambda i: f"0.{i:03d},-{i}.5", {"rate_hz": 50.0}, "on disk"),
        ("a,b", lambda i: f"{i},{i * i}", {"rate_hz": 50.0}, "on disk"),
        ("a,b", lambda i: f"{i},{i if i != 40 else i + 0.5}", {"rate_hz": 50.0}, "on disk"),
        ("a;b", lambda i: f"{i},5;{i}", {"rate_hz": 50.0}, "on disk"),
        ("a b", lambda i: f"{i} {i / 7}", {"rate_hz": 50.0}, "on disk"),
        ("a,b", lambda i: f"{i},{'' if i == 50 else 3}", {"rate_hz": 50.0}, "on disk"),
        ("a,b", lambda i: f"{i},{'inf' if i == 50 else 3}", {"rate_hz": 50.0}, "on disk"),
        ("sample,a,b", lambda i: f"{i},{i},0.5", {"rate_hz": 50.0}, "on disk"),
        ("sample,a,b", lambda i: f"{i + (i > 30)},{i},0.5", {"rate_hz": 50.0}, "on disk"),
        ("time_s,a,b", lambda i: f"{i / 50:.3f},{i},0.25", {}, "on disk"),
        ("time_s,a,b", lambda i: f"{i / 360:.3f},{i},0.25", {}, "on disk"),
        ("time,a", lambda i: f"{1_767_322_000_000_000_000 + i * 10_000_000},{i}", {}, "on disk"),
        ("time,a", lambda i: f"{i * 4},{i}", {}, "on disk"),
        ("a,time_s,b", lambda i: f"{i},{i / 50},{-i}", {}, "read"),
        ("time_s,a", lambda i: f"{i / 50 + (i > 30) * 0.2:.3f},{i}", {}, "read"),
        ("time_s,a", lambda i: f"{i / 50 - (i > 30) * 0.2:.3f},{i}", {}, "on disk"),
        ("time_s,a", lambda i: f"{i / 50 + (i > 30) * 60:.3f},{i}", {}, "on disk"),
        ("time_s,a", lambda i: f"{i / 50 + i % 3 * 0.009:.3f},{i}", {}, "read"),
        ("time_s,a", lambda i: f"{(i - (i == 30)) / 50:.3f},{i}", {}, "read"),
        ("time_s,a", lambda i: f"{i / 50 if i != 50 else ''},{i}", {}, "refused"),
        ("time,a", lambda i: f"{i},{i}", {}, "refused"),
        ("time_s,a,label", lambda i: f"{i / 50},{i},{i // 20}", {}, "on disk"),
        ("time_s,a,label", lambda i: f"{i / 50},{i},{'walk' if i < 40 else 'rest'}", {}, "read"),
        ("a,subject", lambda i: f"{i},{i // 30}", {"rate_hz": 50.0}, "read"),
        ("a,b", lambda i: f"{i},{i + 2**60 if i < 30 else i / 3}", {"rate_hz": 50.0}, "read"),
        ("a,b", lambda i: f"{i},{2**60 + 64 + i}", {"rate_hz": 50.0}, "on disk"),
        ("a,b", lambda i: f"{i},{2**64 - 70 + i}", {"rate_hz": 50.0}, "read"),
        ("a,b", lambda i: f"{i},{i > 30}", {"rate_hz": 50.0}, "read"),
        ("a,b", lambda i: f"{i},{'oops' if i == 55 else 3}", {"rate_hz": 50.0}, "refused"),
        ("a,b", lambda i: f"{i},{i}{',9' if i == 55 else ''}", {"rate_hz": 50.0}, "refused"),
    ],
)  # fmt: skip
def test_a_table_is_read_alike_in_parts(
    head: str,
    row: Callable[[int], str],
    hints: dict[str, object],
    outcome: str,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    text = f"{head}\n{lines(row)}"
    (tmp_path / "r.csv").write_text(text)
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("r.csv", "r.csv.gz"):
        found = same(tmp_path / name, monkeypatch, **hints)
        assert isinstance(found, str) == (outcome == "refused")
        if outcome == "on disk":
            assert all(is_mapped(r.samples) for r in found)  # type: ignore[union-attr]


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(-(2**70), 2**70)), min_size=1),
    st.sampled_from([str, "{:.3f}".format, "{:.17g}".format]),
)
def test_any_numbers_are_read_alike_in_parts(
    table: list[tuple[float, int]], form: Callable[[float], str]
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "r.csv"
        path.write_text("a,b\n" + "".join(f"{form(a)},{b}\n" for a, b in table))
        same(path, patch, rate_hz=10.0)


@pytest.mark.parametrize(
    ("columns", "on_disk"),
    [
        ({"a": np.arange(ROWS, dtype=np.int16), "b": np.linspace(0, 1, ROWS)}, True),
        ({"a": np.linspace(0, 1, ROWS, dtype=np.float32)}, True),
        ({"a": pd.array([1, None, 3] * 20, "Int64"), "b": np.arange(ROWS)}, True),
        ({"a": np.arange(ROWS), "b": np.arange(ROWS) > 30}, False),
        ({"a": np.arange(ROWS), "label": ["walk"] * 40 + ["rest"] * 20}, False),
        ({"a": np.arange(ROWS), "b": [[1, 2]] * ROWS}, False),
        ({"time_s": np.arange(ROWS) / 50, "a": np.arange(ROWS)}, True),
    ],
)
@pytest.mark.parametrize("index", [None, "named", "plain"])
def test_a_parquet_file_is_read_alike_in_parts(
    columns: dict[str, object], on_disk: bool, index: str | None, tmp_path: Path, monkeypatch: Patch
) -> None:
    frame = pd.DataFrame(columns)
    if index is not None:
        numbers = np.arange(ROWS) * 3
        frame.index = pd.Index(numbers, name="number" if index == "named" else None)
    frame.to_parquet(tmp_path / "r.parquet", row_group_size=13)
    hints: dict[str, object] = {} if "time_s" in columns else {"rate_hz": 50.0}
    found = same(tmp_path / "r.parquet", monkeypatch, **hints)
    assert not isinstance(found, str)
    assert is_mapped(found[0].samples) == (on_disk and index is None)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("in_columns", [False, True])
def test_an_array_stays_in_its_file(
    dtype: type, in_columns: bool, tmp_path: Path, monkeypatch: Patch
) -> None:
    array = np.arange(2 * ROWS).reshape(ROWS, 2).astype(dtype)
    np.save(tmp_path / "r.npy", np.asfortranarray(array) if in_columns else array)
    found = same(tmp_path / "r.npy", monkeypatch, rate_hz=50.0)
    assert is_mapped(found[0].samples) == (dtype is not np.int32)  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(ROWS, 2), (2, ROWS), (3, ROWS, 2), (ROWS,)])
def test_hdf5_is_read_alike_in_parts(
    dtype: type, shape: tuple[int, ...], tmp_path: Path, monkeypatch: Patch
) -> None:
    """What the other process copies, and what comes from it, lie on disk."""
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    path = tmp_path / "r.h5"
    with h5py.File(path, "w") as file:
        file["samples"], file["fs"], file["label"] = array, 50.0, "walk"
    short = facts(read(path))
    for module, name, value in ((hdf5_file, "_LONG", 0), (hdf5_file, "_PART", 100)):
        monkeypatch.setattr(module, name, value)
    copied = hdf5_file.groups_of(path)
    assert is_mapped(copied[""]["samples"])
    monkeypatch.setattr(apart, "_LONG", 0)
    with (tmp_path / "passed").open("w+b") as file:
        apart.pack(copied, file)
        passed = apart.unpack(file)
    assert is_mapped(passed[""]["samples"])
    np.testing.assert_array_equal(passed[""]["samples"], array, strict=True)
    assert (passed[""]["fs"], passed[""]["label"]) == (50.0, "walk")
    assert facts(read(path)) == short


class Watched:
    """A dataset that counts how often each of its chunks is read."""

    def __init__(self, array: np.ndarray, chunks: tuple[int, ...] | None) -> None:
        self._array, self.chunks = array, chunks
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, array.dtype
        sizes = zip(array.shape, chunks or (1,) * array.ndim, strict=True)
        self.reads = np.zeros([-(-n // c) for n, c in sizes], int)
        self.most = 0

    def __getitem__(self, places: tuple[int | slice, ...]) -> np.ndarray:
        touched = np.zeros(self.shape, bool)
        touched[places] = True
        at = np.argwhere(touched) // np.array(self.chunks or 1)
        self.reads[tuple(np.unique(at, axis=0).T)] += 1
        part: np.ndarray = self._array[places]
        self.most = max(self.most, part.nbytes)
        return part


@pytest.mark.parametrize(
    ("shape", "chunks", "most"),
    [
        ((ROWS, 2), None, 96),
        ((ROWS, 2), (7, 2), 112),  # more than a part, since it is unpacked whole
        ((ROWS, 2), (3, 1), 96),
        ((ROWS, 2), (ROWS, 2), 960),
        ((2, ROWS), None, 100),
        ((2, ROWS), (1, 5), 100),
        ((3, ROWS, 2), None, 100),
        ((3, ROWS, 2), (1, 4, 2), 100),
        ((3, ROWS, 2), (2, 4, 2), 1_920),
        ((ROWS,), (9,), 100),
    ],
)
def test_each_chunk_of_hdf5_is_read_once_and_few_at_a_time(
    shape: tuple[int, ...], chunks: tuple[int, ...] | None, most: int, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(hdf5_file, "_PART", 100)
    array = np.random.default_rng(0).normal(size=shape)
    item = Watched(array, chunks)
    np.testing.assert_array_equal(hdf5_file._on_disk(item), array, strict=True)
    assert (item.reads == 1).all()
    assert item.most <= most


@given(st.lists(st.floats(1e-9, 1e9, exclude_min=True), min_size=1, max_size=40))
def test_the_median_of_steps_is_that_of_numpy(steps: list[float]) -> None:
    times = np.concatenate(([0.0], np.cumsum(steps)))
    long_one = LongTimes(times)
    if long_one.goes_on:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(long_times, "_PART", 3)
            assert long_one.median_step() == np.median(np.diff(times))


def test_what_was_let_go_is_there_again() -> None:
    array = np.random.default_rng(0).normal(size=(3_000, 2))
    with RowsOnDisk(2) as rows:
        for part in np.array_split(array, 7):
            rows.add(part)
        mapped = rows.mapped()
    let_go(mapped[:, 1])
    assert np.array_equal(mapped, array)
    mapped[5] = 7.0  # what is written stays too
    let_go(mapped)
    assert mapped[5].tolist() == [7.0, 7.0]
    assert np.concatenate(list(parts(mapped[:, 0]))).tolist() == mapped[:, 0].tolist()


def test_a_full_folder_of_temporary_files_is_told(tmp_path: Path, monkeypatch: Patch) -> None:
    class Full:
        def write(self, _data: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    (tmp_path / "r.csv").write_text("a,b\n" + lines(lambda i: f"{i},{i}"))
    long(monkeypatch)
    monkeypatch.setattr("lnn_edge.data.on_disk.tempfile.TemporaryFile", Full)
    said = read(tmp_path / "r.csv", rate_hz=50.0)
    assert isinstance(said, str)
    assert "cannot take a long table (No space left on device); set TMPDIR" in said


DAY = 5_000_000  # rows: four hours of two leads at 360 Hz


def _csv(path: Path, form: Callable[[int], str], head: str) -> None:
    with path.open("w") as file:
        file.write(head)
        for start in range(0, DAY, 50_000):
            file.write("".join(form(i) for i in range(start, start + 50_000)))


def _values() -> np.ndarray:
    steps = np.arange(DAY) % 1_000
    return np.stack((steps / 200, -steps / 200), axis=1)


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["samples"], file["units"] = _values(), ["mV", "mV"]
        file["channels"] = ["MLII", "V1"]


LARGE: dict[str, Callable[[Path], None]] = {
    "plain.csv": lambda path: _csv(
        path, lambda i: f"{i % 1_000 / 200:.3f},-{i % 1_000 / 200:.3f}\n", "MLII (mV),V1 (mV)\n"
    ),
    "timed.csv": lambda path: _csv(
        path,
        lambda i: f"{i / 100:.2f},{i % 1_000 / 200:.3f},-{i % 1_000 / 200:.3f}\n",
        "time_s,MLII (mV),V1 (mV)\n",
    ),
    "rows.parquet": lambda path: pd.DataFrame(
        _values(), columns=["MLII (mV)", "V1 (mV)"]
    ).to_parquet(path, compression=None, use_dictionary=False),
    "rows.npy": lambda path: np.save(path, _values()),
    "rows.h5": _hdf5,
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", LARGE)
def test_a_long_recording_takes_little_more_than_the_model_reads(name: str, tmp_path: Path) -> None:
    """The model reads 20 MB; in float64 they are 80 MB, twice or more of which pandas took."""
    LARGE[name](tmp_path / name)
    cost = cost_of("fed", tmp_path / name)
    assert cost.outcome == "read"
    assert cost.megabytes < 20 + 100, cost

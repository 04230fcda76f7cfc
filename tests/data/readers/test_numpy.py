"""npy and npz: arrays by shape and name."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from lnn_edge.data.readers import npy_file
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from tests.data.readers.damage import SHARED, damaged, read_or_refuse

STEPS = np.arange(600, dtype=np.int16).reshape(200, 3)


def read_npz(folder: Path, hints: Hints = Hints(), **arrays: object) -> list[Record]:  # noqa: B008
    np.savez(folder / "r1.npz", **arrays)  # type: ignore[arg-type]
    return list(npy_file.read(folder / "r1.npz", "r1", hints))


def test_one_array_needs_a_rate(tmp_path: Path) -> None:
    path = tmp_path / "r1.npy"
    np.save(path, STEPS)
    (record,) = npy_file.read(path, "r1", Hints(rate_hz=50.0))
    assert (record.samples.dtype, record.rate_hz) == (np.int16, 50.0)
    assert np.array_equal(record.samples, STEPS)
    assert [c.name for c in record.channels] == ["channel_1", "channel_2", "channel_3"]
    with pytest.raises(DataError, match=r"holds no rate .* give its rate"):
        list(npy_file.read(path, "r1", Hints()))


def test_an_archive_tells_rate_channels_and_labels_of_samples(tmp_path: Path) -> None:
    labels = np.array(["sit"] * 120 + ["walk"] * 80)
    (record,) = read_npz(
        tmp_path,
        signal=STEPS.astype(">f4").T,
        fs=125,
        y=labels,
        channels=["x", "y", "z"],
        units="g",
        subject="eve",
        extra=np.zeros(2),
    )
    assert np.array_equal(record.samples, STEPS)
    assert [(c.name, c.unit) for c in record.channels] == [("x", "g"), ("y", "g"), ("z", "g")]
    assert (record.rate_hz, record.subject) == (125.0, "eve")
    assert [(i.first, i.last, i.label) for i in record.intervals] == [
        (0, 119, "sit"),
        (120, 199, "walk"),
    ]
    assert record.changes.lines() == [
        "dropped arrays extra: 1 arrays in 1 record",
        "converted signal from (C, N) to (N, C): 1 records in 1 record",
    ]


@pytest.mark.parametrize("shape", [(6, 20, 113), (6, 113, 20), (20, 113), (113, 20)])
def test_names_say_which_axis_is_that_of_channels(shape: tuple[int, ...], tmp_path: Path) -> None:
    """A window may be shorter than it is wide."""
    x = np.random.default_rng(0).normal(size=shape)
    for count in (20, 113):
        names = np.array([f"c{i}" for i in range(count)])
        records = read_npz(tmp_path, samples=x, channel_names=names, fs=np.array(50.0))
        wanted = x if shape[-1] == count else x.swapaxes(-1, -2)
        for record, samples in zip(records, wanted if x.ndim == 3 else [wanted], strict=True):
            np.testing.assert_array_equal(record.samples, samples)
            assert record.channels[-1].name == f"c{count - 1}"


def test_several_records_have_a_label_and_a_subject_each(tmp_path: Path) -> None:
    whole = np.stack([STEPS, STEPS + 1, STEPS + 2])
    records = read_npz(tmp_path, X=whole, y=[4, 5, 4], subjects=[1, 1, 2], rate=50.0)
    assert [(r.name, r.labels, r.subject) for r in records] == [
        ("r1/0", ("4",), "1"),
        ("r1/1", ("5",), "1"),
        ("r1/2", ("4",), "2"),
    ]
    assert np.array_equal(records[2].samples, STEPS + 2)
    assert read_npz(tmp_path, X=whole, time=np.arange(200) / 40)[0].rate_hz == 40.0
    assert read_npz(tmp_path, X=whole, time_ms=np.arange(200) * 25)[0].rate_hz == 40.0


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"a": STEPS, "b": STEPS, "fs": 1}, "one array of numbers must be called samples"),
        ({"x": STEPS, "fs": 1, "y": np.zeros(7)}, "holds 7 labels of 1 records of 200"),
        ({"x": np.zeros((2, 9, 3)), "fs": 1, "subject": [1, 2, 3]}, "names 3 subjects of 2"),
        ({"x": np.zeros((2, 2, 9, 3)), "fs": 1}, r"must be \(N,\)"),
        ({"x": STEPS, "fs": -1}, "rate is -1.0 Hz"),
        ({"x": STEPS, "time": np.zeros(200)}, "does not go on regularly"),
        ({"x": np.array(["a"]), "fs": 1}, "holds x <U1"),
    ],
)
def test_arrays_that_are_no_recording_are_refused(
    arrays: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        read_npz(tmp_path, **arrays)


def test_python_objects_are_never_unpacked(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], object)
    (record,) = read_npz(tmp_path, x=STEPS, fs=9, meta=objects)
    assert record.changes.lines() == [
        "dropped arrays of Python objects: meta: 1 arrays in 1 record"
    ]
    with pytest.raises(DataError, match="meta hold Python objects"):
        read_npz(tmp_path, meta=objects)
    np.save(tmp_path / "r1.npy", objects)
    with pytest.raises(DataError, match="damaged or no NumPy file"):
        list(npy_file.read(tmp_path / "r1.npy", "r1", Hints(rate_hz=1.0)))


def test_a_header_cannot_promise_more_than_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "r1.npy"
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 30, 2)}
    )
    path.write_bytes(file.getvalue() + bytes(64))
    with pytest.raises(DataError, match=r"64 bytes are no float64 of shape"):
        list(npy_file.read(path, "r1", Hints(rate_hz=1.0)))
    with zipfile.ZipFile(tmp_path / "r1.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples.npy", file.getvalue() + bytes(64))
    with pytest.raises(DataError, match="damaged or no NumPy file"):
        list(npy_file.read(tmp_path / "r1.npz", "r1", Hints(rate_hz=1.0)))


def bytes_of(packed: bool) -> bytes:
    file = io.BytesIO()
    if packed:
        np.savez_compressed(file, samples=STEPS, fs=50.0, y=np.zeros(200))
    else:
        np.save(file, STEPS)
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional")
def test_damaged_files_are_read_or_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"r1.{suffix}"

    @settings(max_examples=80, suppress_health_check=SHARED)
    @given(damaged(bytes_of(suffix == "npz")))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        read_or_refuse(npy_file.read, path, Hints(rate_hz=10.0))

    check()

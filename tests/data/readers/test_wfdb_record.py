"""WFDB records as found in the wild, with wfdb itself and the recordings' README as witnesses."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.readers import wfdb_record
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.data.record import Channel, Mark, Record
from lnn_edge.data.registry import DATA_VARIABLE
from lnn_edge.errors import DataError
from tests.data.readers.damage import SHARED, damaged, read_or_refuse
from tests.support.wfdb_files import edit_header, needs_mitdb, write_small

NOTHING = Hints()


def read(path: Path, hints: Hints = NOTHING) -> Record:
    (record,) = wfdb_record.read(path, path.stem, hints)
    return record


def write(
    folder: Path,
    name: str,
    samples: np.ndarray,
    *,
    rate: float = 250,
    leads: Sequence[str] = ("I", "II"),
    annotator: str = "qrs",
    marks: Sequence[int] = (10, 60),
    **more: object,
) -> Path:
    """Write by wfdb alone."""
    folder.mkdir(parents=True, exist_ok=True)
    facts: dict[str, object] = {
        "fmt": ["16"] * len(leads),
        "adc_gain": [500.0] * len(leads),
        "baseline": [7] * len(leads),
    }
    with wfdb_library() as wfdb:
        wfdb.wrsamp(
            name,
            rate,
            ["mV"] * len(leads),
            list(leads),
            d_signal=samples.astype(np.int64),
            write_dir=str(folder),
            **(facts | more),
        )
        wfdb.wrann(
            name, annotator, np.array(marks), symbol=["N"] * len(marks), write_dir=str(folder)
        )
    return folder / f"{name}.hea"


NOISE = np.random.default_rng(0).integers(-900, 900, (500, 2))


def test_any_rate_lead_gain_and_annotator(tmp_path: Path) -> None:
    record = read(write(tmp_path, "r1", NOISE, comments=["Dx: 59118001,426783006"]))
    assert (record.rate_hz, record.samples.dtype) == (250.0, np.int16)
    assert record.channels == (Channel("I", "mV", 500.0, 7.0), Channel("II", "mV", 500.0, 7.0))
    assert record.marks == (Mark(10, "N"), Mark(60, "N"))
    assert record.labels == ("59118001", "426783006")
    assert (record.subject, bool(record.changes)) == ("r1", False)


def test_of_several_annotators_one_is_taken_and_the_others_told(tmp_path: Path) -> None:
    write(tmp_path, "r1", NOISE, annotator="qrs")
    path = write(tmp_path, "r1", NOISE, annotator="atr", marks=(20,))
    record = read(path)
    assert record.marks == (Mark(20, "N"),)
    assert record.changes.lines() == ["dropped annotators qrs: 1 files in 1 record"]
    assert len(read(path, Hints(annotator="qrs")).marks) == 2
    with pytest.raises(DataError, match=r"r1\.ecg is missing; there are atr, qrs"):
        read(path, Hints(annotator="ecg"))


@pytest.mark.parametrize("fmt", ["212", "16", "24", "32", "516", "80"])
def test_values_are_those_of_wfdb_and_invalid_ones_are_absent(fmt: str, tmp_path: Path) -> None:
    samples = NOISE // 10
    path = write(tmp_path, "r1", samples, fmt=[fmt] * 2)
    with wfdb_library() as wfdb:
        wanted = wfdb.rdrecord(str(tmp_path / "r1")).p_signal
    assert np.allclose(read(path).values(), wanted, atol=1e-12)
    if fmt == "80":
        return
    invalid = {"212": -2048, "16": -32768, "24": -(1 << 23), "32": -(1 << 31), "516": -32768}[fmt]
    samples[100:120, 1] = invalid
    record = read(write(tmp_path, "r1", samples, fmt=[fmt] * 2))
    assert np.flatnonzero(np.isnan(record.samples[:, 1])).tolist() == list(range(100, 120))
    assert not np.isnan(record.samples[:, 0]).any()


@pytest.mark.parametrize("fmt", ["16", "212"])
def test_a_long_record_is_read_in_spans_as_it_is_whole(
    fmt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "a", NOISE, fmt=[fmt, fmt])
    whole = read(path)
    monkeypatch.setattr(wfdb_record, "_SPAN", 64)  # 500 is no multiple
    monkeypatch.setattr(wfdb_record, "_single", None)
    spans = read(path)
    np.testing.assert_array_equal(spans.samples, whole.samples)
    assert spans.samples.dtype == whole.samples.dtype == np.int16
    assert (spans.channels, spans.marks) == (whole.channels, whole.marks)
    file = path.with_suffix(".dat")
    content = bytearray(file.read_bytes())
    content[600] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="checksum"):
        read(path)


def test_a_long_record_with_invalid_samples_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = NOISE.copy()
    samples[300, 1] = -(1 << 15)  # what format 16 calls invalid
    path = write(tmp_path, "a", samples)
    monkeypatch.setattr(wfdb_record, "_SPAN", 64)
    assert np.argwhere(np.isnan(read(path).samples)).tolist() == [[300, 1]]


def test_what_a_header_leaves_out_is_assumed_and_told(tmp_path: Path) -> None:
    path = write(tmp_path, "r1", NOISE, leads=("ECG", "other"))
    edit_header(tmp_path, "500.0(7)/mV", "0")
    edit_header(tmp_path, "other", "ECG")
    record = read(path)
    assert [(c.name, c.gain) for c in record.channels] == [("ECG", 200.0), ("ECG_2", 200.0)]
    assert record.changes.lines() == [
        "assumed 200 steps per mV where no gain is told: 2 channels in 1 record",
        "renamed channels without a name of their own: 1 channels in 1 record",
    ]


def test_channels_of_several_rates_come_to_the_highest(tmp_path: Path) -> None:
    times = np.arange(2000)
    fast, slow = np.rint(3000 * np.sin(times / 40)), np.rint(3000 * np.sin(times[::4] / 40))
    frames = np.concatenate([fast.reshape(-1, 4), slow[:, None]], axis=1).astype("<i2")
    (tmp_path / "r1.dat").write_bytes(frames.tobytes())
    line = "r1.dat 16{} 1000(0)/{} 16 0 0 0 0 {}\n"
    header = "r1 2 125 500\n" + line.format("x4", "mV", "II") + line.format("", "mmHg", "ABP")
    (tmp_path / "r1.hea").write_text(header)
    record = read(tmp_path / "r1.hea")
    assert (record.rate_hz, record.samples.shape) == (500.0, (2000, 2))
    assert np.array_equal(record.samples[:, 0], fast / 1000)
    assert np.abs(record.samples[50:-50, 1] - fast[50:-50] / 1000).max() < 2e-3
    assert "resampled channels from 125 Hz to 500 Hz: 1 channels" in record.changes.lines()[0]


def test_segments_are_joined_and_no_records_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, "part1", NOISE)
    write(tmp_path, "part2", -NOISE)
    (tmp_path / "whole.hea").write_text("whole/3 2 250 1100\npart1 500\n~ 100\npart2 500\n")
    found = find_records(tmp_path)
    (record,) = read_records(found)
    assert (found.format, record.name, record.samples.shape) == ("WFDB", "whole", (1100, 2))
    assert np.isnan(record.samples[500:600]).all()
    assert np.allclose(record.samples[600:], (-NOISE - 7) / 500)
    assert record.changes.lines() == ["joined segments to one record: 3 segments in 1 record"]


def test_records_in_folders_are_named_by_their_path(tmp_path: Path) -> None:
    write(tmp_path / "p1", "a", NOISE)
    write(tmp_path / "p2" / "deep", "a", NOISE)
    assert [r.name for r in read_records(find_records(tmp_path))] == ["p1/a", "p2/deep/a"]
    (tmp_path / "RECORDS").write_text("p2/deep/a\n")
    assert [r.name for r in read_records(find_records(tmp_path))] == ["p2/deep/a"]


def test_annotations_that_count_otherwise_move_to_the_samples(tmp_path: Path) -> None:
    path = write(tmp_path, "r1", NOISE)
    with wfdb_library() as wfdb:
        wfdb.wrann("r1", "qrs", np.array([40, 200]), symbol=["N", "V"], fs=1000,
                   write_dir=str(tmp_path))  # fmt: skip
    record = read(path)
    assert record.marks == (Mark(10, "N"), Mark(50, "V"))
    assert record.changes.lines() == ["resampled marks by 0.25: 2 marks in 1 record"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("r1 2 250 500", "r1 2 0 500", "no rate|not a readable"),
        ("r1 2 250 500", "r1 2 250 999999999999", "promises 999,999,999,999 samples"),
        ("r1 2 250 500", "r1 2 250 600", "does not hold what its header promises"),
        ("r1.dat 16", "gone.dat 16", "is missing"),
        ("r1 2 250 500", "???", "not a readable"),
    ],
)
def test_wrong_headers_are_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = write(tmp_path, "r1", NOISE)
    edit_header(tmp_path, old, new)
    with pytest.raises(DataError, match=said):
        read(path)


def test_annotations_of_a_longer_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="marks sample 9000, but there are 500 samples"):
        read(write(tmp_path, "r1", NOISE, marks=(10, 9000)))
    late = read(write(tmp_path, "r1", NOISE, marks=(10, 510)))
    assert late.changes.lines() == [
        "dropped within a second after the last sample: 1 marks in 1 record"
    ]


@pytest.mark.parametrize("suffix", ["hea", "atr", "dat"])
def test_damaged_files_are_read_or_refused(suffix: str, tmp_path: Path) -> None:
    write_small(tmp_path)
    path = tmp_path / f"r1.{suffix}"

    @settings(max_examples=40, suppress_health_check=SHARED)
    @given(damaged(path.read_bytes()))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        read_or_refuse(wfdb_record.read, tmp_path / "r1.hea")

    check()


@settings(max_examples=40, suppress_health_check=SHARED)
@given(st.text("r1/ 23602.dat()mV-\n~0+x:", max_size=80))
def test_any_header_is_read_or_refused(tmp_path: Path, text: str) -> None:
    if not (tmp_path / "r1.dat").exists():
        write_small(tmp_path)
    (tmp_path / "r1.hea").write_text(text)
    read_or_refuse(wfdb_record.read, tmp_path / "r1.hea")


DATA = Path(os.environ.get(DATA_VARIABLE, ""))


@needs_mitdb
def test_mitdb_is_as_its_readme_counts_it() -> None:
    record = read(DATA / "mitdb" / "100.hea")
    assert Counter(m.symbol for m in record.marks) == {"N": 2239, "A": 33, "V": 1, "+": 1}
    assert [(i.first, i.last, i.label) for i in record.intervals] == [(18, 649999, "N")]
    with wfdb_library() as wfdb:
        wanted = wfdb.rdrecord(str(DATA / "mitdb" / "100"), sampto=2000).p_signal
    assert np.allclose(record.values()[:2000], wanted, atol=1e-12)


@needs_mitdb
def test_other_published_records_are_read_as_they_are() -> None:
    svdb = read(DATA / "svdb" / "800.hea")
    assert (svdb.rate_hz, [c.name for c in svdb.channels]) == (128.0, ["ECG1", "ECG2"])
    noise = read(DATA / "nstdb" / "bw.hea")
    assert noise.changes.summary()[0]["detail"] == "200 steps per mV where no gain is told"
    short = read(DATA / "cinc2017" / "A00004.hea")
    assert (short.rate_hz, short.samples.shape) == (300.0, (9000, 1))

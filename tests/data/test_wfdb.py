"""WFDB folders: what is read, and what is said of records that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.data.record import Channel, Mark
from lnn_edge.data.wfdb_folder import list_records, read_record
from lnn_edge.data.wfdb_writer import write_record
from lnn_edge.errors import DataError
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.recordings import load_labelled
from tests.support.recordings import BEATS
from tests.support.wfdb_files import edit_header, read_folder, small_record, write_small


def load(folder: Path, lead: str | None = None) -> Sequence[Labelled]:
    return load_labelled(str(folder), lead=lead, task=BEATS)


def write_plain(
    folder: Path, samples: np.ndarray, leads: tuple[str, ...], gain: float, fmt: str = "16"
) -> None:
    """Write by wfdb alone, with one beat."""
    count = len(leads)
    with wfdb_library() as wfdb:
        wfdb.wrsamp(
            "r1",
            360,
            ["mV"] * count,
            list(leads),
            d_signal=samples.astype(np.int64),
            fmt=[fmt] * count,
            adc_gain=[gain] * count,
            baseline=[0] * count,
            write_dir=str(folder),
        )
        wfdb.wrann("r1", "atr", np.array([100]), symbol=["N"], write_dir=str(folder))


def test_written_record_is_read_back(tmp_path: Path) -> None:
    written = small_record()
    write_record(tmp_path, written)
    read = read_record(tmp_path, "r1")
    assert np.array_equal(read.samples, written.adc)
    places = zip((300, 600, 900, 1200, 1500), "NAVFQ", strict=True)
    assert read.marks == tuple(Mark(*place) for place in places)
    assert read.channels == tuple(Channel(n, "mV", 200.0, 1024.0) for n in ("MLII", "V1"))
    assert (read.rate_hz, read.subject, read.duration_s) == (360.0, "r1", 6.0)


def test_written_record_is_what_wfdb_reads(tmp_path: Path) -> None:
    written = small_record()
    write_record(tmp_path, written)
    with wfdb_library() as wfdb:
        record = wfdb.rdrecord(str(tmp_path / "r1"))
        marks = wfdb.rdann(str(tmp_path / "r1"), "atr")
    assert np.allclose(record.p_signal, (written.adc - 1024) / 200, atol=1e-9)
    assert record.fmt == ["212", "212"]
    assert [c % 65536 for c in record.checksum] == [
        int(written.adc[:, i].sum()) % 65536 for i in (0, 1)
    ]
    assert tuple(marks.symbol) == written.symbols
    assert marks.aux_note[0].rstrip("\0") == "(N"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r1.atr", "r1.dat", "r1.hea"]


def test_write_refuses_what_format_212_cannot_hold(tmp_path: Path) -> None:
    adc = np.full((10, 2), 2048, np.int16)
    with pytest.raises(DataError, match="beyond 2047"):
        write_record(tmp_path, small_record(adc=adc))
    assert not list(tmp_path.iterdir())


def test_folder_takes_the_order_of_its_index(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_small(tmp_path, name)
    assert list_records(tmp_path) == ("a", "b", "c")
    (tmp_path / "RECORDS").write_text("c\nmissing\na\n")
    assert list_records(tmp_path) == ("c", "a")
    assert [r.name for r in read_folder(tmp_path)] == ["c", "a"]
    assert [r.name for r in read_folder(tmp_path, ["b"])] == ["b"]


def test_other_gain_and_format_16_are_converted(tmp_path: Path) -> None:
    samples = np.arange(-720, 720, dtype=np.int16)[:, None] * np.array([2, 1])
    write_plain(tmp_path, samples, ("V2", "MLII"), 1000.0)
    (recording,) = load(tmp_path)
    assert recording.leads == ("MLII", "V2")
    exact = np.floor(samples[:, ::-1] / 5 + 1024 + 0.5)
    assert np.array_equal(recording.frames, exact)


def test_one_lead_is_accepted_if_it_is_mlii(tmp_path: Path) -> None:
    samples = np.arange(720)[:, None]
    write_plain(tmp_path, samples, ("MLII",), 200.0)
    (recording,) = load(tmp_path)
    assert recording.leads == ("MLII", "absent")
    assert (recording.frames[:, 1] == 1024).all()
    write_plain(tmp_path, samples, ("V1",), 200.0)
    with pytest.raises(DataError, match="record r1 has the leads V1 and the model needs MLII"):
        load(tmp_path)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no WFDB record"):
        load(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        ("atr", r"r1\.atr is missing"),
        ("hea", r"r1\.hea is missing"),
        ("dat", r"its file .*r1\.dat.* is missing"),
    ],
)
def test_missing_file(tmp_path: Path, suffix: str, said: str) -> None:
    write_small(tmp_path)
    (tmp_path / f"r1.{suffix}").unlink()
    with pytest.raises(DataError, match=said):
        read_folder(tmp_path, ["r1"])


@pytest.mark.parametrize("length", [0, 1, 1000, 3001, 6478, 6479])
def test_truncated_signal(tmp_path: Path, length: int) -> None:
    path = write_small(tmp_path) / "r1.dat"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"r1\.dat does not hold what its header"):
        read_folder(tmp_path)


def test_changed_sample_fails_the_checksum(tmp_path: Path) -> None:
    path = write_small(tmp_path) / "r1.dat"
    data = bytearray(path.read_bytes())
    data[3000] ^= 4
    path.write_bytes(data)
    with pytest.raises(DataError, match="lead MLII do not have the checksum"):
        read_folder(tmp_path)


def test_invalid_samples_in_format_212(tmp_path: Path) -> None:
    path = write_small(tmp_path) / "r1.dat"
    data = bytearray(path.read_bytes())
    data[30], data[31] = 0x00, (data[31] & 0xF0) | 0x08  # sample 10 of lead 0 becomes -2048
    path.write_bytes(data)
    with pytest.raises(DataError, match="lead MLII do not have the checksum"):
        read_folder(tmp_path)


FORMATS = ("16", "24", "32", "80", "212", "508", "516", "524")  # that wfdb writes


@pytest.mark.parametrize("fmt", FORMATS)
def test_invalid_samples_are_those_of_wfdb(fmt: str, tmp_path: Path) -> None:
    with wfdb_library() as wfdb:
        signal = np.zeros((720, 2))
        signal[50:150, 1] = np.nan
        wfdb.wrsamp(
            "r1", 360, ["mV"] * 2, ["MLII", "V1"], p_signal=signal, fmt=[fmt] * 2,
            adc_gain=[50.0] * 2, baseline=[0] * 2, write_dir=str(tmp_path),
        )  # fmt: skip
        wfdb.wrann("r1", "atr", np.array([100]), symbol=["N"], write_dir=str(tmp_path))
        assert np.isnan(wfdb.rdrecord(str(tmp_path / "r1")).p_signal).sum() == 100
    with pytest.raises(DataError, match=r"100 samples of lead V1 are invalid .* sample 50"):
        read_folder(tmp_path)


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_gives_the_samples_of_wfdb(fmt: str, tmp_path: Path) -> None:
    samples = np.arange(-120, 120, dtype=np.int16)[:, None] * np.array([1, -1])
    write_plain(tmp_path, samples, ("MLII", "V1"), 50.0, fmt)
    assert np.array_equal(read_record(tmp_path, "r1").samples, samples)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("200.0(0)/mV", "-200.0(0)/mV"),  # upside down
        ("200.0(0)/mV", "-1e2(37)/mV"),
        ("200.0(0)/mV", "200"),  # the zero of the ADC stands for 0 mV, which is 0 here
        ("200.0(0)/mV 16 0", "200 16 512"),
        (" 360 ", " 360/360(0) "),
        (" 360 ", " 360/72.5(7) "),
    ],
)
def test_millivolts_are_those_of_wfdb(old: str, new: str, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-900, 900, (720, 2))
    write_plain(tmp_path, samples, ("MLII", "V1"), 200.0)
    edit_header(tmp_path, old, new)
    with wfdb_library() as wfdb:
        wanted = wfdb.rdrecord(str(tmp_path / "r1")).p_signal
    assert np.allclose(read_record(tmp_path, "r1").values(), wanted, rtol=0, atol=1e-12)
    (recording,) = load(tmp_path)
    assert np.abs(recording.record.values() - wanted).max() <= 0.5 / 200 + 1e-12


def test_leads_of_any_name_may_come_first(tmp_path: Path) -> None:
    samples = np.arange(720)[:, None] * np.array([1, 0, -1])
    write_plain(tmp_path, samples, ("ECG1", "ECG2", "I"), 200.0)
    (recording,) = load(tmp_path, lead="I")
    assert recording.leads == ("I", "ECG1")
    assert np.array_equal(recording.frames, 1024 + samples[:, [2, 0]])
    for lead in (None, "V9"):
        with pytest.raises(DataError, match=r"leads ECG1, ECG2, I and the model needs .* --lead"):
            load(tmp_path, lead=lead)
    edit_header(tmp_path, "ECG2", "ECG1")
    with pytest.raises(DataError, match="must give each lead a name of its own"):
        load(tmp_path, lead="ECG1")


def test_data_sets_without_a_choice_of_leads_refuse_one() -> None:
    with pytest.raises(DataError, match="has leads of its own; leave --lead II out"):
        load_labelled("synthetic-12lead", lead="II")


INDEXES = {
    "byte order mark": b"\xef\xbb\xbfc\nb\n",
    "Windows": b"c\r\n\r\nb\r\n",
    "comment": b"# of a\nc\nb\n",
    "twice": b"c\nb\nc\n",
    "one line": b"c b",
}


@pytest.mark.parametrize("case", INDEXES)
def test_an_index_is_read_as_it_is_meant(case: str, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_small(tmp_path, name)
    (tmp_path / "RECORDS").write_bytes(INDEXES[case])
    assert list_records(tmp_path) == ("c", "b")


def test_an_index_may_name_records_in_folders(tmp_path: Path) -> None:
    write_small(tmp_path / "p1", "a")
    (tmp_path / "RECORDS").write_text("p1/a\n")
    (recording,) = load(tmp_path)
    assert (recording.name, len(recording.frames)) == ("p1/a", 2160)


@pytest.mark.parametrize("index", [b"", b"z\n", "a\n".encode("utf-16")])
def test_an_index_without_a_record_is_refused(index: bytes, tmp_path: Path) -> None:
    write_small(tmp_path, "a")
    (tmp_path / "RECORDS").write_bytes(index)
    with pytest.raises(DataError, match=r"RECORDS names; copy them|is no text in UTF-8"):
        list_records(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (" 360 ", " 250 ", "sampled at 250 Hz|counts at 360 Hz"),
        (" 360 2160", "", "counts at 360 Hz"),
        ("200.0(1024)/mV", "0(1024)/mV", "gives no gain for a lead"),
        ("200.0(1024)/mV", "-0.0(1024)/mV", "gives no gain for a lead"),
        (
            "r1.dat 212 200.0(1024)/mV",
            " # 212 7\nr1.dat 212 0(1024)/mV",
            "gives no gain for a lead",
        ),
        ("r1 2 360", "r1 1 360", "promises 1 signals and describes 2"),
        ("r1 2 360", "r1 3 360", "promises 3 signals and describes 2"),
        (" 360 2160", " 360 0", "promises no sample"),
        ("/mV", "/uV", "per mV, not per uV"),
        ("r1 2 360", "???", "not a readable WFDB header"),
        (" 212 ", " 213 ", "r1"),
        (" 212 ", " 212x2 ", "does not hold what its header promises"),
        (" MLII", "", "must give each lead a name of its own"),
        ("r1 2 360 2160", "r1/3 2 360 2160", "r1"),
    ],
)
def test_wrong_header(tmp_path: Path, old: str, new: str, said: str) -> None:
    write_small(tmp_path)
    edit_header(tmp_path, old, new)
    with pytest.raises(DataError, match=said):
        load(tmp_path)


def test_two_samples_a_frame_are_refused(tmp_path: Path) -> None:
    """Beats count frames: they would stand at half their places."""
    write_plain(tmp_path, np.zeros((720, 1)), ("MLII",), 200.0)
    edit_header(tmp_path, " 360 720", " 360 360")
    edit_header(tmp_path, " 16 ", " 16x2 ")
    with pytest.raises(DataError, match="must have one sampling rate"):
        read_record(tmp_path, "r1")


def test_header_without_gains_at_all(tmp_path: Path) -> None:
    write_small(tmp_path)
    (tmp_path / "r1.hea").write_text("r1 2 360 2160\nr1.dat 212\nr1.dat 212\n")
    with pytest.raises(DataError, match=r"r1\.hea"):
        load(tmp_path)


def test_wrong_rate_says_what_to_do(tmp_path: Path) -> None:
    write_small(tmp_path, fs_hz=250)
    with pytest.raises(DataError, match="250 Hz and the model needs 360 Hz; give its path"):
        load(tmp_path)


def test_annotation_of_a_longer_record(tmp_path: Path) -> None:
    write_small(tmp_path, marks=np.array([5, 300, 600, 900, 1200, 2160]))
    with pytest.raises(DataError, match="lies at samples 2160 to 2160 and there are 2160"):
        load(tmp_path)


def test_two_beats_on_one_sample(tmp_path: Path) -> None:
    write_small(tmp_path, marks=np.array([5, 300, 600, 600, 1200, 1500]))
    with pytest.raises(DataError, match="sample 600 follows one at sample 600"):
        load(tmp_path)


def test_annotation_without_beats(tmp_path: Path) -> None:
    write_small(tmp_path, symbols=("+", "~", "|", "x", "+", "~"))
    with pytest.raises(DataError, match="marks none"):
        load(tmp_path)


@pytest.mark.parametrize("fmt", ["212", "516"])  # 516 is FLAC
@pytest.mark.parametrize("suffix", ["hea", "atr", "dat"])
def test_damaged_files_only_raise_data_errors(tmp_path: Path, suffix: str, fmt: str) -> None:
    if fmt == "212":
        write_small(tmp_path)
    else:
        noise = np.random.default_rng(1).integers(-100, 100, (720, 2))
        write_plain(tmp_path, noise, ("MLII", "V1"), 200.0, fmt)
    path = tmp_path / f"r1.{suffix}"
    whole = path.read_bytes()
    rng = np.random.default_rng(5)
    refused = []
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
        path.write_bytes(data[: rng.integers(1, len(data) + 1)])
        try:
            load(tmp_path)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not [text for text in refused if "\n" in text]

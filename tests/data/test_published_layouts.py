"""Sets that were never here whole: folders of their published layout, real rows where some are."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy.io import wavfile

from lnn_edge.data.layouts import challenge2012, opportunity, pamap2, person_activity
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Interval, Record
from lnn_edge.data.registry import DATA_VARIABLE
from lnn_edge.errors import DataError
from tests.data.readers.damage import SHARED, damaged
from tests.data.readers.test_wfdb_record import NOISE, write
from tests.support.reader_cost import ENDLESS_S, MEGABYTES, cost_of

RNG = np.random.default_rng(12)


def read(folder: Path, name: str, hints: Hints = Hints()) -> list[Record]:  # noqa: B008
    found = find_records(folder, hints)
    assert found.format == name
    return list(read_records(found))


def write_chapman(folder: Path) -> Path:
    place = folder / "WFDBRecords" / "01" / "010"
    write(place, "JS00001", NOISE, comments=["Age: 85", "Dx: 164889003,59118001,164934002"])
    write(place, "JS00002", NOISE, comments=["Dx: 426177001,713426002", "Rx: Unknown"])
    (folder / "RECORDS").write_text("WFDBRecords/01/010/\n")
    return place / "JS00002.hea"


def test_labels_of_chapman_are_findings_by_name(tmp_path: Path) -> None:
    write_chapman(tmp_path)
    first, second = read(tmp_path, "Chapman-Shaoxing and Ningbo")
    assert (first.name, first.labels) == ("JS00001", ("AF", "RBBB", "TAb"))
    assert (second.labels, second.unknown) == (("SB", "IRBBB"), ("RBBB",))


def test_sources_of_challenge_2021_are_read_together(tmp_path: Path) -> None:
    training = tmp_path / "training"
    write(training / "cpsc_2018" / "g1", "A0001", NOISE, comments=["Dx: 713427006,59118001"])
    assert find_records(tmp_path).format == "CPSC-2018 of PhysioNet"  # alone
    write(training / "ptb-xl" / "g2", "HR01000", NOISE, comments=["Dx: 6374002,999"])
    records = read(tmp_path, "Challenge 2021")
    assert [(r.name, r.labels, r.unknown) for r in records] == [
        ("cpsc_2018/A0001", ("RBBB",), ("SB", "ST")),
        ("ptb-xl/HR01000", ("BBB", "999"), ("RBBB", "LBBB")),
    ]


def write_pamap2(folder: Path) -> Path:
    """Write rows as the readme shows them: NaN where the heart rate is not measured."""
    values = RNG.normal(0, 1, (600, 54))
    values[:, 0] = 8.38 + np.arange(600) / 100
    values[:, 1] = np.repeat([0, 1, 24], 200)
    values[:, 2] = np.where(np.arange(600) % 11, np.nan, 104)
    values[30, 20] = np.nan
    path = folder / "Protocol" / "subject101.dat"
    path.parent.mkdir(parents=True)
    rows = (" ".join("NaN" if np.isnan(v) else f"{v:g}" for v in row) for row in values)
    path.write_text("\n".join(rows) + "\n")
    return path


def test_pamap2(tmp_path: Path) -> None:
    path = write_pamap2(tmp_path)
    table = np.loadtxt(path)
    (record,) = read(tmp_path, "PAMAP2")
    assert (record.name, record.subject, record.rate_hz) == (
        "Protocol/subject101",
        "subject101",
        100,
    )
    assert len(record.channels) == 40
    names = [c.name for c in record.channels]
    at = names.index("chest_gyro_x")
    assert record.channels[at].unit == "rad/s"
    assert np.array_equal(record.samples[:, at], table[:, 20 + 7], equal_nan=True)
    assert np.array_equal(record.samples[:, names.index("ankle_mag_z")], table[:, 37 + 12])
    assert record.intervals == (Interval(200, 399, "lying"), Interval(400, 599, "rope jumping"))
    text = path.read_text()
    path.write_text("\n".join(line.rsplit(" ", 1)[0] for line in text.splitlines()))
    with pytest.raises(DataError, match="has fewer than 54 columns"):
        read(tmp_path, "PAMAP2")
    path.write_text(text.replace("NaN", "x", 1))
    with pytest.raises(DataError, match="column heart_rate holds numbers, and 'x' in row 2"):
        read(tmp_path, "PAMAP2")


def write_opportunity(folder: Path) -> Path:
    """Write what column_names.txt and label_legend.txt of the set say."""
    place = folder / "dataset"
    place.mkdir()
    names = ["MILLISEC"]
    for part in ("RKN^", "HIP", "LUA^", "RUA_", "LH", "BACK", "RKN_", "RWR", "RUA^", "LUA_", "LWR",
                 "RH"):  # fmt: skip
        names += [f"Accelerometer {part} acc{axis}" for axis in "XYZ"]
    for part in ("BACK", "RUA", "RLA", "LUA", "LLA"):
        names += [f"InertialMeasurementUnit {part} {kind}{axis}"
                  for kind in ("acc", "gyro", "magnetic") for axis in "XYZ"]  # fmt: skip
        names += [f"InertialMeasurementUnit {part} Quaternion{i}" for i in range(1, 5)]
    names += [f"InertialMeasurementUnit SHOE {i}" for i in range(len(names) + 1, 135)]
    names += ["Accelerometer CUP accX"] * (243 - len(names))  # names of objects come twice
    names += ["Locomotion", "HL_Activity", "LL_Left_Arm", "LL_Left_Arm_Object", "LL_Right_Arm",
              "LL_Right_Arm_Object", "ML_Both_Arms"]  # fmt: skip
    unit = "; value = round(original_value), unit = milli g"
    lines = [f"Column: {i} {n}{unit if 'acc' in n else ''}" for i, n in enumerate(names, start=1)]
    (place / "column_names.txt").write_text("\n".join(["Data columns:", "", *lines]) + "\n")
    (place / "label_legend.txt").write_text(
        "Unique index   -   Track name   -   Label name\n\n"
        "1   -   Locomotion   -   Stand\n2   -   Locomotion   -   Walk\n"
        "406516   -   ML_Both_Arms   -   Open Door 1\n"
    )
    values = RNG.integers(-900, 900, (60, 250))
    values[:, 0] = np.round(np.arange(60) * 1000 / 30)
    values[:, 243] = np.repeat([0, 1, 2], 20)
    values[:, 249] = np.repeat([406516, 0], 30)
    path = place / "S2-ADL4.dat"
    rows = (" ".join("NaN" if v == -900 else str(v) for v in row) for row in values.tolist())
    path.write_text("\n".join(rows) + "\n")
    return path


def test_opportunity(tmp_path: Path) -> None:
    path = write_opportunity(tmp_path)
    table = np.loadtxt(path)
    (record,) = read(tmp_path, "Opportunity")
    assert (record.name, record.subject, record.rate_hz) == ("S2-ADL4", "S2", 30)
    assert (len(record.channels), record.part) == (113, "")
    at = [c.name for c in record.channels].index("InertialMeasurementUnit RUA accX")
    assert record.channels[at].unit == "mg"
    assert np.array_equal(record.samples[:, at], table[:, 50], equal_nan=True)
    assert record.intervals == (Interval(20, 39, "Stand"), Interval(40, 59, "Walk"))
    (record,) = read(tmp_path, "Opportunity", Hints(label_column="ML_Both_Arms"))
    assert record.intervals == (Interval(0, 29, "Open Door 1"),)
    with pytest.raises(DataError, match="has no labels 'x'; it has Locomotion, HL_Activity"):
        find_records(tmp_path, Hints(label_column="x"))
    (path.parent / "column_names.txt").write_text("Column: 1 MILLISEC\n")
    with pytest.raises(DataError, match="names 1 columns, not 250"):
        find_records(tmp_path)


def real(name: str) -> Path:
    folder = Path(os.environ.get(DATA_VARIABLE, "")) / name
    if not os.environ.get(DATA_VARIABLE) or not folder.is_dir():
        pytest.skip(f"needs {name} in {DATA_VARIABLE}")
    return folder


ROWS = (
    "A01,010-000-024-033,633790226051280329,27.05.2009 14:03:25:127,4.0629,1.8924,0.5074,walking\n"
    "A01,020-000-033-111,633790226051820913,27.05.2009 14:03:25:183,4.2919,1.7811,1.3444,walking\n"
    "A01,020-000-032-221,633790226052091205,27.05.2009 14:03:25:210,4.3591,1.8264,0.9689,falling\n"
    "B02,010-000-030-096,633790226053091205,27.05.2009 14:03:25:310,4.5,1.8,0.9,lying down\n"
)


def test_person_activity(tmp_path: Path) -> None:
    (tmp_path / person_activity.FILE).write_text(ROWS)
    first, second = read(tmp_path, "Person Activity")
    assert (first.name, first.subject, second.subject) == ("A01", "A", "B")
    assert first.intervals == (Interval(0, 1, "walking"), Interval(2, 2, "falling"))
    assert second.intervals == (Interval(0, 0, "lying"),)
    assert first.samples[1, :7].tolist() == [0, 0, 1, 0, 4.2919, 1.7811, 1.3444]
    assert first.samples[1:, 7] == pytest.approx([0.0540584, 0.0270292], abs=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("010-000-024-033", "010-000-024-034", "column tag holds '010-000-024-034' in row 1"),
        ("lying down", "flying", "column activity holds 'flying' in row 4"),
        ("1.8924", "left", "column y holds numbers, and 'left'"),
        ("633790226052091205", "633790226050091205", "times of A01 go back by 0.172"),
    ],
)
def test_wrong_rows_of_person_activity_are_named(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / person_activity.FILE).write_text(ROWS.replace(old, new))
    with pytest.raises(DataError, match=said):
        read(tmp_path, "Person Activity")


def test_real_rows_of_person_activity(tmp_path: Path) -> None:
    path = next(real("person_activity").glob("*.csv.gz"))
    table = pd.read_csv(path)
    table.insert(3, "date", "27.05.2009 14:03:25:127")
    table.to_csv(tmp_path / person_activity.FILE, header=False, index=False)
    records = read(tmp_path, "Person Activity")
    assert [(r.name, len(r.samples)) for r in records] == [("A01", 5830), ("A02", 5691),
                                                           ("A03", 4965)]  # fmt: skip
    changes = [c for r in records for c in r.changes.summary()]
    assert [c["count"] for c in changes if "sorted" in str(c["detail"])] == [1, 1]
    assert {i.label for r in records for i in r.intervals} == set(person_activity.CLASS_OF.values())
    elapsed = np.concatenate([r.samples[1:, 7] for r in records])
    assert elapsed.sum() == pytest.approx(sum(
        (g["timestamp"].iloc[-1] - g["timestamp"].iloc[0]) * 1e-7
        for _, g in table.groupby("sequence_name")
    ))  # fmt: skip


STAY = (
    "Time,Parameter,Value\n00:00,RecordID,132539\n00:00,Age,54\n00:00,Height,-1\n"
    "00:07,HR,73\n00:07,Temp,35.1\n01:37,HR,60\n"
)
OUTCOME = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n132539,6,1,5,-1,0\n"


def write_challenge2012(folder: Path) -> Path:
    (folder / "set-a").mkdir(parents=True)
    (folder / "Outcomes-a.txt").write_text(OUTCOME)
    path = folder / "set-a" / "132539.txt"
    path.write_text(STAY)
    return path


def test_challenge_2012(tmp_path: Path) -> None:
    path = write_challenge2012(tmp_path)
    (record,) = read(tmp_path, "Challenge 2012")
    assert (record.name, record.labels, record.part) == ("132539", ("survived",), "train")
    column = {c.name: record.samples[:, i].tolist() for i, c in enumerate(record.channels)}
    assert (column["Age"], column["Age_measured"]) == ([54, 54, 54], [1, 0, 0])
    assert (column["HR"], column["HR_measured"]) == ([0, 73, 60], [0, 1, 1])
    assert column["Height"] == column["Height_measured"] == [0, 0, 0]
    assert column["dt"] == pytest.approx([0, 7 / 60, 1.5])
    path.write_text(STAY.replace("HR,73", "HR,fast"))
    with pytest.raises(DataError, match="'00:07,HR,fast', which is not a measurement"):
        read(tmp_path, "Challenge 2012")
    (tmp_path / "Outcomes-a.txt").write_text(OUTCOME.replace("132539", "132540"))
    with pytest.raises(DataError, match="tells no outcome of 132539"):
        find_records(tmp_path)


def test_real_stays_of_challenge_2012(tmp_path: Path) -> None:
    write_challenge2012(tmp_path)
    with np.load(real("physionet2012") / "set_a.npz") as stays:
        names, ends = stays["param_names"].tolist(), stays["offset"]
        assert set(names) == set(challenge2012.PARAMETERS)
        died, texts = stays["outcomes"][:, -1], {}
        for i in (0, 1, 1500):
            rows = slice(ends[i], ends[i + 1])
            lines = [f"{m // 60:02d}:{m % 60:02d},{names[p]},{v:g}" for m, p, v in zip(
                stays["minute"][rows].tolist(), stays["param"][rows], stays["value"][rows],
                strict=True)]  # fmt: skip
            texts[str(stays["record_id"][i])] = lines, int(died[i])
    lines = [f"{name},0,0,0,0,{dead}" for name, (_, dead) in texts.items()]
    (tmp_path / "Outcomes-a.txt").write_text("\n".join((OUTCOME.splitlines()[0], *lines)) + "\n")
    (tmp_path / "set-a" / "132539.txt").unlink()
    for name, (rows, _) in texts.items():
        (tmp_path / "set-a" / f"{name}.txt").write_text("\n".join((STAY.splitlines()[0], *rows)))
    for record in read(tmp_path, "Challenge 2012"):
        rows, dead = texts[record.name]
        assert record.labels == (("survived", "died")[dead],)
        told = {tuple(row.split(",")[:2]) for row in rows if not row.endswith(",-1")}
        assert record.samples[:, 41:82].sum() == len(told)
        assert record.samples[:, 82].sum() * 60 == pytest.approx(
            max(int(t[:2]) * 60 + int(t[3:]) for t, _ in told)
        )


def write_words(folder: Path) -> Path:
    for word in ("bed", "yes", "_background_noise_"):
        (folder / word).mkdir(parents=True)
        for speaker in ("0a7c2a8d", "ffd2ba2f"):
            sound = RNG.integers(-3000, 3000, 16_000).astype(np.int16)
            wavfile.write(folder / word / f"{speaker}_nohash_0.wav", 16_000, sound)
    speakers = {"validation": "0a7c2a8d", "testing": "ffd2ba2f"}
    for part, speaker in speakers.items():
        lines = [f"{word}/{speaker}_nohash_0.wav\n" for word in ("bed", "yes")]
        (folder / f"{part}_list.txt").write_text("".join(lines))
    sound = RNG.integers(-3000, 3000, 16_000).astype(np.int16)
    wavfile.write(folder / "yes" / "1b4c9b89_nohash_1.wav", 16_000, sound)
    return folder / "bed" / "0a7c2a8d_nohash_0.wav"


def test_speech_commands(tmp_path: Path) -> None:
    path = write_words(tmp_path)
    records = read(tmp_path, "Speech Commands")
    assert [(r.name, r.subject, r.labels, r.part) for r in records] == [
        ("bed/0a7c2a8d_nohash_0", "0a7c2a8d", ("bed",), "validation"),
        ("bed/ffd2ba2f_nohash_0", "ffd2ba2f", ("bed",), "test"),
        ("yes/0a7c2a8d_nohash_0", "0a7c2a8d", ("yes",), "validation"),
        ("yes/1b4c9b89_nohash_1", "1b4c9b89", ("yes",), "train"),
        ("yes/ffd2ba2f_nohash_0", "ffd2ba2f", ("yes",), "test"),
    ]
    assert records[0].is_steps
    assert np.array_equal(records[0].samples[:, 0], wavfile.read(path)[1])
    wavfile.write(path, 8_000, np.zeros((9, 2), np.int16))
    with pytest.raises(DataError, match=r"holds int16 \(9, 2\) at 8000 Hz; it must hold one"):
        read(tmp_path, "Speech Commands")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bed/ffd2ba2f_nohash_0.wav\n", "into test and yes/ffd2ba2f_nohash_0.wav of the same"),
        ("bed/ffd2ba2f_nohash_0.wav\nyes/ffd2b", "a line, not 'yes/ffd2b'"),
        ("", "a line, not no line"),
        ("bed/0a7c2a8d_nohash_0.wav\n", "gives bed/0a7c2a8d_nohash_0.wav twice"),
    ],
)
def test_a_list_of_test_files_that_is_cut_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """What it does not name would be learned from."""
    write_words(tmp_path)
    (tmp_path / "testing_list.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        find_records(tmp_path)


def test_rows_of_opportunity_that_go_back_or_have_no_name_are_refused(tmp_path: Path) -> None:
    path = write_opportunity(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines * 2))
    with pytest.raises(DataError, match="its times go back by 1967 ms"):
        read(tmp_path, "Opportunity")
    path.write_text("".join(lines[::-1]))
    with pytest.raises(DataError, match="its times go back by"):
        read(tmp_path, "Opportunity")
    path.write_text("".join(lines))
    (path.parent / "label_legend.txt").write_text("1   -   Locomotion   -   Stand\n")
    with pytest.raises(DataError, match=r"Locomotion holds 2, which label_legend.txt does not"):
        read(tmp_path, "Opportunity")


def test_a_link_to_no_annotations_is_no_record_without_any(tmp_path: Path) -> None:
    header = write_chapman(tmp_path)
    header.with_suffix(".qrs").unlink()
    header.with_suffix(".qrs").symlink_to("/nowhere")
    with pytest.raises(DataError, match=r"JS00002.qrs is a link to nothing, or no file"):
        read(tmp_path, "Chapman-Shaoxing and Ningbo")


def test_a_table_that_gives_a_name_twice_is_refused(tmp_path: Path) -> None:
    write_challenge2012(tmp_path)
    (tmp_path / "Outcomes-a.txt").write_text(OUTCOME + "132539,6,1,5,-1,0\n")
    assert len(read(tmp_path, "Challenge 2012")) == 1
    (tmp_path / "Outcomes-a.txt").write_text(OUTCOME + "132539,6,1,5,-1,1\n")
    with pytest.raises(DataError, match=r"Outcomes-a.txt gives 132539 twice"):
        read(tmp_path, "Challenge 2012")


@pytest.mark.parametrize(
    "writer",
    [write_chapman, write_pamap2, write_opportunity, write_challenge2012, write_words],
    ids=lambda writer: writer.__name__,
)
def test_what_is_no_file_is_not_opened(writer: Callable[[Path], Path], tmp_path: Path) -> None:
    """A pipe would be waited for, a device read without end."""
    writer(tmp_path)
    for path in [p for p in sorted(tmp_path.rglob("*")) if p.is_file()]:
        content = path.read_bytes()
        for replace in (os.mkfifo, partial(os.symlink, "/dev/zero"), partial(os.symlink, path)):
            path.unlink()
            replace(path)
            with contextlib.suppress(DataError):
                list(read_records(find_records(tmp_path), lambda *_: None))
        path.unlink()
        path.write_bytes(content)


@pytest.mark.parametrize(
    "writer",
    [write_chapman, write_pamap2, write_opportunity, write_challenge2012, write_words],
    ids=lambda writer: writer.__name__,
)
def test_damaged_files_are_read_or_refused(writer: Callable[[Path], Path], tmp_path: Path) -> None:
    path = writer(tmp_path)

    @settings(max_examples=25, suppress_health_check=SHARED, deadline=None)
    @given(damaged(path.read_bytes()))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        said = ""
        try:
            list(read_records(find_records(tmp_path)))
        except DataError as error:
            said = str(error)
        assert "\n" not in said

    check()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("writer", [write_pamap2, write_opportunity, write_challenge2012])
def test_ten_megabytes_take_no_more_than_any_file(
    writer: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = writer(tmp_path)
    head, *rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + b"".join(rows) * ((10 << 20) // sum(map(len, rows))))
    cost = cost_of("records", tmp_path)
    assert cost.megabytes <= MEGABYTES, cost
    assert cost.seconds <= ENDLESS_S, cost


def test_rates_and_counts_are_as_published() -> None:
    assert (pamap2.RATE_HZ, len(pamap2.ACTIVITIES), len(opportunity.ON_BODY)) == (100, 18, 113)
    assert len(challenge2012.PARAMETERS) == 41
    assert len(set(person_activity.CLASS_OF.values())) == 7

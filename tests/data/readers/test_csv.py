"""CSV and TSV as people and devices write them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.readers import csv_file
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from tests.data.readers.damage import SHARED, damaged, read_or_refuse


def read(folder: Path, text: str | bytes, name: str = "r1.csv", **hints: object) -> list[Record]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(csv_file.read(path, "r1", Hints(**hints)))  # type: ignore[arg-type]


def rows(form: str, count: int = 200, **values: object) -> str:
    return "".join(form.format(i=i, t=i / 50, **values) + "\n" for i in range(count))


def test_times_channels_and_units_are_found(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "Time (s),acc_x (g),acc y [g]\n" + rows("{t},{i},-{i}"))
    assert [(c.name, c.unit) for c in record.channels] == [("acc_x", "g"), ("acc y", "g")]
    assert (record.rate_hz, record.subject, record.changes.lines()) == (50.0, "r1", [])
    assert record.samples.tolist() == [[float(i), float(-i)] for i in range(200)]


@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("time;x;y", "{i}0;{i},5;-{i},25"),
        ("time\tx\ty", "{i}0\t{i}.5\t-{i}.25"),
        ("time x y", "{i}0 {i}.5 -{i}.25"),
        ("time|x|y", "{i}0|{i}.5|-{i}.25"),
        ("# a device\n% another\n\ntime_ms,x,y", "{i}0, {i}.5, -{i}.25"),
        ('"time","x","y"', '"{i}0","{i}.5","-{i}.25"'),
        ("\ufefftime,x,y", "{i}0,{i}.5,-{i}.25,"),
    ],
)
def test_delimiters_and_decimal_commas(head: str, form: str, tmp_path: Path) -> None:
    (record,) = read(tmp_path, f"{head}\n{rows(form)}")
    assert [c.name for c in record.channels] == ["x", "y"]
    assert record.rate_hz == 100
    assert record.samples[3].tolist() == [3.5, -3.25]
    assert record.samples.shape == (200, 2)


def test_the_csv_of_rdsamp_has_quotes_and_a_line_of_units(tmp_path: Path) -> None:
    text = "'Elapsed time','MLII','V5'\n'hh:mm:ss.mmm','mV','mV'\n"
    body = "".join(f"'{i // 21600}:{i / 360 % 60:06.3f}',-0.145,-0.065\n" for i in range(22000))
    (record,) = read(tmp_path, text + body)
    assert [(c.name, c.unit) for c in record.channels] == [("MLII", "mV"), ("V5", "mV")]
    assert (record.rate_hz, len(record.samples), bool(record.changes)) == (360.0, 22000, False)


@pytest.mark.parametrize(
    ("form", "rate"),
    [
        ("2026-01-02T03:04:{s:06.3f}Z", 100.0),
        ("2026-01-02 03:04:{s:06.3f}", 100.0),
        ("{ms}", 100.0),
        ("{us}", 100.0),
        ("{ns}", 100.0),
        ("{epoch}", 100.0),
    ],
)
def test_time_stamps_tell_the_rate(form: str, rate: float, tmp_path: Path) -> None:
    start = 1_767_322_000_000
    times = [
        form.format(
            s=i / 100,
            ms=start + i * 10,
            us=(start + i * 10) * 1000,
            ns=(start + i * 10) * 10**6,
            epoch=(start + i * 10) / 1000,
        )
        for i in range(300)
    ]
    (record,) = read(tmp_path, "timestamp,x\n" + "".join(f"{t},{i}\n" for i, t in enumerate(times)))
    assert (record.rate_hz, len(record.samples)) == (rate, 300)


def test_labels_of_rows_become_intervals_and_lone_ones_marks(tmp_path: Path) -> None:
    labels = ["walk"] * 50 + [""] * 10 + ["sit"] * 140
    text = "time,x,activity\n" + "".join(f"{i / 50},1,{n}\n" for i, n in enumerate(labels))
    (record,) = read(tmp_path, text)
    assert [(i.first, i.last, i.label) for i in record.intervals] == [
        (0, 49, "walk"),
        (60, 199, "sit"),
    ]
    text = "time,x,beat\n" + "".join(
        f"{i / 50},1,{'N' if i % 40 == 7 else ''}\n" for i in range(200)
    )
    (record,) = read(tmp_path, text)
    assert [(m.sample, m.symbol) for m in record.marks] == [(i, "N") for i in range(7, 200, 40)]


def test_columns_tell_subjects_and_records_apart(tmp_path: Path) -> None:
    text = "time,x,subject,session\n" + "".join(
        f"{i / 50},{i},{'eve' if i < 60 else 'bob'},{i // 30}\n" for i in range(120)
    )
    records = read(tmp_path, text)
    assert [(r.name, r.subject, len(r.samples)) for r in records] == [
        ("r1/eve/0", "eve", 30),
        ("r1/eve/1", "eve", 30),
        ("r1/bob/2", "bob", 30),
        ("r1/bob/3", "bob", 30),
    ]


def test_rows_that_become_one_record_without_being_told_so_are_listed(tmp_path: Path) -> None:
    """A row tells no subject; without times nothing else tells that one comes back."""
    text = "x,subject\n1.5,a\n2.5,a\n3.5,b\n4.5,a\n5.5\n"
    a, b, unknown = read(tmp_path, text, rate_hz=10.0)
    assert (a.subject, b.subject, unknown.subject) == ("a", "b", "unknown")
    assert a.changes.lines() == [
        "joined rows that lie apart and have no times: 1 places in 1 record"
    ]
    assert not b.changes
    assert unknown.changes.lines() == [
        "assumed subject unknown where it is empty: 1 rows in 1 record"
    ]


def test_a_user_names_the_columns(tmp_path: Path) -> None:
    text = "when,x,what,who\n" + rows("{t},{i},3,7")
    (record,) = read(tmp_path, text, time_column="when", label_column="what", subject_column="who")
    assert (record.rate_hz, record.subject, record.intervals[0].label) == (50.0, "7", "3")
    with pytest.raises(DataError, match="no column 'z'; it has when, x, what, who"):
        read(tmp_path, text, time_column="z")


def test_holes_are_filled_or_part_records(tmp_path: Path) -> None:
    times = [i / 50 for i in range(100)]
    times = times[:40] + [t + 1 for t in times[40:70]] + [t + 30 for t in times[70:]]
    records = read(tmp_path, "time,x\n" + "".join(f"{t:.2f},1\n" for t in times))
    assert [(r.name, len(r.samples), int(np.isnan(r.samples).sum())) for r in records] == [
        ("r1/1", 120, 50),
        ("r1/2", 30, 0),
    ]
    assert records[0].changes.lines()[1:] == [
        "split where times go back or leave a hole: 1 places in 1 record",
        "filled holes in the times with NaN: 50 samples in 1 record",
    ]


def test_times_that_start_again_start_a_record(tmp_path: Path) -> None:
    records = read(tmp_path, "time_s,x\n" + rows("{t},{i}", 50) + rows("{t},{i}", 70))
    assert [(r.name, len(r.samples)) for r in records] == [("r1/1", 50), ("r1/2", 70)]


def test_irregular_times_are_put_on_a_grid(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    times = np.sort(np.arange(400) / 50 + rng.uniform(-0.012, 0.012, 400))
    (record,) = read(tmp_path, "time_s,x\n" + "".join(f"{t:.5f},{np.sin(t):.6f}\n" for t in times))
    grid = times[0] + np.arange(len(record.samples)) / record.rate_hz
    assert abs(record.rate_hz / 50 - 1) < 0.05
    assert np.abs(record.samples[5:-5, 0] - np.sin(grid)[5:-5]).max() < 0.05
    assert record.changes.lines()[0].startswith("resampled onto a regular grid, by lines")


def test_rows_of_one_time_are_dropped_and_counted(tmp_path: Path) -> None:
    times = sorted([i / 50 for i in range(100)] + [0.1, 0.5])
    (record,) = read(tmp_path, "time_s,x\n" + "".join(f"{t},1\n" for t in times))
    assert len(record.samples) == 100
    assert record.changes.lines() == ["dropped of the time of the row before: 2 rows in 1 record"]


def test_a_second_file_tells_intervals(tmp_path: Path) -> None:
    spans = tmp_path / "spans.csv"
    spans.write_text("start_s,end_s,label\n0,1,walk\n2.5,9,sit\n")
    text = "time,x\n" + rows("{t},{i}")
    (record,) = read(tmp_path, text, intervals=spans)
    assert [(i.first, i.last, i.label) for i in record.intervals] == [
        (0, 49, "walk"),
        (125, 199, "sit"),
    ]
    assert record.changes.lines()[-1].startswith("dropped intervals' samples after the end: 1")
    spans.write_text("record,first,last,label\nr1,5,9,a\nother,0,3,b\n")
    (record,) = read(tmp_path, text, intervals=spans)
    assert [(i.first, i.last, i.label) for i in record.intervals] == [(5, 9, "a")]
    for bad in ("first,label\n1,a\n", "first,last,label\n5,1,a\n", "first,last,label\n1,x,a\n"):
        spans.write_text(bad)
        with pytest.raises(DataError, match=r"must have start, end|must be start|must not end"):
            read(tmp_path, text, intervals=spans)


def test_intervals_that_name_no_record_are_of_one_record_alone(tmp_path: Path) -> None:
    """Each part of a recording would begin with the labels of the whole one's beginning."""
    folder = tmp_path / "data"
    folder.mkdir()
    spans = folder / "labels.csv"
    text = "time,x\n" + rows("{t},{i}")
    apart = text + "".join(f"{900 + i / 50},{i}\n" for i in range(200))
    spans.write_text("start_s,end_s,label\n0,1,walk\n")
    with pytest.raises(DataError, match="holds 2 records, and intervals for it name none"):
        read(tmp_path, apart, intervals=spans)
    (folder / "a.csv").write_text(text)
    hints = Hints(intervals=spans)
    (record,) = read_records(find_records(folder, hints))  # the labels are no recording
    assert [i.label for i in record.intervals] == ["walk"]
    (folder / "b.csv").write_text(text)
    with pytest.raises(DataError, match="holds 2 records, and intervals for it name none"):
        find_records(folder, hints)
    spans.write_text("record,start_s,end_s,label\na,0,1,walk\nb,1,2,sit\n")
    first, second = read_records(find_records(folder, hints))
    assert [i.label for i in first.intervals + second.intervals] == ["walk", "sit"]
    spans.write_text("record,start_s,end_s,label\nr1/2,0,1,walk\n")
    first, second = read(tmp_path, apart, intervals=spans)
    assert [first.intervals, [(i.first, i.last) for i in second.intervals]] == [(), [(0, 49)]]


def test_packed_and_latin_1_files_are_read(tmp_path: Path) -> None:
    text = "time,x (\u00b5V)\n" + rows("{t},{i}")
    (record,) = read(tmp_path, gzip.compress(text.encode()), "r1.csv.gz")
    assert record.channels[0].unit == "µV"
    (record,) = read(tmp_path, text.encode("latin-1"))
    assert record.channels[0].unit == "µV"
    assert record.changes.lines()[0].startswith("assumed text in Latin-1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no row"),
        ("\n\n# only notes\n", "holds no row"),
        ("a,b\n", "holds a header and no row"),
        ("a,b\n1,2\n3,4\n", "has no column of times; give its rate"),
        ("time_s,b\n0,2\n1,4,5\n", "row 2 has more than 2 cells"),
        ("time_s,b\n0,2\n1,4\n2,oops\n3,1\n", "column b holds numbers, and 'oops' in row 3"),
        ("time_s,b\n0,2\n,4\n", "row 2 has no time"),
        ("time_s,b\n0,2\n0,4\n", "times never go on"),
        ("time_s,b\nsoon,2\nlater,4\n", "times must be numbers, ISO 8601"),
        ("time,b\n1,2\n2,4\n3,1\n", "go on by 1 in a unit that is not told"),
        ("time_s,what\n0,a\n1,b\n", "no column of numbers"),
        (b"\x00\x01\x02", "no text in UTF-8"),
        ("time_ns,b\n0,1\n2,2\n4,2\n9000000000,3\n", "samples in one piece"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(
    text: str | bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time_s,b,c\n0,2,1\n1,4,2\n2,", "after 2 of 3 cells"),
        ("time_s,b,c\n0,2,1\n1,4,2\n2,4.", "after 2 of 3 cells"),
        ("time_s;b;c\r\n0;2,5;1\r\n1;4,5;2\r\n2;4", "after 2 of 3 cells"),
        (rows("{i} {i} 1") + "3 4", "after 2 of 3 cells"),
        ("time_s,b,c\n" + rows("{t},{i},{i}", 9000) + "90.00,1", "after 2 of 3 cells"),
    ],
)
def test_a_table_that_breaks_off_in_its_last_row_is_refused(
    text: str, said: str, packed: bool, tmp_path: Path
) -> None:
    data, name = (gzip.compress(text.encode()), "r1.csv.gz") if packed else (text, "r1.csv")
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, data, name)
    assert str(caught.value).startswith(f"{tmp_path / name} breaks off in its last row")


def test_a_last_row_that_may_be_whole_is_read_and_listed(tmp_path: Path) -> None:
    """Of the same cells as the others; or those before it are short, too."""
    said = "assumed the last row whole, as no end of line follows it"
    for text, short in (
        ("time_s,b,c\n0,2,1\n1,4,2\n2,4,1", "time_s,b,c\n0,2,1\n1,4,2\n2,4,1\n"),
        ("time_s,b,c\n0,2,1\n1,4\n2,4", "time_s,b,c\n0,2,1\n1,4\n2,4\n"),
        ("time_s,b,c\n0,2,1\n1,4,2\n2,4,", "time_s,b,c\n0,2,1\n1,4,2\n2,4,\n"),
    ):
        (cut,), (whole,) = read(tmp_path, text), read(tmp_path, short)
        assert np.array_equal(cut.samples, whole.samples, equal_nan=True)
        assert [line for line in cut.changes.lines() if line.startswith(said)]
        assert not [line for line in whole.changes.lines() if line.startswith(said)]


def test_a_missing_cell_stays_absent(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "time_s,b,c\n0,2,1\n1,,1\n2,nan,1\n")
    assert np.isnan(record.samples[:, 0]).tolist() == [False, True, True]


WHOLE = ("time,x (g),y,activity\n" + rows("{t},{i}.5,-{i},walk", 40)).encode()


@settings(max_examples=40, suppress_health_check=SHARED)
@given(damaged(WHOLE))
def test_damaged_files_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "r1.csv"
    path.write_bytes(data)
    read_or_refuse(csv_file.read, path)


@settings(max_examples=25, suppress_health_check=SHARED)
@given(st.one_of(damaged(gzip.compress(WHOLE, mtime=0)), st.binary(max_size=60)))
def test_damaged_packed_files_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "r1.csv.gz"
    path.write_bytes(data)
    read_or_refuse(csv_file.read, path)


@settings(max_examples=50, suppress_health_check=SHARED)
@given(st.text("0123456789.,;\t \n-eNa\"'#%:T", max_size=80))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r1.csv"
    path.write_text(text)
    read_or_refuse(csv_file.read, path, Hints(rate_hz=10.0))

"""Own recordings that are read when they are reached are those that lie in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.inspection import inspect
from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.task_file import propose
from lnn_edge.errors import DataError
from lnn_edge.tasks.own_data import Source, proposed_task
from lnn_edge.tasks.own_records import load_chosen, load_own
from lnn_edge.tasks.own_split import counted, divide

HINTS = Hints(label_column="what", subject_column="who", rate_hz=10.0)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Six people in three files, two in each."""
    for number in range(3):
        rows = [
            f"{np.sin(i * (who + 1)):.3f},{'a' if i % 40 < 20 else 'b'},p{who}"
            for who in (2 * number, 2 * number + 1)
            for i in range(80)
        ]
        (tmp_path / f"f{number}.csv").write_text("x,what,who\n" + "\n".join(rows) + "\n")
    return Source(tmp_path, HINTS)


def test_what_is_read_when_reached_is_what_lies_in_memory(source: Source) -> None:
    task = proposed_task(source, "t")
    near, far = load_own(source, task), load_own(source, task, most=200)
    assert isinstance(near.recordings, tuple)
    assert isinstance(far.recordings, LazyRecords)
    assert (near.facts, near.changes) == (far.facts, far.changes)
    for one, other in zip(near.recordings, far.recordings, strict=True):
        assert np.array_equal(one.frames, other.frames)
        assert np.array_equal(one.labels, other.labels)
    mine, theirs = divide(near, "subject", 1), divide(far, "subject", 1)
    assert counted(mine) == counted(theirs)
    assert [r.name for r in mine.held_out.recordings] == ["f0/p1"]
    assert [r.name for r in theirs.held_out.recordings] == ["f0/p1"]
    assert [r.name for r in theirs.training.recordings] == [
        r.name for r in mine.training.recordings
    ]


def test_records_are_chosen_by_name(source: Source) -> None:
    task = proposed_task(source, "t")
    (chosen,) = load_chosen(source, task, names=["f1/p3"]).recordings
    assert chosen.patient == "p3"
    with pytest.raises(DataError, match="has no recording f9; see"):
        load_chosen(source, task, names=["f1/p3", "f9"])


def test_a_column_of_subjects_is_no_reason_to_miss_them(tmp_path: Path) -> None:
    for who in ("p0", "p1"):
        (tmp_path / f"{who}.csv").write_text("x,who\n" + f"1.5,{who}\n2.5,{who}\n" * 9)
    found = inspect(tmp_path, HINTS.__class__(rate_hz=10.0, subject_column="who"))
    said = "Nothing says who was recorded"
    assert said not in propose(found, has_subjects=True).text()
    assert said in propose(found).text()


@pytest.mark.parametrize("most", [1 << 20, 200])
def test_a_recording_that_cannot_be_used_is_skipped_by_name(source: Source, most: int) -> None:
    """One file breaks off in its second recording, one has no number, one no values at all."""
    task = proposed_task(source, "t")
    path = source.path / "f1.csv"
    lines = path.read_text().splitlines()
    (source.path / "g.csv").write_text("\n".join([*lines[:3], "nan?,a,p9"]))
    path.write_text("\n".join([*lines[:100], "0.x,a,p3", ""]))
    (source.path / "h.csv").write_bytes(b"\0" * 900)
    own = load_own(source, task, most=most)
    names = [f.name for f in own.facts]
    assert [r.name for r in own.recordings] == names
    assert {"f0/p0", "f0/p1", "f2/p4", "f2/p5"} <= set(names)
    assert set(own.refused) == {"f1", "g", "h"}
    said = own.changes.skipped()
    assert len(said) == 4
    assert said[0].startswith("skipped f1: ")
    assert said[-1] == "skipped 3 recordings in all"
    assert not any("skipped" in line for line in own.changes.lines())
    for name, error in own.refused.items():
        with pytest.raises(DataError) as raised:
            load_chosen(source, task, names=["f0/p0", name])
        assert str(raised.value) == str(error)
    assert len(load_chosen(source, task, names=["f0/p0"]).facts) == 1
    for path in source.path.glob("f*.csv"):
        path.unlink()
    with pytest.raises(DataError, match="no recording of 2 can be used; the first: "):
        load_own(source, task)

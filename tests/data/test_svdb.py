"""svdb: the rate of MIT-BIH, marks at the peaks, what headers leave out told; folds by record."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data import svdb
from lnn_edge.data.peaks import at_peaks
from lnn_edge.data.published import DATA_VARIABLE
from lnn_edge.data.record import Channel, Mark, Record
from lnn_edge.data.registry import folds, load_records
from lnn_edge.errors import DataError
from lnn_edge.tasks.own_data import is_own
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.train.own import Asked
from lnn_edge.train.plan import plan_training
from lnn_edge.train.recipe import load_recipe

needs_svdb = pytest.mark.skipif(
    not Path(os.environ.get(DATA_VARIABLE, ""), svdb.NAME, "800.hea").is_file()
    or DATA_VARIABLE not in os.environ,
    reason=f"{DATA_VARIABLE} has no svdb",
)


def beats(offsets: list[int], first: int = 400, distance: int = 300) -> Record:
    """Return a record with a narrow peak at equal distances, each marked beside it."""
    peaks = first + distance * np.arange(len(offsets))
    samples = np.zeros((int(peaks[-1]) + 400, 2))
    for peak in peaks:
        samples[peak - 12 : peak + 13, 0] += 200 * np.hanning(25)
    marks = tuple(Mark(int(p + o), "N") for p, o in zip(peaks, offsets, strict=True))
    channels = (Channel("ECG1", "mV", 200.0), Channel("ECG2", "mV", 200.0))
    return Record("r", "r", samples.round().astype(np.int16), 360.0, channels, marks)


def test_marks_move_to_the_peak_and_are_counted() -> None:
    record = beats([-14, 0, 11, 21])
    moved = at_peaks(record)
    assert [m.sample for m in moved.marks] == pytest.approx([400, 700, 1000, 1300], abs=1)
    (change,) = (c for c in moved.changes.items if c.kind == "moved")
    assert (change.unit, change.record) == ("marks", "r")
    assert change.count >= 3
    assert np.array_equal(moved.samples, record.samples)


def test_a_peak_beyond_reach_is_left() -> None:
    """60 ms are 22 samples: of a peak 40 away the mark finds no more than the flank."""
    (mark,) = at_peaks(beats([40])).marks
    assert 418 <= mark.sample <= 462


def test_marks_stay_apart() -> None:
    """Two marks within reach of one peak: one of them takes it, and they still ascend."""
    record = beats([0])
    marks = (Mark(392, "N"), Mark(404, "V"))
    places = [m.sample for m in at_peaks(Record(**{**vars(record), "marks": marks})).marks]
    assert places[0] < places[1]


def test_every_record_is_held_out_once() -> None:
    assert len(svdb.NAMES) == 78
    held_out = [svdb.names_of("validation", fold) for fold in range(svdb.FOLD_COUNT)]
    assert sorted(sum(held_out, ())) == sorted(svdb.NAMES)
    for fold, names in enumerate(held_out):
        assert not set(names) & set(svdb.names_of("train", fold))
    assert folds("svdb") == tuple(held_out)


@pytest.mark.parametrize(("split", "fold"), [("test", 0), ("validation", 4), ("train", -1)])
def test_another_split_is_refused(split: str, fold: int) -> None:
    with pytest.raises(DataError, match=f"svdb has no split '{split}' with fold {fold}"):
        svdb.names_of(split, fold)


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no record of svdb"):
        load_records("svdb", tmp_path)


@needs_svdb
def test_a_gain_of_zero_is_assumed_and_told() -> None:
    """860 gives no gain, and marks a beat after its last sample; 800 is as it should be."""
    good, bad = load_records("svdb", os.environ[DATA_VARIABLE], records=["800", "860"])
    assert good.rate_hz == bad.rate_hz == 360.0
    kinds = {r.name: {c.kind for c in r.changes.items} for r in (good, bad)}
    assert kinds["860"] - kinds["800"] == {"assumed", "dropped"}
    assert {c.gain for c in bad.channels} == {200.0}
    late = next(c for c in bad.changes.items if c.kind == "dropped")
    assert (late.count, late.record) == (1, "860")
    assert bad.marks[-1].sample < len(bad.samples)


@needs_svdb
def test_the_first_lead_must_be_named() -> None:
    folder = os.environ[DATA_VARIABLE]
    with pytest.raises(DataError, match="name the lead to take by --lead"):
        load_labelled("svdb", folder, records=["800"])
    (record,) = load_labelled("svdb", folder, records=["800"], lead="ECG1")
    assert record.leads == ("ECG1", "ECG2")
    assert record.count() == {"N": 1846, "S": 30, "V": 6, "F": 1, "Q": 0}
    assert {c.zero for c in record.record.channels} == {1024}


@needs_svdb
def test_a_training_tells_and_keeps_what_was_done() -> None:
    """By the plan that `train` prints and whose data its card holds; of mitdb there is nothing."""
    recipe, folder = load_recipe("ecg-beats-cfc"), os.environ[DATA_VARIABLE]
    asked = Asked("", "", "ECG1")
    plan = plan_training(recipe, None, asked, dataset="svdb", data_dir=folder, fold=0)
    assumed = "assumed 200 steps per mV where no gain is told"
    assert any(line.startswith(assumed) for line in plan.told)
    kinds = {change["kind"] for change in plan.data["changes"]}  # type: ignore[attr-defined]
    assert {"assumed", "moved", "resampled"} <= kinds
    assert not is_own(plan.data)

"""Data sets by name, the MIT-BIH split, and the excerpts of the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data import DATASETS, embedded, folds, mitdb, ptbxl, tnmg
from lnn_edge.data.aami import CLASSES
from lnn_edge.errors import DataError
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.recordings import describe, load_labelled
from tests.support.recordings import BEATS
from tests.support.wfdb_files import needs_mitdb, write_small

# Beats in the order N, S, V, F, Q. DS1 as in de Chazal et al. 2004; of DS2, 14 records that the
# tests have been run with.
PART_OF_DS2 = "100 103 111 113 117 121 123 200 202 212 213 228 232 234".split()
TOTALS = [(mitdb.DS1, (45_866, 944, 3_788, 415, 8)), (PART_OF_DS2, (27_122, 1_591, 1_436, 365, 0))]
RECORD_COUNTS = {
    "101": (1_860, 3, 0, 0, 2),
    "208": (1_586, 2, 992, 373, 2),
    "209": (2_621, 383, 1, 0, 0),
    "100": (2_239, 33, 1, 0, 0),
    "213": (2_641, 28, 220, 362, 0),
    "232": (398, 1_382, 0, 0, 0),
}


def counts(recordings: Sequence[Labelled]) -> tuple[int, ...]:
    each = [recording.count() for recording in recordings]
    return tuple(sum(count[name] for count in each) for name in (*CLASSES, "Q"))


def test_split_has_no_patient_on_both_sides_but_the_published_one() -> None:
    assert len(mitdb.DS1) == len(mitdb.DS2) == 22
    assert len({*mitdb.DS1, *mitdb.DS2, *mitdb.PACED}) == 48
    shared = {mitdb.patient_of(n) for n in mitdb.DS1} & {mitdb.patient_of(n) for n in mitdb.DS2}
    assert shared == {"201-202"}  # records 201 and 202, as de Chazal et al. split them


def test_every_record_of_ds1_is_validated_once() -> None:
    validated = [name for fold in folds("mitdb") for name in fold]
    assert sorted(validated) == sorted(mitdb.DS1)
    for index, fold in enumerate(folds("mitdb")):
        assert set(mitdb.names_of("train", index)) == set(mitdb.DS1) - set(fold)


def test_all_is_both_sets_without_the_paced() -> None:
    assert mitdb.names_of("all") == mitdb.DS1 + mitdb.DS2
    assert not set(mitdb.names_of("all")) & set(mitdb.PACED)


def test_records_at_hand_are_loaded_and_others_left_out(tmp_path: Path) -> None:
    for name in ("209", "101", "100", "102"):
        write_small(tmp_path / "mitdb", name)
    loaded = load_labelled("mitdb", tmp_path, "develop")
    assert [r.name for r in loaded] == ["101", "209"]
    assert [r.name for r in load_labelled("mitdb", tmp_path / "mitdb", "test")] == ["100"]
    assert [r.name for r in load_labelled("mitdb", str(tmp_path), "validation")] == ["209"]
    assert [r.name for r in load_labelled("mitdb", tmp_path, "train")] == ["101"]
    assert [r.name for r in load_labelled("mitdb", tmp_path, records=["209"])] == ["209"]


def test_one_person_in_two_records(tmp_path: Path) -> None:
    for name in ("201", "202"):
        write_small(tmp_path, name)
    assert {r.patient for r in load_labelled("mitdb", tmp_path)} == {"201-202"}


def test_folder_by_path(tmp_path: Path) -> None:
    write_small(tmp_path, "x1")
    (info,) = describe(str(tmp_path))
    assert (info.name, info.patient, info.leads) == ("x1", "x1", ("MLII", "V1"))
    assert info.labels == {"N": 1, "A": 1, "V": 1, "F": 1, "Q": 1}  # nothing tells classes
    with pytest.raises(DataError, match="has no split 'train'"):
        load_labelled(str(tmp_path), split="train", task=BEATS)


def test_data_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small(tmp_path / "mitdb", "101")
    monkeypatch.setenv("LNN_EDGE_DATA", str(tmp_path))
    assert [r.name for r in load_labelled("mitdb")] == ["101"]
    monkeypatch.delenv("LNN_EDGE_DATA")
    with pytest.raises(DataError, match="set LNN_EDGE_DATA, or get the records with"):
        load_labelled("mitdb")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"name": "mitbih"},
            "no data set 'mitbih'; take one of mitdb, svdb, cpsc2018, ptbxl, tnmg, synthetic",
        ),
        ({"name": "mitdb", "split": "ds1"}, "no split 'ds1'"),
        ({"name": "mitdb", "split": "train", "fold": 4}, "a fold from 0 to 3"),
        ({"name": "mitdb"}, "holds no WFDB record"),
        ({"name": "synthetic", "split": "dev"}, "no split 'dev'"),
        ({"name": "excerpts", "split": "train"}, "they are test records"),
        ({"name": "excerpts", "records": ["100"]}, "no record '100' .* 100_0830"),
    ],
)
def test_wrong_request(tmp_path: Path, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_labelled(data_dir=tmp_path, **arguments)  # type: ignore[arg-type]


def test_a_mistyped_split_generates_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split 'dev'"):
        load_labelled("synthetic", tmp_path, "dev")
    assert not any(tmp_path.iterdir())


def test_split_without_records_at_hand(tmp_path: Path) -> None:
    write_small(tmp_path, "101")
    with pytest.raises(DataError, match="none of the wanted records"):
        load_labelled("mitdb", tmp_path, "test")


def test_record_outside_the_split_is_refused(tmp_path: Path) -> None:
    write_small(tmp_path, "101")
    write_small(tmp_path, "102")
    with pytest.raises(DataError, match="no record '102'"):
        load_labelled("mitdb", tmp_path, records=["102"])


def test_excerpts_are_small_and_hold_every_class() -> None:
    folder = embedded.folder_of_pieces()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 400 * 1024
    assert "ODC-By" in (folder / "NOTICE").read_text("utf-8")
    recordings = load_labelled("excerpts")
    assert all(r.duration_s == 60 and r.leads[0] == "MLII" for r in recordings)
    assert counts(recordings) == (293, 140, 45, 25, 0)


def test_every_data_set_says_what_it_is() -> None:
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        assert "all" in dataset.splits
        if name in (ptbxl.NAME, tnmg.NAME):
            continue  # a table in their folder says who belongs where
        everything = set(dataset.names_of(Path, "all", 0))
        for split in dataset.splits:
            assert everything >= set(dataset.names_of(Path, split, 0))


@needs_mitdb
def test_excerpts_are_unchanged_pieces_of_their_records() -> None:
    for piece in load_labelled("excerpts"):
        record, start = piece.name.split("_")
        (whole,) = load_labelled("mitdb", records=[record])
        first, end = int(start) * 360, (int(start) + 60) * 360
        inside = (whole.events >= first) & (whole.events < end)
        assert np.array_equal(whole.frames[first:end], piece.frames)
        assert np.array_equal(whole.events[inside] - first, piece.events)
        assert np.array_equal(whole.labels[inside], piece.labels)
        assert whole.patient == piece.patient


@needs_mitdb
def test_beats_of_mitdb_are_the_published_ones() -> None:
    at_hand = {r.name: r for r in load_labelled("mitdb")}
    for name, expected in RECORD_COUNTS.items():
        assert name not in at_hand or counts((at_hand[name],)) == expected
    for names, expected in TOTALS:
        assert set(names) - set(at_hand) or counts([at_hand[n] for n in names]) == expected


@needs_mitdb
def test_mitdb_114_is_turned_so_that_mlii_is_first() -> None:
    (recording,) = load_labelled("mitdb", records=["114"])
    assert recording.leads == ("MLII", "V5")
    assert recording.frames.shape == (650_000, 2)

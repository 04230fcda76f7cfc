"""A model says which recordings it learned from, whoever holds it and however it lies on disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lnn_edge.data import mitdb
from lnn_edge.errors import DataError
from lnn_edge.files.shipped import shipped_folder, shipped_names
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.learned import (
    Learned,
    Overlap,
    is_invented,
    learned_by_folder,
    learned_by_graph,
    overlap,
)
from tests.support.toy import toy_graph


@dataclass(frozen=True)
class Named:
    name: str
    patient: str


def records(*names: str) -> list[Named]:
    return [Named(name, mitdb.patient_of(name)) for name in names]


BEATS = Learned("mitdb", frozenset({"101", "201"}), frozenset({"101", "201-202"}), True)


def test_records_and_people_are_told_apart() -> None:
    """201 and 202 of MIT-BIH are one person (its own directory of records says so)."""
    found = overlap(BEATS, "mitdb", records("100", "101", "202"))
    assert found == Overlap(3, ("101",), ("202",), True)
    assert found.sentence == (
        "The model learned from 1 of these 3 recordings (101), and knows the people in 1 of these "
        "3 recordings (202): figures over them say nothing of other people."
    )


def test_a_piece_of_a_record_is_of_the_same_person() -> None:
    piece = [Named("202_0730", "201-202"), Named("100_0830", "100")]
    assert overlap(BEATS, "excerpts", piece) == Overlap(2, (), ("202_0730",), True)


def test_another_data_set_has_other_people_whatever_their_names() -> None:
    found = overlap(BEATS, "cpsc2018", records("101", "201"))
    assert found == Overlap(2, (), (), True)
    assert found.sentence == (
        "The model did not learn from these 2 recordings, nor from anybody in them."
    )


def test_in_a_folder_names_are_all_there_is() -> None:
    found = overlap(BEATS, "/data/mine", records("101", "202"))
    assert found == Overlap(2, ("101",), None, True)
    alone = overlap(BEATS, "/data/mine", records("202"))
    assert alone.sentence == "The model did not learn from this recording, as far as names tell."
    mine = Learned("/data/mine", frozenset({"a"}), frozenset({"a"}), True)
    assert overlap(mine, "/moved/mine", records("a", "b")).records == ("a",)
    assert overlap(mine, "mitdb", records("101")) == Overlap(1, (), None, True)


def test_without_a_card_the_graph_tells_a_part() -> None:
    graph = replace(toy_graph(), metadata={"dataset": "mitdb", "calibration_records": ["101"]})
    known = learned_by_graph(graph)
    assert known == Learned("mitdb", frozenset({"101"}), None, False)
    found = overlap(known, "mitdb", records("101", "100"))
    assert found == Overlap(2, ("101",), None, False)
    assert found.sentence == (
        "Whether the model learned from these 2 recordings beyond 1 of these 2 recordings (101), "
        "on which it was calibrated, is not known: its model.toml is missing."
    )
    assert overlap(known, "mitdb", records("101")).is_known


def test_without_anything_it_is_not_known() -> None:
    known = learned_by_graph(replace(toy_graph(), metadata={}))
    assert known is None
    found = overlap(known, "excerpts", records("100"))
    assert (found.records, found.is_known) == ((), False)
    assert found.sentence.startswith("Whether the model learned from this recording is not known")


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_models_know_what_they_learned_from(name: str, tmp_path: Path) -> None:
    """Also where the graph was copied away from its card."""
    shutil.copy(shipped_folder(name) / "model.qgraph", tmp_path)
    graph = load_graph(tmp_path / "model.qgraph")
    known = learned_by_graph(graph, tmp_path)
    assert known is not None
    assert known.is_whole
    assert known.records == set(graph.metadata["calibration_records"])  # type: ignore[call-overload]
    assert known.dataset == graph.metadata["dataset"]
    if name == "ecg-beats-cfc":
        assert known.records == set(mitdb.DS1)
        assert known.people == {mitdb.patient_of(r) for r in mitdb.DS1}


def card(folder: Path, text: str) -> QGraph:
    (folder / "model.toml").write_text(text)
    return replace(toy_graph(), metadata={"weights_sha256": "1" * 64})


def test_the_card_beside_a_graph_counts_if_it_is_of_its_weights(tmp_path: Path) -> None:
    text = 'weights_sha256 = "{}"\ntraining_records = ["a"]\nnew = 1\n[recipe]\ndataset = "mine"\n'
    graph = card(tmp_path, text.format("1" * 64))
    assert learned_by_graph(graph, tmp_path) == Learned("mine", frozenset({"a"}), None, True)
    assert learned_by_graph(card(tmp_path, text.format("2" * 64)), tmp_path) is None
    assert learned_by_folder(tmp_path) == Learned("mine", frozenset({"a"}), None, True)


def test_a_card_of_an_imported_model_says_nothing(tmp_path: Path) -> None:
    text = f'weights_sha256 = "{"1" * 64}"\ncell = "CfC"\n'
    assert learned_by_graph(card(tmp_path, text), tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "x = ",
        'training_records = ["a"]\n[recipe]\ndataset = "m"\n',
        'weights_sha256 = "1"\ntraining_records = 5\n[recipe]\ndataset = "m"\n',
        'weights_sha256 = "1"\ntraining_records = ["a"]\n[recipe]\n',
    ],
)
def test_a_damaged_card_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"model\.toml"):
        learned_by_graph(card(tmp_path, text), tmp_path)


def test_many_names_are_cut_in_the_sentence_alone() -> None:
    names = [f"r{i}" for i in range(25)]
    known = Learned("cpsc2018", frozenset(names), frozenset(names), True)
    found = overlap(known, "cpsc2018", [Named(n, n) for n in names])
    assert "r19 and 5 more)" in found.sentence
    assert found.to_json()["records"] == names
    assert found.sentence.startswith("The model learned from these 25 recordings (r0, ")


def test_generated_recordings_mean_something_to_models_of_them_alone() -> None:
    graph = toy_graph()
    learned = replace(graph, metadata={"dataset": "synthetic"})
    assert is_invented("synthetic", graph)
    assert not is_invented("synthetic", learned)
    assert is_invented("synthetic-12lead", learned)
    assert not is_invented("excerpts", learned)
    assert not is_invented("/data/synthetic", graph)

"""Inputs that are kept are those that prepare gives, and belong to what they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn_edge.graph.sim import predict
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.train import kept_inputs
from lnn_edge.train.checkpoint import prepare
from lnn_edge.train.kept_inputs import KeptInputs
from lnn_edge.train.recipe import load_recipe
from tests.support.recordings import invented

RECIPE = load_recipe("ecg-beats-demo")
NETWORK = make_network(RECIPE.network, RECIPE.model)
RECORDINGS = [invented("a", 12, 1), invented("b", 9, 2), invented("c", 7, 3)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the recordings that are prepared from here on."""
    names: list[str] = []

    def counted(network: Any, recordings: Sequence[Labelled], how: Any) -> list[DecisionSequence]:
        names.extend(r.name for r in recordings)
        return prepare(network, recordings, how)

    monkeypatch.setattr(kept_inputs, "prepare", counted)
    return names


def assert_same(found: Sequence[DecisionSequence], wanted: Sequence[DecisionSequence]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert (one.name, one.patient) == (other.name, other.patient)
        assert one.values.keys() == other.values.keys()
        arrays = [(one.values[k], other.values[k]) for k in one.values]
        for mine, theirs in (*arrays, (one.stamps, other.stamps), (one.labels, other.labels)):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


def test_each_recording_is_prepared_once(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "CHUNK", 2)
    wanted = prepare(NETWORK, RECORDINGS)
    assert_same(KeptInputs(tmp_path, "code")(NETWORK, RECORDINGS[:2]), wanted[:2])
    assert_same(KeptInputs(tmp_path, "code")(NETWORK, RECORDINGS), wanted)  # as another process
    assert_same(KeptInputs(tmp_path, "code")(NETWORK, RECORDINGS[::-1]), wanted[::-1])
    assert asked == ["a", "b", "c"]


def test_processes_that_begin_elsewhere_do_a_part_each(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_inputs, "CHUNK", 2)
    kept = KeptInputs(tmp_path, "code")
    kept.ahead(NETWORK, RECORDINGS, "causal", 7)  # the second of three
    assert asked == ["b", "c", "a"]
    kept.ahead(NETWORK, RECORDINGS, "causal", 0)
    kept.ahead(NETWORK, [], "causal", 3)
    assert_same(kept(NETWORK, RECORDINGS), prepare(NETWORK, RECORDINGS))
    assert len(asked) == 3


def test_the_place_of_a_recording_and_its_labels_are_of_no_account(
    tmp_path: Path, asked: list[str]
) -> None:
    (recording, *_) = RECORDINGS
    marks = tuple(replace(mark, symbol="V") for mark in recording.record.marks)
    other = Labelled(replace(recording.record, name="z", marks=marks), recording.task)
    kept = KeptInputs(tmp_path, "code")
    kept(NETWORK, [recording])
    (found,) = kept(NETWORK, [other])
    assert asked == ["a"]
    assert_same([found], prepare(NETWORK, [other]))
    assert set(found.labels) == {recording.classes.index("V")}


def test_what_inputs_depend_on_tells_them_apart(tmp_path: Path, asked: list[str]) -> None:
    (recording, *_) = RECORDINGS
    record = recording.record
    louder = Labelled(replace(record, samples=record.samples + np.int16(1)), recording.task)
    fewer = Labelled(replace(record, marks=record.marks[1:]), recording.task)
    slower = make_network(RECIPE.network, {**RECIPE.model, "wait": 0})
    other_rhythm = make_network(RECIPE.network, {**RECIPE.model, "usual_s": 60.0})
    ways = [
        (NETWORK, recording, "code"),
        (NETWORK, louder, "code"),
        (NETWORK, fewer, "code"),
        (slower, recording, "code"),
        (other_rhythm, recording, "code"),
        (NETWORK, recording, "other code"),
    ]
    for network, given, code in ways * 2:
        (found,) = KeptInputs(tmp_path, code)(network, [given])
        assert_same([found], prepare(network, [given]))
    assert len(asked) == len(ways)


def test_networks_with_one_front_end_share_what_it_prepared(
    tmp_path: Path, asked: list[str]
) -> None:
    larger = make_network(RECIPE.network, {**RECIPE.model, "hidden_size": 20})
    for network in (NETWORK, larger):
        KeptInputs(tmp_path, "code")(network, RECORDINGS)
    assert asked == ["a", "b", "c"]


def test_a_damaged_file_is_made_anew(tmp_path: Path, asked: list[str]) -> None:
    kept = KeptInputs(tmp_path, "code")
    kept(NETWORK, RECORDINGS[:1])
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert_same(kept(NETWORK, RECORDINGS[:1]), prepare(NETWORK, RECORDINGS[:1]))
    assert asked == ["a", "a"]
    assert path.read_bytes() == whole

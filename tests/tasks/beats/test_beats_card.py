"""The tables of a card of beats: figures by hand, and the script over shipped models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lnn_edge as le
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.metrics.single_label import Evaluation
from scripts.beats_card import Judged, figures, main, records_of, table_of

CLASSES, RARE = ("N", "S", "V", "F"), ("F",)
TRUE = {"a": "NNNNSV", "b": "NNSS", "c": "VVNF"}
SAID = ({"a": "NNNNSV", "b": "NNNN", "c": "VVNN"}, {"a": "NNNSSV", "b": "NNNS", "c": "VNNN"})


def run_of(said: dict[str, str]) -> Judged:
    """Return what a model says of three recordings, each of a patient of its own."""
    index = {name: i for i, name in enumerate(CLASSES)}
    sequences = [
        DecisionSequence(n, n, np.arange(len(t)), np.array([index[c] for c in t]), {})
        for n, t in TRUE.items()
    ]
    scores = [np.eye(len(CLASSES))[[index[c] for c in said[name]]] for name in TRUE]
    return sequences, scores, CLASSES, RARE


@pytest.fixture
def runs() -> list[Judged]:
    return [run_of(said) for said in SAID]


def test_figures_are_means_over_the_models(runs: list[Judged]) -> None:
    """S of the two: Se 1/3 and 2/3, PPV 1/1 and 2/3, F1 1/2 and 2/3."""
    lines = table_of([figures(run, ()) for run in runs])
    row = next(line for line in lines if line.startswith("| S |"))
    beats, *told = [cell.strip() for cell in row.strip("| ").split("|")][1:]
    assert beats == "3"
    assert [cell.split(" ")[0] for cell in told] == ["0.500", "0.833", "0.583"]
    assert [line for line in lines if line.startswith("| F |")] == [
        "| F | 1 | 0.000 [0.00, 0.00] | 0.000 [0.00, 0.00] | 0.000 [0.00, 0.00] |"
    ]
    first = np.mean([14 / 17, 1 / 2, 1.0])  # of N 7 found, 10 said
    second = np.mean([12 / 16, 2 / 3, 4 / 5])
    assert f"(each model {first:.3f}, {second:.3f})" in lines[-1]
    assert f"accuracy {np.mean([11 / 14, 10 / 14]):.3f} [" in lines[-1]


def test_a_record_is_left_out(runs: list[Judged]) -> None:
    """Without b, the one S beat is found by both; one N beat is taken for S by the second."""
    lines = table_of([figures(run, ["b"]) for run in runs])
    row = next(line for line in lines if line.startswith("| S |"))
    assert row.startswith("| S | 1 | 1.000 [1.00, 1.00] | 0.750 [")


def test_each_record_has_what_was_found(runs: list[Judged]) -> None:
    head, _, *rows = records_of([figures(run, ()) for run in runs])
    assert head == (
        "| record | beats | accuracy | N found | S found | V found | F found | S said |"
    )
    assert rows == [
        "| a | 6 | 0.917 | 4 of 4 | 1 of 1 | 1 of 1 | - | 2 |",
        "| b | 4 | 0.625 | 2 of 2 | 0 of 2 | - | - | 0 |",
        "| c | 4 | 0.625 | 1 of 1 | - | 2 of 2 | 0 of 1 | 0 |",
    ]


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    def run(*options: str) -> str:
        model = str(shipped_graph())
        line = ["beats_card.py", model, model, "--data-dir", ".", *options]
        monkeypatch.setattr("sys.argv", line)
        main()
        return capsys.readouterr().out

    return run


def test_the_script_says_what_evaluate_says(script: Callable[..., str]) -> None:
    pieces = ("--dataset", "excerpts", "--split", "all", "--without", "232_0660", "213_0500")
    said = script(*pieces)
    whole, left = said.split("Without 232_0660, 213_0500:")
    found = le.evaluate(shipped_graph(), "excerpts").figures
    assert isinstance(found, Evaluation)
    assert f"(each model {found.main_f1:.3f}, {found.main_f1:.3f})" in whole
    beats = sum(r.n for r in found.records if r.name not in ("232_0660", "213_0500"))
    counts = [int(line.split("|")[2].replace(",", "")) for line in table_lines(left)]
    assert sum(counts) == beats < found.n
    assert sum(line.startswith("| 2") for line in left.splitlines()) == 5  # by record all


def table_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[:4] in ("| N ", "| S ", "| V ", "| F ")]


def test_a_record_that_is_not_there_is_no_record_left_out(script: Callable[..., str]) -> None:
    with pytest.raises(SystemExit, match="--without 232: the records are 100_0830, "):
        script("--dataset", "excerpts", "--split", "all", "--without", "232")

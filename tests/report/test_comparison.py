"""Trainings side by side, against the files that they left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import lnn_edge as le
from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.history import HISTORY, Epoch, history_csv, kept_epoch, read_history
from lnn_edge.nn.model_card import write_model
from tests.cli.command import call, call_json

EPOCHS = tuple(
    Epoch(i + 1, 1.0 / (i + 1), 0.01, {"validation_loss": loss, "main_f1": f1})
    for i, (loss, f1) in enumerate([(0.9, 0.5), (0.7, 0.8), (0.8, 0.6)])
)


def write_run(folder: Path, hidden: int, kept: int | None = None) -> Path:
    """Leave what a training leaves."""
    card = {
        "seed": 3,
        "training_records": ["a", "b"],
        "recipe": {"name": "x", "model": {"hidden_size": hidden}, "training": {"best_by": ""}},
        "result": {"chosen_by": "main_f1" if kept else "last"},
    }
    write_model(folder, "trained", card, b"weights")
    epochs = [replace(e, is_kept=e.epoch == kept) for e in EPOCHS]
    (folder / HISTORY).write_text(history_csv(epochs))
    return folder


def test_runs_are_compared_by_the_epoch_that_each_kept(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "small", 8), write_run(tmp_path / "large", 16, kept=2)]
    found = call_json("compare", *runs, "-o", tmp_path / "c.svg", "--figure", "main_f1")
    kept = [
        (r["kept"], r["epochs"], r["chosen_by"], r["held_out"]["main_f1"]) for r in found["runs"]
    ]
    assert kept == [(3, 3, "last", 0.6), (2, 3, "main_f1", 0.8)]
    assert found["differences"] == {"model.hidden_size": [8, 16]}
    drawing = (tmp_path / "c.svg").read_text()
    assert drawing.count('class="curve end-point"') == 1
    assert drawing.count('class="curve other end-point"') == 1
    text = call("compare", *runs).out
    assert "model.hidden_size" in text
    assert "2 of 3" in text


def test_a_history_reads_back_which_epoch_was_kept(tmp_path: Path) -> None:
    epochs = read_history(write_run(tmp_path / "run", 8, kept=2) / HISTORY)
    assert kept_epoch(epochs) == replace(EPOCHS[1], is_kept=True)
    assert kept_epoch(EPOCHS).epoch == 3


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no finished training \(model.toml is missing\)"):
        le.compare([run, tmp_path / "empty"])
    with pytest.raises(UsageError, match="no run has a figure 'auc'; they have loss, validation_"):
        le.compare([run], to=tmp_path / "c.svg", figure="auc")
    with pytest.raises(UsageError, match="each once"):
        le.compare([run, run])
    with pytest.raises(UsageError, match=r"c\.png: plots are SVG; give a file that ends in \.svg"):
        le.compare([run], to=tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()
    (run / HISTORY).write_text("epoch,loss\n1,\n")
    with pytest.raises(DataError, match=r"history\.csv is damaged \(an epoch has no loss\)"):
        le.compare([run])
    (run / HISTORY).unlink()
    with pytest.raises(DataError, match=r"has no history\.csv"):
        le.compare([run])

"""A sweep trains what is new, judges folds together, and writes what others can use."""

from __future__ import annotations

import csv
import json
import shutil
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lnn_edge as le
from lnn_edge.errors import DataError, LnnEdgeError, UsageError
from lnn_edge.graph.file import graph_bytes
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.sweep.in_order import run_in_order
from lnn_edge.sweep.kept import PREPARED, Kept
from lnn_edge.sweep.plan import Asked, plan_sweep
from lnn_edge.sweep.result import SweepResult
from lnn_edge.sweep.run import run_sweep
from lnn_edge.sweep.sizes import Limits, Sizes
from lnn_edge.sweep.trial import Recordings, Trial, run
from lnn_edge.train.checkpoint import prepare
from lnn_edge.train.plan import adjusted
from lnn_edge.train.recipe import load_recipe
from tests.cli.command import call, call_json, refusal, tree
from tests.sweep.walks import COLUMNS, SMALL, asked, write_walks

FILES = ["best.toml", "figures.json", "front.svg", "results.csv", "settings.csv"]
TWO = "hidden_size=4,8"


@pytest.fixture(autouse=True)
def quick_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell sizes without building a firmware."""

    def analyze(graph: QGraph, boards: Sequence[object]) -> list[SimpleNamespace]:
        sizes = {"ram_bytes": 8000, "stack_bytes": 800, "instructions": 90_000}
        return [SimpleNamespace(flash_bytes=len(graph_bytes(graph)), **sizes)]

    monkeypatch.setattr("lnn_edge.sweep.sizes.analyze", analyze)


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walks(tmp_path_factory.mktemp("walks"))


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """See that nothing is trained."""

    def fail(_trial: Trial, _prepared: Path) -> None:
        raise AssertionError("something was trained")

    monkeypatch.setattr("lnn_edge.sweep.in_order.run", fail)


def sweep(wanted: Asked, folder: Path, engine: Any = run_in_order) -> SweepResult:
    return run_sweep(wanted, folder, engine)


@pytest.fixture(scope="module")
def finished(walks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two sizes; copy it to change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lnn_edge.sweep.sizes.analyze",
            lambda *_: [
                SimpleNamespace(flash_bytes=1, ram_bytes=1, stack_bytes=1, instructions=None)
            ],
        )
        folder = tmp_path_factory.mktemp("sweep")
        sweep(asked(walks, TWO), folder)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def trials(folder: Path) -> dict[str, int]:
    """Return when each finished trial was written."""
    return {p.name: p.stat().st_mtime_ns for p in (folder / "trials").iterdir()}


def test_it_leaves_tables_a_plot_and_a_recipe(finished: Path, walks: Path) -> None:
    assert sorted(p.name for p in finished.iterdir() if p.is_file() and p.name[0] != ".") == FILES
    assert len(trials(finished)) == 4  # two sizes, two folds
    each, means = rows(finished / "results.csv"), rows(finished / "settings.csv")
    assert [(r["hidden_size"], r["seed"]) for r in each] == [("4", "0"), ("8", "0")]
    assert [r["hidden_size"] for r in means] == ["4", "8"]
    for row, mean in zip(each, means, strict=True):
        assert float(row["integer main_f1"]) == float(mean["integer main_f1"])
    (best,) = (r for r in means if r["best"] == "1")
    assert float(best["integer main_f1"]) == max(float(r["integer main_f1"]) for r in means)
    assert best["front"] == "1"
    wanted = adjusted("har-cfc", (*SMALL, f"hidden_size={best['hidden_size']}"))
    assert load_recipe(str(finished / "best.toml")) == wanted
    picture = (finished / "front.svg").read_text()
    assert picture.startswith("<svg")
    assert picture.count("<circle") == 2
    assert "hidden_size=4" in picture
    assert "filters" not in picture  # it is the same in both


def test_the_figures_are_those_of_training_by_hand(
    walks: Path, tmp_path: Path, finished: Path
) -> None:
    hand = tmp_path / "hand"
    settings = (*SMALL, "hidden_size=8")
    words = tuple(w for s in settings for w in ("--set", s))
    judged: list[list[int]] = []
    for fold in range(2):
        model = hand / str(fold)
        call_json("train", "har-cfc", "--data", walks, *COLUMNS, *words, "--fold", fold,
                  "-o", model)  # fmt: skip
        call_json("quantize", model)
        card = tomllib.loads((model / "model.toml").read_text())
        records = card["validation_records"]
        found = call_json("evaluate", model / "model.qgraph", "--data", walks, *COLUMNS,
                          "--records", ",".join(records), "--resamples", 0)  # fmt: skip
        judged.append([found["n"], round(found["accuracy"] * found["n"])])
    n, right = (sum(column) for column in zip(*judged, strict=True))
    (row,) = (r for r in rows(finished / "results.csv") if r["hidden_size"] == "8")
    assert float(row["integer accuracy"]) == right / n
    document = json.loads((finished / "figures.json").read_text())
    (seed,) = document["settings"][1]["seeds"]
    assert seed["integer"]["n"] == n
    assert seed["alike"] == float(row["alike"]) > 0.9


def test_nothing_is_trained_twice(
    walks: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "sweep"))
    before, count = trials(folder), 0

    def counted(trial: Trial, prepared: Path) -> Any:
        nonlocal count
        count += 1
        return run(trial, prepared)

    monkeypatch.setattr("lnn_edge.sweep.in_order.run", counted)
    told: list[tuple[int, int]] = []
    run_sweep(asked(walks, TWO), folder, run_in_order, on_trial=lambda *n: told.append(n))
    assert (count, told) == (0, [(4, 4)])
    more = replace(asked(walks, TWO), seeds=(0, 1), folds=1)
    sweep(more, folder)
    assert count == 2  # the other seed in the first fold
    assert before.items() <= trials(folder).items()


def test_each_recording_is_prepared_once_for_all_trials(
    walks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def counted(network: Any, recordings: Sequence[Any], how: Any) -> Any:
        names.extend(r.name for r in recordings)
        return prepare(network, recordings, how)

    def never(*_: object) -> None:
        raise AssertionError("something was prepared that is not kept")

    monkeypatch.setattr("lnn_edge.train.kept_inputs.prepare", counted)
    monkeypatch.setattr("lnn_edge.sweep.trial.prepare", never)
    folder = tmp_path / "sweep"
    sweep(asked(walks, TWO), folder)
    assert sorted(names) == ["w0", "w1", "w2", "w3"]
    assert not (folder / PREPARED).exists()
    monkeypatch.undo()
    monkeypatch.setenv("LNN_ARM_GCC", "no-such-compiler")
    for trial in plan_sweep(asked(walks, TWO)).trials:  # as if nothing had been kept
        assert run(trial).to_bytes() == Kept(folder).path(trial.key).read_bytes()
    shared = run(trial, tmp_path, is_shared=True)
    assert shared.to_bytes() == Kept(folder).path(trial.key).read_bytes()
    assert len(list(tmp_path.glob("*.npz"))) == 4


def test_what_was_finished_before_an_interrupt_stays(
    walks: Path, tmp_path: Path, finished: Path
) -> None:
    def breaks(left: Sequence[Trial], kept: Kept, on_trial: Callable[[], None]) -> None:
        run_in_order(left[:1], kept, on_trial)
        raise KeyboardInterrupt

    folder = tmp_path / "sweep"
    with pytest.raises(KeyboardInterrupt):
        sweep(asked(walks, TWO), folder, breaks)
    (first,) = trials(folder).items()
    assert not (folder / "results.csv").exists()
    assert len(list((folder / PREPARED).iterdir())) == 4  # for the next time
    sweep(asked(walks, TWO), folder)
    assert not (folder / PREPARED).exists()
    assert first in trials(folder).items()
    for name in trials(finished):  # as if it had not been interrupted
        same = finished / "trials" / name, folder / "trials" / name
        assert same[0].read_bytes() == same[1].read_bytes()


def test_other_recordings_are_other_trials(walks: Path, tmp_path: Path) -> None:
    other = write_walks(tmp_path / walks.name)
    wanted = asked(other)
    (first, _) = plan_sweep(wanted).trials
    moved = plan_sweep(asked(walks)).trials[0]
    assert first.key == moved.key  # the same recordings elsewhere
    text = (other / "w3.csv").read_text()
    (other / "w3.csv").write_text(text.replace("rest", "walk", 1))
    assert plan_sweep(wanted).trials[0].key != first.key
    with pytest.raises(UsageError, match="the recordings of fold 0 are others than when"):
        run(first)
    with pytest.raises(UsageError, match="install the same on every machine"):
        run(replace(first, code="lnn-edge 0"))


@pytest.mark.usefixtures("never")
def test_what_is_over_a_limit_is_not_trained(walks: Path, tmp_path: Path, finished: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "sweep"))
    sizes = [p.sizes.flash for p in plan_sweep(asked(walks, TWO)).settings]
    assert sizes == sorted(sizes)
    limits = Limits(flash=sizes[0])
    found = sweep(replace(asked(walks, "hidden_size=4,8"), limits=limits), folder)
    small, large = found.settings
    assert found.best is small
    assert large.seeds == ()
    assert large.note == f"flash {sizes[1]:,}, {sizes[1] - sizes[0]:,} more than the limit"
    (_, row) = rows(folder / "results.csv")
    assert (row["seed"], row["note"], row["integer main_f1"]) == ("", large.note, "")
    with pytest.raises(UsageError, match=r"every setting is over a limit \(ram 8,800, 1 more"):
        sweep(replace(asked(walks), limits=Limits(ram=8799)), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_is_not_counted_has_no_limit() -> None:
    with pytest.raises(UsageError, match="instructions cannot be counted here"):
        list(Limits(instructions=5).exceeded(Sizes(1, 2, 3)))
    with pytest.raises(UsageError, match="the limit of ram must be positive, not 0"):
        Limits(ram=0)


def test_a_setting_that_diverges_is_told_and_cannot_win(walks: Path, tmp_path: Path) -> None:
    wanted = replace(asked(walks, "weight_decay=2e-2,1e30"), folds=1)
    found = sweep(wanted, tmp_path / "sweep")
    good, bad = found.settings
    assert "the training diverged" in bad.note
    assert found.best is good
    assert [row["note"] != "" for row in rows(tmp_path / "sweep/results.csv")] == [False, True]
    with pytest.raises(UsageError, match="every training failed, the first because the training"):
        sweep(replace(asked(walks, "weight_decay=1e30"), folds=1), tmp_path / "sweep")


def test_a_damaged_trial_is_named(walks: Path, tmp_path: Path, finished: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "sweep"))
    path = next((folder / "trials").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=f"{path.name} is damaged"):
        sweep(asked(walks, TWO), folder)


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "model.hiden_size=8"), "unknown key 'hiden_size'"),
        (("--set", "hiden_size=8"), "no table has it"),
        (("--set", 'hidden_size=8,"many"'), "hidden_size must be int, not 'many'"),
        (("--set", "training.epochs=1,2.5"), "epochs must be int, not 2.5"),
        (("--set", "hidden_size=8,8"), "--set hidden_size=8 is the same as another setting"),
        (("--set", "dataset=mitdb,uci_har"), "has other recordings or another task"),
        (("--folds", 0), "there are 1 to 5 folds, not 0"),
        (("--folds", 6), "there are 1 to 5 folds, not 6"),
        (("--folds", 5), "there is no fold 4 of 4 subjects"),
        (("--seeds", "a"), "--seeds must be numbers with commas"),
        (("--seeds", "0,0"), "seeds must be one or more different numbers"),
        (("--seeds", "-1"), "a seed must be 0 to 4294967295, not -1"),
        (("--max-flash", 0), "the limit of flash must be positive, not 0"),
        (("--board", "stm32"), "stm32"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(
    words: tuple[object, ...], said: str, walks: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    base = ("sweep", "har-cfc", "--data", walks, *COLUMNS, "-o", folder)
    assert said in refusal(call(*base, *words))
    assert not folder.exists()


@pytest.mark.usefixtures("never")
def test_a_data_set_without_folds_is_refused(tmp_path: Path) -> None:
    wanted = Asked("har-cfc", Recordings(dataset="synthetic-12lead"))
    with pytest.raises(LnnEdgeError, match="synthetic-12lead has no folds to judge settings by"):
        sweep(wanted, tmp_path / "sweep")


@pytest.mark.usefixtures("never")
def test_a_folder_of_something_else_is_refused(walks: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="is not empty and no earlier sweep"):
        sweep(asked(walks), tmp_path)
    assert tree(tmp_path) == {"letter.txt": b"dear"}


def test_the_command_and_the_library_do_the_same(
    walks: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn_edge.sweep.run.find_spec", lambda _: None)  # no Ray
    folder = Path(shutil.copytree(finished, tmp_path / "sweep"))
    words = tuple(w for s in (*SMALL, TWO) for w in ("--set", s))
    command = ("sweep", "har-cfc", "--data", walks, *COLUMNS, *words, "--folds", 2, "-o", folder)
    document = call_json(*command)
    assert document == json.loads((folder / "figures.json").read_text())
    outcome = call(*command)
    assert outcome.code == 0
    assert "4 of 4 trainings are finished" in outcome.err
    assert "har-cfc: mean of the seeds 0; folds judged together: 2" in outcome.out
    assert f"next: lnn-edge train {folder}/best.toml" in outcome.out
    found = le.sweep(
        "har-cfc", to=folder, choices=[*SMALL, TWO], folds=2, data=walks,
        label_column="what", subject_column="who",
    )  # fmt: skip
    assert json.loads(json.dumps(found.to_json())) == document
    said = refusal(call(*command, "--ray-address", "auto"))
    assert "pip install 'lnn-edge[sweep]'" in said

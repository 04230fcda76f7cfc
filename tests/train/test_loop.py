"""Training learns, resumes exactly, and its files are checked when they are read."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.history import HISTORY, read_history
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.metrics.single_label import Evaluation, evaluate_scores, integer_scores
from lnn_edge.train import loop
from lnn_edge.train.best_epoch import is_better
from lnn_edge.train.checkpoint import Trained, float_scores, load_trained, prepare, save_trained
from lnn_edge.train.loop import EpochReport, train
from lnn_edge.train.losses import make_loss
from lnn_edge.train.plan import adjusted
from lnn_edge.train.recipe import Recipe, builtin_recipes, load_recipe
from tests.support.recordings import invented

RECORDINGS = [invented("a", 120, 1), invented("b", 120, 2)]
HELD_OUT = [invented("c", 120, 3)]


def short_recipe(epochs: int) -> Recipe:
    recipe = load_recipe("ecg-beats-demo")
    return replace(recipe, training=replace(recipe.training, epochs=epochs, batch_size=4))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    recipe = short_recipe(40)
    slow = replace(recipe.training, average_decay=0.9)
    return train(replace(recipe, training=slow), RECORDINGS, HELD_OUT, folder, seed=1)


def test_training_learns_early_and_wide_beats(trained: Trained) -> None:
    sequences = prepare(trained.network, HELD_OUT)
    scores = float_scores(trained.network, sequences)
    assert evaluate_scores(sequences, scores, trained.network.classes).accuracy > 0.9


def test_integers_decide_as_floats_do(trained: Trained) -> None:
    graph = quantize(trained, RECORDINGS)
    _, integers = integer_scores(graph, HELD_OUT)
    (floats,) = float_scores(trained.network, prepare(trained.network, HELD_OUT))
    error = graph.output.dequantize(integers[0]) - floats
    assert np.abs(error).max() < 0.1 * np.abs(floats).max()
    assert (integers[0].argmax(1) == floats.argmax(1)).mean() > 0.98


def test_the_card_and_the_graph_say_what_was_not_learned(trained: Trained, tmp_path: Path) -> None:
    """The invented recordings have no F."""
    labels = np.concatenate([r.labels for r in RECORDINGS])
    assert set(labels.tolist()) == {0, 1, 2}
    assert trained.card.unlearned == ("F",)
    assert quantize(trained, RECORDINGS).contract.unlearned == ("F",)
    card = replace(trained.card, unlearned=None)  # as it was written before
    save_trained(tmp_path, trained.network, card)
    assert "unlearned" not in (tmp_path / "model.toml").read_text()
    assert "unlearned" not in quantize(load_trained(tmp_path), RECORDINGS).metadata


def test_an_interrupted_training_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    recipe = short_recipe(3)
    train(recipe, RECORDINGS, HELD_OUT, whole, seed=5)

    class Interrupt(Exception):
        pass

    def stop(report: EpochReport) -> None:
        if report.epoch == 2:
            raise Interrupt

    with pytest.raises(Interrupt):
        train(recipe, RECORDINGS, HELD_OUT, parts, seed=5, on_epoch=stop)
    assert not (parts / "model.safetensors").exists()
    assert [e.epoch for e in read_history(parts / HISTORY)] == [1, 2]
    (parts / HISTORY).write_text("nonsense")  # the checkpoint knows better
    train(recipe, RECORDINGS, HELD_OUT, parts, seed=5)
    names = ("model.safetensors", "model.toml", HISTORY)
    assert all((whole / n).read_bytes() == (parts / n).read_bytes() for n in names)


def test_the_history_has_what_each_epoch_gave(tmp_path: Path) -> None:
    told: list[EpochReport] = []
    recipe = short_recipe(3)
    trained = train(recipe, RECORDINGS, HELD_OUT, tmp_path, seed=2, on_epoch=told.append)
    epochs = read_history(tmp_path / HISTORY)
    assert [(e.epoch, e.loss) for e in epochs] == [(r.epoch, r.loss) for r in told]
    (sequence,) = prepare(trained.network, HELD_OUT)
    (scores,) = float_scores(trained.network, [sequence])
    judged = evaluate_scores([sequence], [scores], trained.network.classes, rare=("F",))
    last = epochs[-1].metrics
    assert (last["accuracy"], last["main_f1"]) == (judged.accuracy, judged.main_f1)
    labels, plan = torch.from_numpy(sequence.labels), recipe.training
    learned = torch.from_numpy(np.concatenate([r.labels for r in RECORDINGS])).long()
    loss = make_loss(learned, plan, trained.network.classes)
    wanted = float(loss(torch.from_numpy(scores).float()[None], labels[None]))
    assert last["validation_loss"] == pytest.approx(wanted, rel=0.02)  # of decided beats alone
    assert epochs[0].learning_rate > epochs[-1].learning_rate < plan.learning_rate / 1000


def choosing(recipe: Recipe, best_by: str, patience: int = 0) -> Recipe:
    plan = replace(recipe.training, best_by=best_by, patience=patience, average_decay=0.9)
    return replace(recipe, training=plan)


def test_the_best_epoch_is_kept_and_told(tmp_path: Path) -> None:
    """Seed and figure are such that the best epoch is not the last."""
    recipe = choosing(short_recipe(4), "validation_loss")
    trained = train(recipe, RECORDINGS, HELD_OUT, tmp_path / "best", seed=2)
    epochs = read_history(tmp_path / "best" / HISTORY)
    losses = [e.metrics["validation_loss"] for e in epochs]
    best = epochs[int(np.argmin(losses))]
    assert [e.epoch for e in epochs if e.is_kept] == [best.epoch]
    result = load_trained(tmp_path / "best").card.result
    wanted = {"epoch": best.epoch, "epochs": 4, "chosen_by": "validation_loss", "loss": best.loss}
    assert result == {**wanted, "held_out": best.metrics}
    (sequence,) = prepare(trained.network, HELD_OUT)
    (scores,) = float_scores(trained.network, [sequence])
    judged = evaluate_scores([sequence], [scores], trained.network.classes, rare=("F",))
    assert judged.main_f1 == best.metrics["main_f1"]


def test_training_ends_when_nothing_gets_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, and interrupted after each epoch: the same files."""
    figures = iter([0.5, 0.7, 0.6, 0.7, 0.9] * 2)

    def judge(run: loop._Run, _held_out: object) -> object:
        return Evaluation(1, 0, 0, value := next(figures), (), (), {}, (), (), (), {}, ()), {
            "main_f1": value
        }

    monkeypatch.setattr(loop._Run, "judge", judge)
    recipe = choosing(short_recipe(9), "main", patience=2)
    train(recipe, RECORDINGS, HELD_OUT, tmp_path / "whole", seed=2)
    epochs = read_history(tmp_path / "whole" / HISTORY)
    assert [(e.epoch, e.is_kept) for e in epochs] == [(1, False), (2, True), (3, False), (4, False)]
    next(figures)
    resumed: list[int] = []

    def stop(_report: EpochReport) -> None:
        raise KeyboardInterrupt

    for _ in epochs:
        with pytest.raises(KeyboardInterrupt):
            train(recipe, RECORDINGS, HELD_OUT, tmp_path / "parts", seed=2, on_epoch=stop,
                  on_resume=resumed.append)  # fmt: skip
    train(recipe, RECORDINGS, HELD_OUT, tmp_path / "parts", seed=2, on_resume=resumed.append)
    assert resumed == [1, 2, 3, 4]
    for name in ("model.safetensors", "model.toml", HISTORY):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_an_epoch_cannot_be_chosen_by_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recordings are held out to choose an epoch by"):
        train(choosing(short_recipe(1), "main"), RECORDINGS, [], tmp_path, seed=2)
    with pytest.raises(UsageError, match=r"must be main or a figure of history.csv: validation_"):
        train(choosing(short_recipe(1), "mae"), RECORDINGS, HELD_OUT, tmp_path, seed=2)
    with pytest.raises(UsageError, match='say by which figure, best_by = "main"'):
        load_recipe("ecg-beats-demo", ["training.patience=2"])
    assert adjusted("ecg-beats-demo", patience=3).training.best_by == "main"
    assert adjusted("ecg-beats-demo").training.best_by == ""


@pytest.mark.parametrize(
    ("name", "value", "than", "better"),
    [("main_f1", 0.6, 0.5, True), ("validation_loss", 0.6, 0.5, False), ("mae", 1, 2, True),
     ("rmse fast", 1, 2, True), ("macro_auroc", 0.5, 0.5, False), ("r2", 0.9, 0.8, True)],
)  # fmt: skip
def test_of_errors_less_is_better(name: str, value: float, than: float, better: bool) -> None:
    assert is_better(name, value, than) is better


def test_a_history_without_recordings_held_out_has_no_figures(tmp_path: Path) -> None:
    train(short_recipe(1), RECORDINGS, [], tmp_path, seed=2)
    assert (tmp_path / HISTORY).read_text().startswith("epoch,loss,learning_rate\n1,")
    (tmp_path / HISTORY).write_text("epoch,loss,learning_rate\n1,nan,0.1\n")
    with pytest.raises(DataError, match=r"history.csv is damaged .*loss is no finite number"):
        read_history(tmp_path / HISTORY)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    def stop(_report: EpochReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(short_recipe(2), RECORDINGS, [], tmp_path, seed=5, on_epoch=stop)
    with pytest.raises(DataError, match="another training"):
        train(short_recipe(2), RECORDINGS, [], tmp_path, seed=6)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match="damaged"):
        train(short_recipe(2), RECORDINGS, [], tmp_path, seed=5)


def test_the_number_of_threads_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, found = short_recipe(1), []
    recipe = replace(recipe, training=replace(recipe.training, batch_size=24))  # two blocks

    def measured(run: Callable[[], object], _most: int) -> int:
        run()
        return len(found) + 1

    for name in ("one", "two"):
        monkeypatch.setattr("lnn_edge.train.loop.fastest_threads", measured)
        train(recipe, RECORDINGS, [], tmp_path / name, seed=5)
        found.append((tmp_path / name / "model.safetensors").read_bytes())
    monkeypatch.setattr("lnn_edge.train.loop.fastest_threads", lambda _run, _most: 1)
    train(recipe, RECORDINGS, [], tmp_path / "unmeasured", seed=5)
    found.append((tmp_path / "unmeasured/model.safetensors").read_bytes())
    assert found[0] == found[1] == found[2]


def test_training_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train(short_recipe(1), RECORDINGS, [], tmp_path, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    train(short_recipe(1), RECORDINGS, [], tmp_path, seed=0)
    weights = tmp_path / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-5])
    with pytest.raises(DataError, match="damaged"):
        load_trained(tmp_path)
    weights.unlink()
    with pytest.raises(DataError, match="lnn-edge train"):
        load_trained(tmp_path)
    weights.write_bytes(good)
    card = tmp_path / "model.toml"
    card.write_text(card.read_text().replace("format = 2", "format = 9"))
    with pytest.raises(DataError, match="format 2, not 9"):
        load_trained(tmp_path)


def test_a_weight_that_is_no_number_is_named(trained: Trained, tmp_path: Path) -> None:
    network = copy.deepcopy(trained.network)
    name, weight = next(iter(network.named_parameters()))
    weight.data.view(-1)[0] = float("nan")
    save_trained(tmp_path, network, trained.card)
    with pytest.raises(DataError, match=rf"model.safetensors: {re.escape(name)} holds 1 NaN"):
        load_trained(tmp_path)


def test_no_or_short_recordings_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with pytest.raises(DataError, match="no recordings"):
        train(short_recipe(1), [], [], folder, seed=0)
    with pytest.raises(DataError, match="sequence_length"):
        train(short_recipe(1), [invented("s", 20, 1)], [], folder, seed=0)
    assert not folder.exists()


@pytest.mark.parametrize("name", builtin_recipes())
def test_built_in_recipes_load(name: str) -> None:
    assert load_recipe(name).training.epochs > 0


def test_wrong_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ecg-beats-cfc"):
        load_recipe("ecg-beat-cfc")
    path = tmp_path / "mine.toml"
    path.write_text('name = "x"\nepochs = 3\n')
    with pytest.raises(UsageError, match="unknown key 'epochs'"):
        load_recipe(str(path))
    path.write_text("name = \n")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(str(path))

"""Another data set in every batch: its sequences, its scores moved, its people kept apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.wfdb_writer import WfdbRecord, write_record
from lnn_edge.errors import UsageError
from lnn_edge.sweep.in_order import run_in_order
from lnn_edge.sweep.plan import Asked as AskedSweep
from lnn_edge.sweep.run import run_sweep
from lnn_edge.sweep.trial import Recordings
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.learned import learned_by_folder, overlap
from lnn_edge.tasks.own_data import Source
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.batches import Examples, make_examples
from lnn_edge.train.beside import Beside
from lnn_edge.train.loop import train
from lnn_edge.train.mixture import Mixture, make_mixture
from lnn_edge.train.own import Asked
from lnn_edge.train.plan import plan_training
from lnn_edge.train.recipe import Recipe, load_recipe
from tests.support.recordings import invented

DEMO = load_recipe("ecg-beats-demo")
LENGTH = DEMO.training.sequence_length
OWN = [invented("a", 150, 1), invented("b", 150, 2)]
OTHERS = [invented("c", 150, 3), invented("d", 150, 4)]


def recipe_with(beside: Beside, **training: object) -> Recipe:
    plan = replace(DEMO.training, epochs=1, batch_size=4, **training)  # type: ignore[arg-type]
    return replace(DEMO, training=plan, beside=beside)


def mixture_of(recipe: Recipe, folder: Path, others: list[Labelled] = OTHERS) -> Mixture:
    network = make_network(recipe.network, recipe.model)
    own = make_examples(network, OWN, recipe, folder)
    return make_mixture(network, own, others, recipe, folder)


def labelled(examples: Examples, labels: list[int], shares: list[float]) -> Examples:
    """Return examples whose labels are in given shares, shuffled."""
    size = len(examples.labels)
    drawn = np.random.default_rng(0).choice(labels, size, p=shares)
    return replace(examples, labels=torch.from_numpy(drawn))


def test_sequences_of_the_other_data_set_end_every_batch(tmp_path: Path) -> None:
    mixture = mixture_of(recipe_with(Beside("svdb", sequences=3, as_frequent=False)), tmp_path)
    assert mixture.beside is not None
    mixture = replace(
        mixture,
        own=labelled(mixture.own, [0], [1.0]),
        beside=labelled(mixture.beside, [2], [1.0]),
    )
    inputs, labels = mixture.batch()
    assert labels[:4].eq(0).all()
    assert labels[4:].eq(2).all()
    assert {name: len(x) for name, x in inputs.items()} == dict.fromkeys(inputs, 7)
    assert len(labels) == 7


def test_nothing_beside_changes_no_batch(tmp_path: Path) -> None:
    mixture = mixture_of(recipe_with(Beside()), tmp_path, [])
    torch.manual_seed(3)
    inputs, labels = mixture.batch()
    torch.manual_seed(3)
    wanted, told = mixture.own.batch(4, LENGTH)
    assert labels.equal(told)
    assert all(x.equal(wanted[name]) for name, x in inputs.items())


def test_scores_of_the_other_data_set_move_by_the_logarithm_of_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that says the shares of its own data set is right about those beside, moved."""
    recipe = recipe_with(Beside("svdb", sequences=3), merge={"F": "N"})
    network = make_network(recipe.network, recipe.model)
    shares, others = [0.85, 0.05, 0.1], [0.4, 0.27, 0.09, 0.14, 0.1]  # F, and no label, beside
    own = labelled(make_examples(network, OWN, recipe, tmp_path), [0, 1, 2], shares)
    beside = make_examples(network, OTHERS, recipe, tmp_path)
    beside = labelled(beside, [0, 1, 2, 3, -1], others)
    monkeypatch.setattr("lnn_edge.train.mixture.make_examples", lambda *_: beside)
    mixture = make_mixture(network, own, OTHERS, recipe, tmp_path)
    scores = torch.tensor([*shares, 1e-4]).log().expand(8, 5, 4)
    moved = mixture.moved(scores)
    assert moved[:4].equal(scores[:4])
    assert moved[7:].equal(scores[7:])  # copies
    assert moved[..., 3].equal(scores[..., 3])  # counts as N: nobody says it
    said = moved[4:7, :, :3].softmax(-1)
    assert said[0, 0].tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.06)
    unmoved = replace(recipe, beside=Beside("svdb", sequences=3, as_frequent=False))
    assert make_mixture(network, own, OTHERS, unmoved, tmp_path).moved(scores) is scores


def test_scores_move_while_training(tmp_path: Path) -> None:
    hashes = {
        train(
            recipe_with(Beside("svdb", sequences=2, as_frequent=moves)),
            OWN,
            (),
            tmp_path / str(moves),
            seed=0,
            beside=OTHERS,
        ).card.weights_sha256
        for moves in (False, True)
    }
    assert len(hashes) == 2


def test_the_card_keeps_who_was_beside(tmp_path: Path) -> None:
    recipe = recipe_with(Beside("svdb", lead="ECG1", sequences=2))
    trained = train(recipe, OWN, (), tmp_path / "run", seed=0, beside=OTHERS)
    assert trained.card.training_records == ("a", "b")
    assert trained.card.beside_records == trained.card.beside_patients == ("c", "d")
    learned = learned_by_folder(tmp_path / "run")
    assert overlap(learned, "svdb", OTHERS).records == ("c", "d")
    assert overlap(learned, "synthetic", OWN).records == ("a", "b")
    assert overlap(learned, "svdb", OWN).records == ()
    assert overlap(learned, str(tmp_path), [*OWN, *OTHERS]).records == ("a", "b", "c", "d")
    alone = train(recipe_with(Beside()), OWN, (), tmp_path / "alone", seed=0)
    assert alone.card.beside_records == ()
    assert alone.card.weights_sha256 != trained.card.weights_sha256


def write_set(folder: Path, names: tuple[str, ...], leads: tuple[str, str], seed: int) -> None:
    for i, name in enumerate(names):
        made = invented(name, 60, seed + i).record
        places = np.array([m.sample for m in made.marks])
        symbols = tuple(m.symbol for m in made.marks)
        write_record(
            folder,
            WfdbRecord(
                name, made.samples, 360.0, leads, 200.0, 1024, places, symbols, ("",) * len(symbols)
            ),
        )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_set(folder / "mitdb", ("209", "201", "207", "220"), ("MLII", "V1"), 10)
    write_set(folder / "svdb", ("800", "801", "802", "803"), ("ECG1", "ECG2"), 20)
    return folder


def test_a_fold_holds_out_people_of_both(data_dir: Path) -> None:
    recipe = replace(DEMO, dataset="mitdb", beside=Beside("svdb", "ECG1"))
    plan = plan_training(recipe, None, Asked(), data_dir=str(data_dir), fold=1)
    assert [r.name for r in plan.held_out] == ["201"]
    assert [r.name for r in plan.held_out_beside] == ["801"]
    assert {r.name for r in plan.training} == {"209", "207", "220"}
    assert {r.name for r in plan.beside} == {"800", "802", "803"}
    whole = plan_training(recipe, None, Asked(), data_dir=str(data_dir))
    assert (len(whole.training), len(whole.beside)) == (4, 4)
    assert not (*whole.held_out, *whole.held_out_beside)


def test_a_sweep_judges_both(data_dir: Path, tmp_path: Path) -> None:
    values = tomli_w.dumps(
        {
            "name": "both",
            "network": "ecg-beats-cfc",
            "dataset": "mitdb",
            "model": {"filters": [2, 2, 2], "hidden_size": 2},
            "training": {"epochs": 1, "batch_size": 2, "sequence_length": 16},
            "beside": {"dataset": "svdb", "lead": "ECG1", "sequences": 2},
        }
    )
    (tmp_path / "both.toml").write_text(values)
    given = Recordings(data_dir=str(data_dir))
    asked = AskedSweep(str(tmp_path / "both.toml"), given, ('beside.dataset="",svdb',), folds=2)
    found = run_sweep(asked, tmp_path / "sweep", run_in_order)
    alone, both = (s.seeds[0].figures for s in found.settings)
    assert set(alone) == {"float", "integer"}
    names = {form: {r.name for r in judged.records} for form, judged in both.items()}
    assert names["float"] == names["integer"] == {"209", "201"}
    assert names["float beside"] == names["integer beside"] == {"800", "801"}
    table = (tmp_path / "sweep/results.csv").read_text().splitlines()[0]
    assert "integer beside S f1" in table
    best = load_recipe(str(tmp_path / "sweep/best.toml"))
    assert best == found.best.planned.recipe


def test_what_cannot_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="beside: sequences must be 1 to 65536, not 0"):
        load_recipe(_file(tmp_path, {"dataset": "svdb", "sequences": 0}))
    with pytest.raises(UsageError, match="beside: unknown key 'share'; known are dataset"):
        load_recipe(_file(tmp_path, {"dataset": "svdb", "share": 0.5}))
    recipe = replace(DEMO, beside=Beside("svdb"))
    with pytest.raises(UsageError, match=r"own recordings .*--set beside.dataset="):
        plan_training(recipe, Source(tmp_path, Hints()), Asked())
    mixture = mixture_of(recipe_with(Beside()), tmp_path, [])
    network = make_network(DEMO.network, DEMO.model)
    values = replace(mixture.own, labels=mixture.own.labels.double()[:, None])
    with pytest.raises(UsageError, match=r"\[beside\] needs a task with one class a decision"):
        make_mixture(network, values, OTHERS, recipe, tmp_path)


def _file(folder: Path, beside: dict[str, object]) -> str:
    path = folder / "mine.toml"
    values = {"name": "mine", "network": "ecg-beats-cfc", "dataset": "mitdb", "beside": beside}
    path.write_text(tomli_w.dumps(values))
    return str(path)

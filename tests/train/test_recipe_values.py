"""Recipes of three lines, and settings of a command in place of what a recipe says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lnn_edge.errors import UsageError
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.recipe import load_recipe


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("network", ["ecg-beats-cfc", "har-cfc", "ccfc", "cltc-stream", "cnn12"])
def test_three_lines_are_a_recipe(network: str, tmp_path: Path) -> None:
    text = f'name = "mine"\nnetwork = "{network}"\ndataset = "walks"\n'
    mine, base = load_recipe(written(tmp_path / "m.toml", text)), load_recipe(network)
    plan = replace(base.training, merge={}, class_weights={})  # of the classes of its data
    assert mine == replace(base, name="mine", dataset="walks", training=plan, summary="")
    make_network(mine.network, mine.model)


def test_what_is_said_is_kept_and_the_rest_is_filled_in(tmp_path: Path) -> None:
    text = (
        'name = "mine"\nnetwork = "ecg-beats-cfc"\ndataset = "mitdb"\n'
        "[training]\nepochs = 3\n[model]\nhidden_size = 5\n"
    )
    mine, base = load_recipe(written(tmp_path / "m.toml", text)), load_recipe("ecg-beats-cfc")
    assert mine.training == replace(base.training, epochs=3)
    assert mine.training.merge == {"F": "N"}
    assert mine.model == {**base.model, "hidden_size": 5}
    assert mine.augmentation == base.augmentation


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        (["epochs=3"], {"training.epochs": 3}),
        (["training.learning_rate=1e-4"], {"training.learning_rate": 1e-4}),
        (["filters=[2, 3, 4]"], {"model.filters": [2, 3, 4]}),
        (["name=mine", "dataset=my/records"], {"name": "mine", "dataset": "my/records"}),
        (["augmentation.noise = 0", "shuffle_dt=true"],
         {"augmentation.noise": 0.0, "augmentation.shuffle_dt": True}),
        (["model.variant=lstm"], {"model.variant": "lstm"}),
    ],
)  # fmt: skip
def test_settings_take_the_place_of_what_a_recipe_says(
    settings: list[str], changed: dict[str, object]
) -> None:
    mine = load_recipe("ecg-beats-cfc", settings)
    for key, value in changed.items():
        table, _, name = key.rpartition(".")
        owner = getattr(mine, table) if table else mine
        assert (owner[name] if isinstance(owner, dict) else getattr(owner, name)) == value
    assert load_recipe("ecg-beats-cfc", ()) == load_recipe("ecg-beats-cfc")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epochs", "--set epochs must be key=value"),
        ("=3", "must be key=value"),
        ("epoch=3", "no table has it; name its table, as model.epoch"),
        ("trainnig.epochs=3", "tables are model, training, augmentation"),
        ("training.epoch=3", "training: unknown key 'epoch'"),
        ("training=3", "no table has it"),
        ("epochs=many", "epochs must be int, not 'many'"),
        ("epochs=0", "epochs must be 1 to 1048576, not 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_said(setting: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_recipe("ecg-beats-cfc", [setting])


def test_a_key_of_two_tables_must_name_one() -> None:
    with pytest.raises(UsageError, match="several tables have it; name its table, as"):
        load_recipe("har-cfc", ["model.noise=1", "noise=2"])

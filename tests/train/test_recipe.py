"""Recipes are read strictly; the built-in ones define a network and a training."""

from __future__ import annotations

import tomllib
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from lnn_edge.data.registry import DATASETS
from lnn_edge.errors import UsageError
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.recipe import FOLDER, builtin_recipes, load_recipe, recipe_of


def values_of(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text())


@pytest.fixture
def values() -> dict[str, Any]:
    return values_of("ecg-beats-demo")


@pytest.mark.parametrize("name", builtin_recipes())
def test_a_built_in_recipe_builds_its_network_and_names_a_known_data_set(name: str) -> None:
    recipe = load_recipe(name)
    network = make_network(recipe.network, recipe.model)
    built = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(network.config).items()}
    assert built.items() >= values_of(name)["model"].items()
    assert recipe.dataset in (*DATASETS, "")  # "": own recordings


@pytest.mark.parametrize("name", builtin_recipes())
def test_a_recipe_says_what_its_file_says(name: str) -> None:
    recipe, values = load_recipe(name), values_of(name)
    for table in ("training", "augmentation"):
        assert vars(getattr(recipe, table)).items() >= values[table].items()
    assert recipe.model == values["model"]
    assert (recipe.name, recipe.network) == (values["name"], values["network"])


def test_a_file_of_ones_own_is_read_by_path(values: dict[str, Any], tmp_path: Path) -> None:
    values["training"]["epochs"] = 7
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps(values))
    assert load_recipe(str(path)).training.epochs == 7
    path.write_text(tomli_w.dumps({**values, "lead": "II"}), encoding="utf-8-sig")  # with a mark
    assert load_recipe(str(path)).lead == "II"
    with pytest.raises(FrozenInstanceError):
        load_recipe(str(path)).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("table", "key", "value", "sentence"),
    [
        (None, "trainnig", {}, "mine: unknown key 'trainnig'; known are name, network, dataset"),
        (None, "augmentation", 3, "mine: augmentation must be a table, not 3"),
        ("training", "momentum", 0.9, "mine: training: unknown key 'momentum'; known are epochs"),
        ("training", "epochs", 1.5, "mine: training: epochs must be int, not 1.5"),
        ("training", "merge", 1, "mine: training: merge must be dict, not 1"),
        ("augmentation", "noise", "0.1", "mine: augmentation: noise must be float, not '0.1'"),
    ],
)
def test_a_wrong_key_or_type_is_named(
    table: str | None, key: str, value: object, sentence: str, values: dict[str, Any]
) -> None:
    (values if table is None else values[table])[key] = value
    with pytest.raises(UsageError) as caught:
        recipe_of(values, "mine")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("table", ["model", "training", "augmentation"])
def test_no_table_may_lack(table: str, values: dict[str, Any]) -> None:
    del values[table]
    with pytest.raises(UsageError, match=f"key '{table}' is missing"):
        recipe_of(values, "mine")


def test_every_setting_must_be_given(values: dict[str, Any]) -> None:
    for table in ("training", "augmentation"):
        off = {"merge", "class_weights", "best_by", "patience"}  # where nothing is said
        for key in values[table].keys() - off:
            less = {**values, table: {k: v for k, v in values[table].items() if k != key}}
            with pytest.raises(UsageError, match=f"mine: {table}: key '{key}' is missing"):
                recipe_of(less, "mine")


def test_a_wrong_model_table_is_named_when_the_network_is_built(values: dict[str, Any]) -> None:
    values["model"]["layers"] = 3
    recipe = recipe_of(values, "mine")
    with pytest.raises(UsageError, match=r"\[model\] of ecg-beats-cfc: unknown key 'layers'"):
        make_network(recipe.network, recipe.model)
    with pytest.raises(UsageError, match=r"no network 'mlp'; known are ccfc, .*ecg-beats-cfc"):
        make_network("mlp", recipe.model)


@pytest.mark.parametrize(
    ("typed", "meant"), [("ecg-beats-dmo", "ecg-beats-demo"), ("x", "rhythm-cfc")]
)
def test_an_unknown_name_is_answered_with_the_known_ones(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"no recipe '{typed}'; built in: {meant}.*\.toml file"):
        load_recipe(typed)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(UsageError, match=r"no recipe '.*none.toml'"):
        load_recipe(str(missing))
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"folder.toml cannot be read .*Is a directory"):
        load_recipe(str(folder))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"name = '\xff\xfe'")
    with pytest.raises(UsageError, match=r"binary.toml is not valid TOML"):
        load_recipe(str(binary))

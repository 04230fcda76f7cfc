"""`lnn-edge models` and `recipes`: what there is, from cards and recipes and nowhere else."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from lnn_edge.device.board import list_boards
from lnn_edge.errors import DataError
from lnn_edge.files import shipped
from lnn_edge.files.model_facts import FACTS, read_facts
from lnn_edge.files.shipped import shipped_folder, shipped_names
from lnn_edge.graph.file import graph_sha256, load_graph
from lnn_edge.train.recipe import builtin_recipes, load_recipe
from tests.cli.command import call, call_json, refusal


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_model_has_facts_of_the_graph_that_is_shipped(name: str) -> None:
    facts = read_facts(shipped_folder(name))
    graph = load_graph(shipped.graph_path(Path(name)))
    assert facts.accuracy
    assert facts.measured is not None
    assert facts.measured.graph_sha256 == graph_sha256(graph)
    known = {b.name: b for b in list_boards()}
    for fit in facts.measured.boards:
        memory = known[fit.board].memory
        assert fit.flash_bytes <= sum(r.size for r in memory if r.kind == "flash")
        assert fit.ram_bytes + fit.stack_bytes <= sum(r.size for r in memory if r.kind == "ram")


@pytest.mark.parametrize("name", shipped_names())
def test_the_card_says_the_same_accuracy(name: str) -> None:
    card = (shipped_folder(name) / "CARD.md").read_text()
    for figure in read_facts(shipped_folder(name)).accuracy:
        assert f"{figure.value:.3f}" in card
        if figure.low is not None:
            assert f"[{figure.low:.2f}, {figure.high:.2f}]" in card


def test_models_are_listed_with_what_they_take() -> None:
    said = call("models").out
    listed = call_json("models")
    assert [m["name"] for m in listed] == shipped_names()
    for model in listed:
        assert f"{model['name']}: {model['summary']}" in said
        assert f"{model['measured']['boards'][0]['flash_bytes']:,} bytes of flash" in said
        assert model["licence"] in said
    (one,) = call_json("models", "ccfc")
    assert one["fits"] == [b["board"] for b in one["measured"]["boards"]]
    described = call("models", "ccfc").out
    assert f"{one['measured']['instructions_per_decision']:,} alone" in described
    assert "there is no model 'nine'; take one of ccfc" in refusal(call("models", "nine"))


def test_figures_are_those_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(shipped_folder("ccfc"), tmp_path / "ccfc")
    path = tmp_path / "ccfc" / FACTS
    path.write_text(path.read_text().replace("value = 0.841", "value = 0.123"))
    monkeypatch.setattr("lnn_edge.files.resources.path", lambda kind: tmp_path)
    assert "mean AUROC of four findings 0.123" in call("models").out
    path.write_text("accuracy = 3")
    with pytest.raises(DataError, match=r"facts.toml"):
        read_facts(tmp_path / "ccfc")
    path.unlink()
    assert "facts.toml cannot be read" in refusal(call("models"))


def test_recipes_are_listed_with_what_they_are_for() -> None:
    said = call("recipes").out
    listed = call_json("recipes")
    assert [r["recipe"] for r in listed] == builtin_recipes()
    for recipe in listed:
        assert recipe["summary"]
        assert f"{recipe['recipe']}: {recipe['summary']}" in said
    assert "learns from uci_har: HAPT" in said
    assert [n for n in builtin_recipes() if f"shipped trained: lnn-edge models {n}\n" in said] == (
        shipped_names()
    )
    assert refusal(call("recipes", "nine")).startswith("no recipe 'nine'; built in: ")


def test_a_printed_recipe_is_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(call("recipes", "har-demo").out)
    assert load_recipe(str(path)) == load_recipe("har-demo")
    assert tomllib.loads(path.read_text())["training"]["epochs"] == 50


def test_tasks_are_listed_with_what_there_is_for_them() -> None:
    said = call("tasks").out
    listed = {t["name"]: t for t in call_json("tasks")}
    assert {"beats", "activity", "findings", "rhythm"} <= set(listed)
    assert listed["beats"]["models"] == ["ecg-beats-16k-svdb", "ecg-beats-cfc"]
    assert listed["findings"]["models"] == ["ccfc", "cltc"]
    assert listed["rhythm"]["models"] == ["rhythm-beats-cfc"]
    for task in listed.values():
        assert f"{task['name']}: {task['summary']}" in said
        assert all(load_recipe(n).network in task["networks"] for n in task["recipes"])
    assert {n for t in listed.values() for n in t["recipes"]} == set(builtin_recipes())
    assert "there is no task 'nine'; take one of " in refusal(call("tasks", "nine"))


def test_a_printed_task_is_a_task_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(call("tasks", "rhythm").out)
    assert call("tasks", path).out == path.read_text()

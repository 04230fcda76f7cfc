"""Tasks by name: built in, of another package, of a TOML file; and as documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.shipped import graph_path, shipped_names
from lnn_edge.graph.contract import contract_of
from lnn_edge.graph.file import load_graph
from lnn_edge.tasks.registry import (
    builtin_tasks,
    facts_of,
    find_network,
    find_task,
    make_network,
    task_of,
    task_of_model,
)
from lnn_edge.tasks.task import Task
from lnn_edge.tasks.task_file import document_of, task_of_document
from lnn_edge.train.recipe import builtin_recipes, load_recipe, task_of_recipe
from tests.support import plugin

GESTURE = {
    "format": 1,
    "frame": {
        "rate_hz": 100,
        "channels": [{"name": c, "unit": "g", "steps_per_unit": 8192} for c in "xyz"],
    },
    "decide": {"on": "frames", "window": 100, "hop": 50},
    "labels": {"kind": "sample", "classes": ["still", "wave"], "map": {"w": "wave"}},
}


@pytest.mark.parametrize("name", sorted(builtin_tasks()))
def test_a_task_is_the_same_after_its_document_and_its_facts(name: str) -> None:
    task = find_task(name)
    again = task_of_document(document_of(task), "here")
    assert document_of(again) == document_of(task)
    assert task_of(facts_of(task)) is task
    assert "task_file" not in facts_of(task)


@pytest.mark.parametrize("name", sorted(builtin_tasks()))
def test_generated_code_says_of_a_task_what_it_is(name: str) -> None:
    task = find_task(name)
    for facts in (facts_of(task), facts_of(replace(task, name="mine"))):
        contract = contract_of(facts)
        assert (contract.is_multi_label, contract.event) == (task.is_multi_label, task.words.event)


def test_facts_of_a_changed_task_are_complete() -> None:
    own = find_task("beats").with_channels({"MLII": "I"})
    facts = facts_of(own)
    assert facts["leads"] == ["I", "any"]
    assert facts["adc_gain"] == 200.0
    assert task_of(facts) == task_of_document(document_of(own), "here")


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_graphs_say_their_task(name: str) -> None:
    graph = load_graph(graph_path(Path(name)))
    task = task_of(graph.metadata)
    assert task is not None
    assert graph.classes == task.classes
    facts = {k: v for k, v in facts_of(task).items() if k in graph.metadata}
    assert facts == {k: graph.metadata[k] for k in facts}


def test_a_model_of_another_lead_reads_that_lead() -> None:
    task = task_of_model({"task": "beats", "leads": ["V1", "any"]})
    assert task is not None
    assert task.leads == ("V1", "any")
    assert task_of_model({"task": "of nobody"}) is None
    assert task_of_model({}) is None


def test_every_network_is_of_a_task_and_is_built() -> None:
    for recipe in map(load_recipe, builtin_recipes()):
        task = task_of_recipe(recipe)
        network = make_network(recipe.network, recipe.model)
        assert (network.classes, network.facts) == (task.classes, facts_of(task))


def test_a_task_file_gives_channels_rate_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "gesture.toml"
    path.write_text(tomli_w.dumps(GESTURE))
    task = find_task(str(path))
    assert (task.name, task.leads, task.window) == ("gesture", ("x", "y", "z"), 100)
    network = make_network("har-cfc", {"window": 100, "hop": 50}, task)
    assert network.classes == ("still", "wave")
    frame = network.front.frame
    assert (frame.shape, set(frame.scales)) == ((3,), {1 / 8192})
    assert network.facts["sample_rate_hz"] == 100
    assert task.class_of("w") == task.class_of("wave") == 1
    assert task.class_of("jump") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format is 2 and must be 1"),
        ({"frame": {"rate_hz": 0, "channels": []}}, "rate is 0.0 Hz and must be above 0"),
        ({"frame": {"rate_hz": 1, "channels": [{"name": "x"}]}}, "'steps_per_unit' is missing"),
        ({"decide": {"on": "record"}}, "must be of kind record or multi-label"),
        ({"labels": {"kind": "sample", "classes": ["a"]}}, "at least two"),
        ({"labels": {"kind": "sample", "classes": ["a", "a"]}}, "must differ"),
        ({"labels": {**GESTURE["labels"], "map": {"w": "vawe"}}}, "maps to 'vawe'"),  # type: ignore[dict-item]
        ({"labels": {**GESTURE["labels"], "kind": "number"}}, "kind must be .*, not 'number'"),  # type: ignore[dict-item]
        ({"freme": 1}, "unknown key 'freme'"),
    ],
)
def test_a_wrong_task_file_is_one_sentence(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "gesture.toml"
    path.write_text(tomli_w.dumps({**GESTURE, **change}))
    with pytest.raises(DataError, match=said) as caught:
        find_task(str(path))
    assert "\n" not in str(caught.value)


def test_what_is_no_task_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no task 'sleep'; take one of activity, beats, findings"):
        find_task("sleep")
    with pytest.raises(DataError, match="cannot be read"):
        find_task(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("= 1")
    with pytest.raises(DataError, match="not valid TOML"):
        find_task(str(tmp_path / "bad.toml"))


def test_networks_refuse_tasks_that_they_do_not_fit() -> None:
    activity, beats = find_task("activity"), find_task("beats")
    for name, task in (("ecg-beats-cfc", activity), ("har-cfc", beats), ("ccfc", activity)):
        with pytest.raises(UsageError, match=f"task {task.name} decides on"):
            make_network(name, {}, task)
    shifted = replace(activity, frame=Frame(50.0, (FrameChannel("x", "g", 100.0, 5),)))
    with pytest.raises(UsageError, match="zero of channel x is 5 and must be 0"):
        make_network("har-cfc", {}, shifted)


def test_a_task_of_another_package_is_found_with_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plugin.install(tmp_path / "site")
    monkeypatch.syspath_prepend(plugin.HERE)
    monkeypatch.syspath_prepend(folder.parent)
    task = find_task("gestures")
    assert isinstance(task, Task)
    network, own = find_network("gestures-cfc")
    assert own is task
    assert make_network(network.name, {}).classes == task.classes
    assert task_of(facts_of(task)) == replace(task, networks=(), augmentation=find_augmentation())


def find_augmentation() -> str:
    return task_of_document(GESTURE, "here", "x").augmentation

"""The models that come with the package: whole, named, and what their cards say they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from lnn_edge.errors import UsageError
from lnn_edge.files.shipped import graph_path, shipped_folder, shipped_graph, shipped_names
from lnn_edge.graph.file import graph_sha256, load_graph

TASKS = {
    "ccfc": "findings",
    "cltc": "findings",
    "ecg-beats-16k-svdb": "beats",
    "ecg-beats-cfc": "beats",
    "rhythm-beats-cfc": "rhythm",
}


def test_they_are_all_here() -> None:
    assert shipped_names() == sorted(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_each_has_a_graph_a_recipe_and_a_card(name: str) -> None:
    graph = load_graph(graph_path(Path(name)))
    assert graph.metadata.get("task", "beats") == TASKS[name]
    assert (shipped_folder(name) / "model.toml").is_file()
    card = (shipped_folder(name) / "CARD.md").read_text()
    assert card.startswith(f"# {name}\n")
    for word in ("licence", "trained on", "not for", "lnn-edge train"):
        assert word in card
    if name != "ecg-beats-cfc":
        assert graph_sha256(graph) in card


def test_a_model_is_meant_by_file_folder_name_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert graph_path(None) == shipped_graph()
    assert graph_path(Path("cltc")) == shipped_folder("cltc") / "model.qgraph"
    (tmp_path / "cltc").mkdir()  # a folder of that name is the user's
    assert graph_path(Path("cltc")) == Path("cltc/model.qgraph")
    assert graph_path(Path("my.qgraph")) == Path("my.qgraph")
    with pytest.raises(
        UsageError, match=r"no model 'clct'; give a model.qgraph.* or one of ccfc, c"
    ):
        graph_path(Path("clct"))

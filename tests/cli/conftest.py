"""What the tests of the command line share, each made once and by the command line itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from lnn_edge.graph.file import save_graph
from lnn_edge.train.recipe import FOLDER
from tests.cli.command import call_json
from tests.support.once import once
from tests.support.projects import pretend_build
from tests.support.toy import toy_graph

TINY = {
    "filters = [8, 12, 16]": "filters = [2, 3, 4]",
    "embedding_size = 24": "embedding_size = 4",
    "mixed_size = 32": "mixed_size = 6",
    "hidden_size = 12": "hidden_size = 3",
    "backbone_units = 24": "backbone_units = 4",
    "epochs = 30": "epochs = 1",
    'name = "ecg_beats_demo"': 'name = "tiny"',
}


def write_recipe(path: Path, **changes: str) -> Path:
    """Write the demo recipe in miniature; changes replace the values of keys."""
    text = (FOLDER / "ecg-beats-demo.toml").read_text()
    for old, new in TINY.items():
        assert old in text
        text = text.replace(old, new)
    lines = text.splitlines()
    for key, value in changes.items():
        (index,) = (i for i, line in enumerate(lines) if line.startswith(f"{key} = "))
        lines[index] = f"{key} = {value}"
    path.write_text("\n".join(lines) + "\n")
    return path


def fetch_synthetic(folder: Path) -> Path:
    facts = call_json("data", "fetch", "synthetic", "--data-dir", folder)
    assert facts == {"name": "synthetic", "folder": str(folder / "synthetic")}
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """A folder that holds the synthetic set."""
    return once("data", fetch_synthetic)


@pytest.fixture(scope="session")
def trained(data_dir: Path) -> Path:
    """A model trained for one epoch and quantized; copy it to change it."""

    def train(folder: Path) -> Path:
        recipe = write_recipe(folder / "tiny.toml")
        call_json("train", recipe, "--data-dir", data_dir, "-o", folder / "model")
        call_json("quantize", folder / "model", "--data-dir", data_dir)
        return folder / "model"

    return once("trained", train)


@pytest.fixture(scope="session")
def graph_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy model; copy it to change it."""
    path = tmp_path_factory.mktemp("graph") / "toy.qgraph"
    save_graph(toy_graph(), path)
    return path


@pytest.fixture
def exported(graph_file: Path, tmp_path: Path) -> Path:
    """A project of the toy model that only looks as if it were built."""
    project = tmp_path / "project"
    call_json("export", graph_file, "--board", "stm32f746", "-o", project)
    pretend_build(project)
    return project

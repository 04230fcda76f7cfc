"""Damaged models, graphs, projects and recipes: said in one line, and nothing is written."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from lnn_edge.graph.file import FORMAT, save_graph
from tests.cli.command import call, call_json, refusal, untouched
from tests.cli.conftest import write_recipe
from tests.support.toy import toy_graph


def flip_bit(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut_off(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def rewrite(path: Path, name: str, data: bytes) -> None:
    """Replace one member of a graph file; the rest of the zip is in order."""
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    assert name in members
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in (members | {name: data}).items():
            archive.writestr(each, content)


# --- checkpoints --------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "model")
    return tmp_path / "model"


def damage_checkpoint(folder: Path, damage: str) -> None:
    weights, card = folder / "model.safetensors", folder / "model.toml"
    if damage == "bit flipped":
        flip_bit(weights, weights.stat().st_size // 2)
    elif damage == "truncated":
        cut_off(weights, 5)
    elif damage == "no weights":
        weights.unlink()
    elif damage == "truncated card":
        card.write_text(card.read_text()[:-40])
    else:
        text = card.read_text()
        assert "format = 2" in text
        card.write_text(text.replace("format = 2", "format = 3"))


@pytest.mark.parametrize("command", ["quantize", "evaluate"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("bit flipped", "model.safetensors is damaged or not the one of model.toml; train again"),
        ("truncated", "model.safetensors is damaged or not the one of model.toml; train again"),
        ("no weights", "no trained model (No such file or directory: model.safetensors)"),
        ("truncated card", "model.toml is damaged ("),
        ("newer", "model.toml must have format 2, not 3; train again"),
    ],
)
def test_a_damaged_checkpoint_is_refused(
    command: str, damage: str, said: str, checkpoint: Path, data_dir: Path, tmp_path: Path
) -> None:
    damage_checkpoint(checkpoint, damage)
    with untouched(tmp_path):
        assert said in refusal(call(command, checkpoint, "--data-dir", data_dir))


def test_a_damaged_interrupted_training_is_refused(data_dir: Path, tmp_path: Path) -> None:
    recipe, folder = write_recipe(tmp_path / "tiny.toml"), tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoint.pt").write_bytes(b"PK nonsense")
    with untouched(tmp_path):
        said = refusal(call("train", recipe, "--data-dir", data_dir, "-o", folder))
    assert said.endswith("checkpoint.pt is damaged; delete it to train from the start")


# --- graphs -------------------------------------------------------------------------------------


def damage_graph(path: Path, damage: str) -> None:
    with zipfile.ZipFile(path) as archive:
        text = archive.read("graph.json")
        names = archive.namelist()
        place = archive.getinfo("graph.json").header_offset
    constant = next(n for n in names if n.endswith("weight.npy"))
    if damage == "bit flip":
        flip_bit(path, place + 200)
    elif damage == "truncated":
        cut_off(path, path.stat().st_size // 3)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "wrong checksum":
        with zipfile.ZipFile(path) as archive:
            data = archive.read(constant)
        rewrite(path, constant, data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "newer":
        rewrite(path, "graph.json", json.dumps({**json.loads(text), "format": FORMAT + 1}).encode())
    elif damage == "no format":
        rewrite(path, "graph.json", b"[]")


@pytest.mark.parametrize("command", ["export", "evaluate"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("bit flip", "damaged graph file ("),
        ("truncated", "damaged graph file ("),
        ("empty", "damaged graph file ("),
        ("wrong checksum", "weight.npy); quantize the model again"),
        ("newer", f"graph format {FORMAT + 1}, this lnn-edge reads up to {FORMAT}; upgrade"),
        ("no format", "not a graph file of lnn-edge (no format number)"),
    ],
)
def test_a_damaged_graph_is_refused(
    command: str, damage: str, said: str, graph_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.qgraph"
    shutil.copy(graph_file, path)
    damage_graph(path, damage)
    more = ("--board", "stm32f746", "-o", tmp_path / "p") if command == "export" else ()
    with untouched(tmp_path):
        sentence = refusal(call(command, path, *more))
    assert sentence.startswith(f"{path}: ")
    assert said in sentence


# --- projects -----------------------------------------------------------------------------------

OF_A_PROJECT = ("build", "flash", "report", "verify")


@pytest.mark.parametrize("command", OF_A_PROJECT)
def test_a_folder_that_is_no_export_is_refused(command: str, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("John")
    with untouched(tmp_path):
        said = refusal(call(command, tmp_path))
    assert said == (
        f"{tmp_path} is no exported project (export.json: No such file or directory); "
        "make one with `lnn-edge export`"
    )


@pytest.mark.parametrize("command", OF_A_PROJECT)
def test_a_replaced_graph_is_refused(command: str, exported: Path) -> None:
    save_graph(toy_graph(seed=1), exported / "model.qgraph")
    with untouched(exported):
        said = refusal(call(command, exported))
    assert said.endswith(
        ": model.qgraph is not the graph that was exported; run `lnn-edge export` again"
    )


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_damaged_project_is_refused(text: str, exported: Path) -> None:
    (exported / "export.json").write_text(text, "latin-1")
    said = refusal(call("flash", exported))
    assert "damaged" in said
    assert said.endswith("; run `lnn-edge export` again")


def test_a_project_that_is_not_built_is_not_flashed(exported: Path) -> None:
    shutil.rmtree(exported / "build")
    with untouched(exported):
        said = refusal(call("flash", exported))
    assert said == f"{exported} is not built; run `lnn-edge build {exported}`"


def test_without_a_project_the_only_one_here_is_taken(
    graph_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refusal(call("flash"))
    assert said.startswith("no PROJECT given, and the exported projects here are: none; name one")
    call_json("export", graph_file, "--board", "stm32f746", "-o", "a")
    assert refusal(call("flash")) == "a is not built; run `lnn-edge build a`"
    call_json("export", graph_file, "--board", "stm32f746", "-o", "b")
    assert "projects here are: a, b; name one" in refusal(call("flash"))


def test_a_report_that_cannot_be_written_is_named(exported: Path) -> None:
    for place in (exported / "export.json" / "report.html", exported / "model"):
        with untouched(exported):
            said = refusal(call("report", exported, "-o", place))
        assert said.startswith(f"{place} cannot be written (")
        assert said.endswith("; choose another -o")


# --- recipes ------------------------------------------------------------------------------------


def refuse_recipe(recipe: object, tmp_path: Path, *more: object) -> str:
    """Return why a training is not even begun."""
    with untouched(tmp_path):
        return refusal(call("train", recipe, "-o", tmp_path / "out", *more))


def test_an_unknown_recipe_is_answered_with_the_nearest(tmp_path: Path) -> None:
    said = refuse_recipe("ecg-beat-cfc", tmp_path)
    assert said.startswith("no recipe 'ecg-beat-cfc'; built in: ecg-beats-cfc")


def test_an_unknown_key_of_a_recipe_is_named(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "tiny.toml")
    recipe.write_text(recipe.read_text() + "momentum = 0.9\n")
    said = refuse_recipe(recipe, tmp_path)
    assert said.startswith("tiny.toml: augmentation: unknown key 'momentum'; known are amplitude, ")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("epochs", "1.5", "training: epochs must be int, not 1.5"),
        ("epochs", "0", "training: epochs must be 1 to"),
        ("batch_size", "-2", "training: batch_size must be 1 to"),
        ("burn_in", "40", "burn_in must be less than sequence_length, which is 40, not 40"),
        ("learning_rate", "-1.0", "training: learning_rate must be at least 0, not -1.0"),
        ("learning_rate", "nan", "training: learning_rate must be at least 0, not nan"),
        ("weight_decay", "inf", "training: weight_decay must be at least 0, not inf"),
        ("average_decay", "1.5", "training: average_decay must be 0 to 1, not 1.5"),
        ("drop_second", "2.0", "augmentation: drop_second must be 0 to 1, not 2.0"),
        ("name", '"my model"', "name must be a C identifier"),
        ("name", '"int"', "name must be a C identifier"),
        ("network", '"mlp"', "no network 'mlp'; known are ccfc, ccfc-stream, cltc"),
        ("dataset", '"mitbih"', "there is no data set 'mitbih'; take one of "),
        ("dropout", "1.0", "[model] dropout must be 0 to below 1, not 1.0"),
        ("hidden_size", "0", "[model] every size must be at least 1"),
        ("strides", "[2, 0, 2]", "[model] every size must be at least 1"),
        ("strides", "[2]", "[model] filters, kernel_sizes and strides need one entry per layer"),
        ("kernel_sizes", "[7, 5, 500]", "[model] kernel_size 500 does not fit"),
        ("backbone_units", '"8"', "backbone_units must be int, not '8'"),
    ],
)
def test_a_wrong_value_of_a_recipe_is_named_before_anything_is_done(
    key: str, value: str, said: str, tmp_path: Path, data_dir: Path
) -> None:
    recipe = write_recipe(tmp_path / "tiny.toml", **{key: value})
    assert said in refuse_recipe(recipe, tmp_path, "--data-dir", data_dir)


def test_a_wait_that_the_front_end_cannot_take_is_named(tmp_path: Path, data_dir: Path) -> None:
    recipe = write_recipe(tmp_path / "tiny.toml")
    recipe.write_text(recipe.read_text().replace("[training]", "wait = 999\n[training]"))
    said = refuse_recipe(recipe, tmp_path, "--data-dir", data_dir)
    assert said == "[model] wait must be 0 to 540, not 999"


@pytest.mark.parametrize("device", ["cuda", "abacus"])
def test_a_device_that_is_not_there_is_named(device: str, tmp_path: Path, data_dir: Path) -> None:
    import torch

    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    recipe = write_recipe(tmp_path / "tiny.toml")
    said = refuse_recipe(recipe, tmp_path, "--data-dir", data_dir, "--device", device)
    assert said.startswith(f"device '{device}' cannot be used (")
    assert said.endswith("; take cpu")


def test_a_training_that_diverges_is_no_model(tmp_path: Path, data_dir: Path) -> None:
    recipe = write_recipe(tmp_path / "tiny.toml", learning_rate="1e30")
    said = refusal(call("train", recipe, "--data-dir", data_dir, "-o", tmp_path / "out"))
    assert said.startswith("the training diverged in epoch 1: its loss is nan; lower learning_rate")
    assert not (tmp_path / "out").exists()


def test_a_place_for_the_model_is_looked_for_before_the_training(
    tmp_path: Path, data_dir: Path
) -> None:
    recipe = write_recipe(tmp_path / "tiny.toml")
    with untouched(tmp_path):
        said = refusal(call("train", recipe, "--data-dir", data_dir, "-o", recipe))
    assert said == f"{recipe} is no folder; choose another"

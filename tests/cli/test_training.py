"""`lnn-edge train`, `quantize` and `evaluate`: from recordings to a graph and its figures."""

from __future__ import annotations

import csv
import json
import shutil
import tomllib
from pathlib import Path

import pytest

import lnn_edge as le
from lnn_edge.graph.file import graph_sha256, load_graph
from lnn_edge.tasks.learned import learned_by_folder, learned_by_graph
from tests.cli.command import call, call_json
from tests.cli.conftest import write_recipe

EVALUATION = "model form dataset records n accuracy macro_f1 classes confusion"


def test_a_training_says_what_it_did(data_dir: Path, tmp_path: Path) -> None:
    recipe, folder = write_recipe(tmp_path / "tiny.toml"), tmp_path / "new" / "model"
    data = ("--data-dir", data_dir)
    facts = call_json("train", recipe, *data, "-o", folder, "--fold", 0, "--epochs", 2)
    assert facts.keys() >= {"model", "records", "epochs"}
    assert (facts["model"], facts["records"], len(facts["epochs"])) == (str(folder), 7, 2)
    assert all(e["loss"] > 0 and 0 <= e["main_f1"] <= 1 for e in facts["epochs"])
    files = ["history.csv", "model.safetensors", "model.toml"]
    assert sorted(p.name for p in folder.iterdir()) == files
    history = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    told = [{k: float(row[k]) for k in ("loss", "main_f1")} for row in history]
    assert told == facts["epochs"]
    card = tomllib.loads((folder / "model.toml").read_text())
    assert card["training_patients"] == card["training_records"]  # 12 invented patients
    assert (
        'validation_records = [\n    "s08",\n    "s09",\n]' in (folder / "model.toml").read_text()
    )


def test_the_same_seed_gives_the_same_model(trained: Path, data_dir: Path, tmp_path: Path) -> None:
    recipe, again = write_recipe(tmp_path / "tiny.toml"), tmp_path / "again"
    outcome = call("train", recipe, "--data-dir", data_dir, "-o", again)
    assert (outcome.code, outcome.err) == (0, "")
    assert "trained on 9 recordings" in outcome.out
    assert "next: lnn-edge quantize" in outcome.out
    weights = "model.safetensors"
    assert (again / weights).read_bytes() == (trained / weights).read_bytes()
    other = tmp_path / "other"
    call_json("train", recipe, "--data-dir", data_dir, "-o", other, "--seed", 1)
    assert (other / weights).read_bytes() != (trained / weights).read_bytes()


def test_the_library_trains_as_the_command_does(
    trained: Path, data_dir: Path, tmp_path: Path
) -> None:
    recipe = str(write_recipe(tmp_path / "tiny.toml"))
    folder = le.train(recipe, to=tmp_path / "again", data_dir=str(data_dir))
    for name in ("model.safetensors", "model.toml"):
        assert (folder / name).read_bytes() == (trained / name).read_bytes()


def test_a_training_without_a_terminal_tells_where_it_is(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = write_recipe(tmp_path / "tiny.toml"), tmp_path / "model"
    command = ("train", recipe, "--data-dir", data_dir, "-o", folder, "--epochs", 2)
    merged = ("--set", 'training.merge={ F = "N" }')

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lnn_edge.train.loop.EpochReport", stop)  # after the first checkpoint
        assert call(*command, *merged).code != 0
    monkeypatch.setattr("lnn_edge.cli.train.LINE_S", 0)
    outcome = call(*command, *merged)
    resumed, line = outcome.err.splitlines()
    assert resumed == "resumed at epoch 2 of 2"
    assert line.startswith("epoch 2 of 2: loss ")
    assert "no label taught the class F; its scores mean nothing" in outcome.out
    assert call_json(*command, *merged, "--force")["unlearned"] == ["F"]


def test_a_quantized_model_is_a_graph(trained: Path, data_dir: Path) -> None:
    facts = call_json("quantize", trained, "--data-dir", data_dir)
    graph = load_graph(trained / "model.qgraph")
    expected = {
        "graph": str(trained / "model.qgraph"),
        "model_sha256": graph_sha256(graph),
        "operators": len(graph.deciding_stage.ops),
        "macs": sum(op.macs for op in graph.deciding_stage.ops),
    }
    assert facts.items() >= expected.items()
    assert facts.keys() - expected.keys() == {"float_error", "resolution", "warnings"}
    assert graph.metadata["calibration_records"] == [f"s{i:02d}" for i in range(1, 10)]


def test_an_export_takes_card_and_history_of_its_weights_along(
    trained: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(trained, tmp_path / "model")
    board, history = ("--board", "stm32f746"), model / "history.csv"
    call_json("export", model / "model.qgraph", *board, "-o", tmp_path / "firmware")
    assert (tmp_path / "firmware/float/history.csv").read_bytes() == history.read_bytes()
    card = model / "model.toml"
    known = learned_by_graph(load_graph(model / "model.qgraph"), tmp_path / "firmware/float")
    assert known is not None
    assert known.is_whole
    assert known == learned_by_folder(model)
    card.write_text(card.read_text().replace('weights_sha256 = "', 'weights_sha256 = "0'))
    call_json("export", model / "model.qgraph", *board, "-o", tmp_path / "other")
    assert not {"history.csv", "model.toml"} & {
        p.name for p in (tmp_path / "other/float").glob("*")
    }


@pytest.mark.parametrize("form", ["float", "integer"])
def test_an_evaluation_says_how_good_the_model_is(form: str, trained: Path, data_dir: Path) -> None:
    model = trained if form == "float" else trained / "model.qgraph"
    data = ("--dataset", "synthetic", "--split", "test", "--data-dir", data_dir)
    facts = call_json("evaluate", model, *data, "--records", "s10,s11", "--resamples", 20)
    assert facts.keys() >= set(EVALUATION.split())
    assert (facts["model"], facts["form"], facts["dataset"]) == (str(model), form, "synthetic")
    assert [r["name"] for r in facts["records"]] == ["s10", "s11"]
    assert list(facts["classes"]) == ["N", "S", "V", "F"]
    assert all(f.keys() == {"n", "se", "ppv", "f1"} for f in facts["classes"].values())
    assert (
        facts["n"]
        == sum(f["n"] for f in facts["classes"].values())
        == sum(map(sum, facts["confusion"]))
    )
    right = sum(row[i] for i, row in enumerate(facts["confusion"]))
    assert facts["accuracy"] == right / facts["n"]
    assert facts["trained_on"]["records"] == facts["trained_on"]["same_person"] == []
    assert facts["is_generated"] is True


@pytest.mark.parametrize("form", ["float", "integer"])
def test_the_first_thing_said_is_what_the_model_learned_from(
    form: str, trained: Path, data_dir: Path
) -> None:
    model = trained if form == "float" else trained / "model.qgraph"
    data = ("--dataset", "synthetic", "--data-dir", data_dir, "--resamples", 0)
    mixed = (*data, "--records", "s10,s03")
    facts = call_json("evaluate", model, *mixed)
    assert next(iter(facts)) == "trained_on"
    assert facts["trained_on"] == {
        "sentence": "The model learned from 1 of these 2 recordings (s03): figures over them say "
        "nothing of other people.",
        "is_known": True,
        "records": ["s03"],
        "same_person": [],
    }
    outcome = call("evaluate", model, *mixed)
    assert outcome.out.splitlines()[0] == facts["trained_on"]["sentence"]
    assert "These recordings are generated" in outcome.out.splitlines()[1]


def test_a_graph_without_its_card_knows_its_calibration_alone(
    trained: Path, data_dir: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.qgraph"
    bare.write_bytes((trained / "model.qgraph").read_bytes())
    data = ("--dataset", "synthetic", "--data-dir", data_dir, "--resamples", 0)
    facts = call_json("evaluate", bare, *data, "--records", "s10,s03")
    assert facts["trained_on"]["is_known"] is False
    assert facts["trained_on"]["records"] == ["s03"]
    assert facts["trained_on"]["same_person"] is None


def test_the_shipped_model_is_judged_without_any_argument() -> None:
    facts = call_json("evaluate")
    assert (facts["form"], facts["dataset"]) == ("integer", "excerpts")
    assert facts["trained_on"]["sentence"] == (
        "The model knows the people in 1 of these 6 recordings (202_0730): figures over them say "
        "nothing of other people."  # MIT-BIH's 202 is the man of 201, which it learned from
    )
    assert facts["trained_on"]["records"] == []
    assert facts["is_generated"] is False
    outcome = call("evaluate")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"accuracy {facts['accuracy']:.4f}" in outcome.out
    assert all(r["name"] in outcome.out for r in facts["records"])


def test_a_training_on_the_embedded_recordings_takes_all_of_them(tmp_path: Path) -> None:
    recipe, folder = write_recipe(tmp_path / "tiny.toml"), tmp_path / "model"
    facts = call_json("train", recipe, "--dataset", "excerpts", "-o", folder)
    assert facts["records"] == 6
    assert json.dumps("excerpts") in (folder / "model.toml").read_text()


def test_the_published_preprocessing_is_chosen_and_refused(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ccfc"
    options = ("--dataset", "synthetic-12lead", "--preprocessing", "whole-record")
    call_json("train", "ccfc", *options, "--epochs", 1, "-o", folder)
    assert 'preprocessing = "whole-record"' in (folder / "model.toml").read_text()
    call_json("quantize", folder)
    outcome = call("evaluate", folder / "model.qgraph", *options)
    assert outcome.code == 2
    assert "has its own, in integers; judge the folder of a trained model" in outcome.err
    other = ("ecg-beats-demo", "--dataset", "synthetic", *options[2:], "-o", tmp_path / "beats")
    outcome = call("train", *other)
    assert outcome.code == 2
    assert "the network reads none; take ccfc" in outcome.err

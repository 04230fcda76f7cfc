"""Own recordings from `data inspect` to a proven model: any rate, names, labels and formats."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

import lnn_edge as le
from lnn_edge.data.mitdb import patient_of
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.data.resample import to_rate
from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.read import read_toml
from lnn_edge.tasks.feed import Wish
from lnn_edge.tasks.own_data import Source
from lnn_edge.tasks.own_records import load_own
from lnn_edge.tasks.registry import find_task
from lnn_edge.train.own import Asked, plan_own
from lnn_edge.train.recipe import load_recipe
from tests.cli.command import call, call_json
from tests.support.recordings import mitdb_folder

WALKS = ("--label-column", "what", "--subject-column", "who")
STEPS = ("walk", "rest", "")


def write_walks(folder: Path, people: int = 4, seconds: int = 40, rate_hz: int = 100) -> Path:
    """Write one CSV a person: three axes in g, and what is done in stretches of 8 s."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in range(people):
        rng = np.random.default_rng(person)
        time = np.arange(seconds * rate_hz) / rate_hz
        what = np.array(STEPS)[(time // 8).astype(int) % len(STEPS)]
        swing = np.sin(2 * np.pi * 2 * time) * (what == "walk") * 0.5
        axes = np.stack((swing, 0.3 * swing, 1 + swing), 1) + rng.normal(0, 0.02, (len(time), 3))
        rows = [
            f"{t:.2f},{x:.4f},{y:.4f},{z:.4f},{w},p{person}"
            for t, (x, y, z), w in zip(time, axes, what, strict=True)
        ]
        text = "\n".join(("time,ax (g),ay (g),az (g),what,who", *rows)) + "\n"
        (folder / f"w{person}.csv").write_text(text)
    return folder


def small(*more: str) -> tuple[str, ...]:
    """Return settings of a network that is trained in a second."""
    sizes = ("filters=[8,8,8]", "embedding_size=12", "hidden_size=8", *more)
    return tuple(word for size in sizes for word in ("--set", f"model.{size}"))


def prove(model: Path, folder: Path, data: Path, *hints: str) -> dict[str, Any]:
    """Quantize, export and verify on the host; return what verify says."""
    assert call("quantize", model).code == 0
    project = folder / "firmware"
    assert call("export", model / "model.qgraph", "--board", "stm32f746", "-o", project).code == 0
    result: dict[str, Any] = call_json("verify", project, "--link", "host", "--data", data, *hints)
    assert result["mismatches"] == 0
    assert result["steps"]
    return result


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walks(tmp_path_factory.mktemp("walks"))


@pytest.fixture(scope="module")
def walker(walks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained in one epoch."""
    model = tmp_path_factory.mktemp("model") / "m"
    sizes = small()
    plan = ("--set", "sequence_length=10", "--epochs", "1", "--fold", "0")
    done = call("train", "har-cfc", "--data", walks, *WALKS, *plan, *sizes, "-o", model)
    assert done.code == 0, done.err
    return model


def test_a_csv_of_three_axes_at_100_hz_becomes_a_proven_model(
    walks: Path, walker: Path, tmp_path: Path
) -> None:
    task = tomllib.loads(call("data", "inspect", walks, *WALKS, "--toml").out)
    card = read_toml(walker / "model.toml")
    assert card["task"]["frame"]["rate_hz"] == task["frame"]["rate_hz"] == 100
    assert [c["name"] for c in card["task"]["frame"]["channels"]] == ["ax", "ay", "az"]
    assert sorted(card["task"]["labels"]["classes"]) == ["rest", "walk"]
    assert card["recipe"]["model"]["window"] == 256
    assert card["validation_records"] == ["w0"]
    assert card["training_patients"] == ["p1", "p2", "p3"]
    prove(walker, tmp_path, walks, *WALKS)
    graph = walker / "model.qgraph"
    judged = call_json("evaluate", graph, "--data", walks, *WALKS, "--records", "w0")
    assert judged["trained_on"]["records"] == []
    assert judged["n"] > 0
    assert call("predict", graph, walks / "w0.csv").code == 0


def test_the_library_trains_as_the_command_does(walks: Path, walker: Path, tmp_path: Path) -> None:
    sizes = tuple(word for word in small() if word != "--set")
    columns = {"label_column": "what", "subject_column": "who"}
    made = le.train(
        "har-cfc", to=tmp_path / "m", data=walks, fold=0, epochs=1,
        settings=("sequence_length=10", *sizes), **columns,
    )  # fmt: skip
    assert (made / "model.toml").read_bytes() == (walker / "model.toml").read_bytes()
    call("quantize", made)
    said = le.predict(made, walks, label_column="what", subject_column="who")
    assert [p.name for p in said] == ["w0", "w1", "w2", "w3"]
    judged = le.evaluate(made, Wish(own=Source(walks, Hints(**columns)))).figures
    assert judged is not None
    assert set(judged.classes) == {"rest", "walk"}
    with pytest.raises(UsageError, match="--label-column is of own recordings; give --data PATH"):
        le.train("har-cfc", to=tmp_path / "n", label_column="what")


def test_the_card_alone_tells_the_task(walks: Path, walker: Path) -> None:
    judged = call_json("evaluate", walker, "--data", walks, *WALKS)
    assert set(judged["classes"]) == {"rest", "walk"}
    assert sorted(judged["trained_on"]["records"]) == ["w1", "w2", "w3"]


def test_a_module_of_ones_own_is_judged_on_labelled_recordings(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    x = np.random.default_rng(0).uniform(-2, 2, (2, 80, 3))
    graph = le.quantize(module, x, name="own", rate_hz=100, classes=["rest", "walk"])
    graph.save(tmp_path / "own.qgraph")
    data = write_walks(tmp_path / "walks", people=1, seconds=16)
    judged = call_json("evaluate", tmp_path / "own.qgraph", "--data", data, *WALKS)
    le.export(graph, board="stm32f746", to=tmp_path / "firmware")
    verified = call_json("verify", tmp_path / "firmware", "--link", "host", "--data", data, *WALKS)
    assert (verified["steps"], verified["mismatches"]) == (1600, 0)
    assert verified["accuracy"] == judged["accuracy"]
    assert judged["n"] > 1000
    assert judged["compared_on"] == "calibration data"


def test_what_was_done_is_listed_before_training_and_kept(tmp_path: Path) -> None:
    data = write_walks(tmp_path / "data", 2)
    slow = write_walks(tmp_path / "slow", 1, rate_hz=50)
    (slow / "w0.csv").rename(data / "w9.csv")
    text = (data / "w9.csv").read_text().replace(",p0", ",p9")
    (data / "w9.csv").write_text(text)
    model = tmp_path / "m"
    plan = ("--set", "sequence_length=10", "--epochs", "1")
    done = call("train", "har-cfc", "--data", data, *WALKS, *plan, *small(), "-o", model)
    assert done.code == 0, done.err
    said = "resampled from 50 Hz to 100 Hz: 2,000 samples in 1 record"
    assert said in done.out
    assert done.out.index(said) < done.out.index("trained on")
    changes = read_toml(model / "model.toml")["data"]["changes"]
    assert {"kind": "resampled", "detail": "from 50 Hz to 100 Hz", "count": 2000,
            "unit": "samples", "records": 1} in changes  # fmt: skip


def test_a_damaged_recording_does_not_stop_training_or_judging(tmp_path: Path) -> None:
    data = write_walks(tmp_path / "data", 2)
    (data / "w5.csv").write_bytes((data / "w0.csv").read_bytes()[:900] + b"\0\xff")
    model = tmp_path / "m"
    plan = ("--set", "sequence_length=10", "--epochs", "1")
    done = call("train", "har-cfc", "--data", data, *WALKS, *plan, *small(), "-o", model)
    assert done.code == 0, done.err
    assert "skipped w5: " in done.out
    assert "skipped 1 recording in all" in done.out
    kinds = {c["kind"]: c["detail"] for c in read_toml(model / "model.toml")["data"]["changes"]}
    assert "w5.csv is no text" in kinds["skipped"]
    judged = call("evaluate", model, "--data", data, *WALKS, "--json")
    assert judged.code == 0
    assert judged.err.startswith("skipped w5: ")
    assert [r["name"] for r in json.loads(judged.out)["records"]] == ["w0", "w1"]


def test_folders_are_sides_of_a_split_and_a_subject_on_both_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_walks(data / "train", 2)
    write_walks(data / "test", 3)  # p0 and p1 again
    plan = ("--set", "sequence_length=10", "--epochs", "1", "--split", "folder")
    command = ("train", "har-cfc", "--data", data, *WALKS, *plan, *small(), "-o", tmp_path / "m")
    refused = call(*command)
    assert refused.code == 2
    assert "subject p0 is on both sides of the split, in test/w0 and in train/w0" in refused.err
    assert not (tmp_path / "m").exists()
    for name in ("w0.csv", "w1.csv"):
        (data / "test" / name).unlink()
    assert call(*command).code == 0
    card = read_toml(tmp_path / "m" / "model.toml")
    assert card["training_records"] == ["train/w0", "train/w1"]
    judged = call_json("evaluate", tmp_path / "m", "--data", data, *WALKS, "--split", "test")
    assert [r["name"] for r in judged["records"]] == ["test/w2"]


def test_a_recording_under_two_names_on_both_sides_is_refused(tmp_path: Path) -> None:
    data = write_walks(tmp_path / "data", 3)
    text = (data / "w0.csv").read_text()
    (data / "copy.csv").write_text(text.replace(",p0", ",p9"))
    options = (*WALKS, "--fold", "0", "-o", tmp_path / "m")
    refused = call("train", "har-cfc", "--data", data, *options)
    assert refused.code == 2
    assert "w0 and copy hold the same signal and are on both sides" in refused.err


def test_a_task_file_and_a_map_of_labels_give_classes(walks: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.toml"
    labels.write_text('walk = "moving"\nrest = "still"\n')
    task = tmp_path / "motion.toml"
    document = tomllib.loads(call("data", "inspect", walks, *WALKS, "--toml").out)
    document["decide"] |= {"window": 100, "hop": 50}
    task.write_text(tomli_w.dumps(document))
    model = tmp_path / "m"
    plan = ("--set", "sequence_length=10", "--epochs", "1", "--task", task, "--labels", labels)
    assert call("train", "har-cfc", "--data", walks, *WALKS, *plan, *small(), "-o", model).code == 0
    card = read_toml(model / "model.toml")
    assert card["task"]["labels"]["classes"] == ["moving", "still"]
    assert card["task"]["name"] == "motion"
    assert card["recipe"]["model"]["window"] == 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--data", "DATA", "--dataset", "mitdb"), "both name recordings; give one"),
        (("--task", "activity"), "--task is of own recordings; give --data PATH"),
        (("--channel", "x=y"), "--channel is of own recordings; give --data PATH"),
        (("--annotator", "qrs"), "--annotator is of own recordings; give --data PATH"),
        (("--rate", "9"), "--rate is of own recordings; give --data PATH"),
        (("--data", "DATA", "--channel", "x"), "--channel must be such as acc_x=ax"),
        (("--data", "DATA", "--channel", "x=y"), "has no channel x; it has ax, ay, az"),
        (("--data", "DATA", "--fold", "7"), "there is no fold 7 of 4 subjects"),
        (("--data", "nowhere"), "nowhere is not there"),
        (("--data", "DATA", "--task", "sleep"), "there is no task 'sleep'"),
        (
            ("--data", "DATA", "--task", "activity"),
            "has the channels ax, ay, az and the model needs acc_x",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    options: tuple[str, ...], said: str, walks: Path, tmp_path: Path
) -> None:
    given = [str(walks) if word == "DATA" else word for word in options]
    hints = WALKS if "DATA" in options else ()
    refused = call("train", "har-cfc", *given, *hints, "-o", tmp_path / "m")
    assert refused.code == 2
    assert said in refused.err
    assert refused.err.count("\n") == 1
    assert not (tmp_path / "m").exists()


def write_ecg(folder: Path, name: str, rate_hz: int, leads: tuple[str, ...]) -> None:
    """Write ten minutes of a record of MIT-BIH at another rate, its leads renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    with wfdb_library() as wfdb:
        record = wfdb.rdrecord(str(mitdb_folder() / name), sampto=600 * 360)
        marks = wfdb.rdann(str(mitdb_folder() / name), "atr", sampto=600 * 360)
        signal = np.stack([to_rate(lead, 360, rate_hz) for lead in record.p_signal.T], 1)
        wfdb.wrsamp(name, rate_hz, ["mV"] * 2, list(leads), p_signal=signal, fmt=["16"] * 2,
                    write_dir=str(folder))  # fmt: skip
        places = np.minimum(marks.sample * rate_hz // 360, len(signal) - 1)
        wfdb.wrann(name, "atr", places, symbol=marks.symbol, write_dir=str(folder))


@pytest.mark.slow
@pytest.mark.skipif(not mitdb_folder().is_dir(), reason="needs MIT-BIH in LNN_EDGE_DATA/mitdb")
def test_ecg_at_250_hz_with_leads_of_other_names(tmp_path: Path) -> None:
    data = tmp_path / "holter"
    for name in ("106", "119", "208"):
        assert patient_of(name) == name
        write_ecg(data, name, 250, ("CH1", "CH2"))
    labels = tmp_path / "labels.toml"
    labels.write_text('N = "normal"\nL = "normal"\nV = "early"\n')
    model = tmp_path / "m"
    options = ("--lead", "CH1", "--labels", labels, "--epochs", "1", "--fold", "0")
    assert call("data", "inspect", data).code == 0
    done = call("train", "ecg-beats-cfc", "--data", data, *options, "-o", model)
    assert done.code == 0, done.err
    assert "resampled from 250 Hz to 360 Hz: 450,000 samples in 3 records" in done.out
    card = read_toml(model / "model.toml")
    assert card["task"]["labels"]["classes"] == ["normal", "early"]
    assert card["task"]["frame"]["channels"][0]["name"] == "CH1"
    result = prove(model, tmp_path, data)
    assert result["steps"] > 1000
    assert set(result["classes"]) == {"normal", "early"}


def test_a_task_that_was_proposed_is_trained_in_the_frame_of_its_network(tmp_path: Path) -> None:
    document = {
        "format": 1,
        "frame": {
            "rate_hz": 128,
            "channels": [{"name": c, "unit": "mV", "steps_per_unit": 900} for c in ("a", "b")],
        },
        "decide": {"on": "events"},
        "labels": {"kind": "event", "classes": ["N", "V"], "unscored": ["A"]},
    }
    path = tmp_path / "holter.toml"
    path.write_text(tomli_w.dumps(document))
    recipe = load_recipe("ecg-beats-cfc")
    plan, task, source = plan_own(recipe, Source(tmp_path), Asked(str(path)))
    assert (task.leads, task.frame.rate_hz, task.classes) == (("a", "any"), 360, ("N", "V"))
    assert (plan.training.merge, source.channels) == ({}, {})
    _, task, _ = plan_own(recipe, Source(tmp_path), Asked(str(path), lead="c"))
    assert task.leads == ("c", "any")


@pytest.mark.slow
def test_records_of_svdb_at_128_hz(tmp_path: Path) -> None:
    source = mitdb_folder().parent / "svdb"
    if not source.is_dir():
        pytest.skip("needs svdb in LNN_EDGE_DATA/svdb")
    data = tmp_path / "svdb"
    data.mkdir()
    for name in ("800", "801"):
        for suffix in ("hea", "dat", "atr"):
            (data / f"{name}.{suffix}").symlink_to(source / f"{name}.{suffix}")
    model = tmp_path / "m"
    options = ("--lead", "ECG1", "--epochs", "1")
    assert call("train", "ecg-beats-cfc", "--data", data, *options, "-o", model).code == 0
    prove(model, tmp_path, data)


@pytest.mark.slow
def test_rhythms_of_cinc2017(tmp_path: Path) -> None:
    source = mitdb_folder().parent / "cinc2017"
    if not source.is_dir():
        pytest.skip("needs cinc2017 in LNN_EDGE_DATA/cinc2017")
    data = tmp_path / "cinc2017"
    data.mkdir()
    names = sorted(path.stem for path in source.glob("*.hea"))[:60]
    rows = (source / "REFERENCE.csv").read_text().splitlines()
    chosen = [row for row in rows if row.split(",")[0] in names]
    (data / "REFERENCE.csv").write_text("\n".join(chosen) + "\n")
    for name in names:
        for suffix in ("hea", "mat"):
            (data / f"{name}.{suffix}").symlink_to(source / f"{name}.{suffix}")
    model = tmp_path / "m"
    options = ("--epochs", "1", "--fold", "0")
    assert call("train", "rhythm-cfc", "--data", data, *options, "-o", model).code == 0
    result = prove(model, tmp_path, data)
    assert sum(f["n"] for f in result["classes"].values()) == 60  # a record is judged once


def test_a_network_keeps_its_own_task_where_the_recordings_are_of_it(tmp_path: Path) -> None:
    """Rate, channel and labels of the rhythm task, as CSV with one label a row of each record."""
    import scipy.io

    rng, names = np.random.default_rng(0), "N A O ~".split()
    rows = [f"A{i:05d},{name}" for i, name in enumerate(names)]
    for row in rows:
        name = row.split(",")[0]
        scipy.io.savemat(tmp_path / f"{name}.mat", {"val": rng.integers(-99, 99, (1, 3000))})
        head = f"{name} 1 300 3000\n{name}.mat 16+24 1000/mV 16 0 0 0 0 ECG\n"
        (tmp_path / f"{name}.hea").write_text(head)
    (tmp_path / "REFERENCE.csv").write_text("\n".join(rows) + "\n")
    recipe, source = load_recipe("rhythm-cfc"), Source(tmp_path)
    assert plan_own(recipe, source, Asked())[1] == find_task("rhythm")
    (tmp_path / "REFERENCE.csv").write_text("\n".join(rows[:3]) + "\n")
    (tmp_path / "A00003.hea").unlink()
    assert set(plan_own(recipe, source, Asked())[1].classes) == {"normal", "AF", "other"}


def test_another_label_keeps_its_event_and_is_not_scored(tmp_path: Path) -> None:
    from lnn_edge.tasks.own_data import with_label_map

    labels = tmp_path / "labels.toml"
    labels.write_text('N = "normal"\nV = "early"\n')
    task = with_label_map(find_task("beats"), labels)
    assert {"A", "F", "Q"} <= set(task.unscored)
    labels.write_text("N = 3\n")
    with pytest.raises(DataError, match=r"labels.toml: N must be str, not 3"):
        with_label_map(task, labels)
    with pytest.raises(DataError, match="holds no file of a format"):
        load_own(Source(tmp_path), task)

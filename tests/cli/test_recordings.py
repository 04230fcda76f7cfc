"""Recordings that the models cannot take: said in one line, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.fetch import FETCHABLE
from lnn_edge.data.registry import DATA_VARIABLE
from lnn_edge.data.wfdb_writer import WfdbRecord, write_record
from lnn_edge.graph.file import load_graph
from lnn_edge.tasks.recordings import load_labelled
from tests.cli.command import call, call_json, refusal, untouched
from tests.cli.conftest import write_recipe
from tests.support.wfdb_files import edit_header, write_small

COMMANDS = ("train", "evaluate", "verify", "info")


def change_bytes(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def with_invalid_sample(data: bytes) -> bytes:
    """Make sample 10 of lead 0 of a format 212 file -2048, which stands for NaN."""
    return data[:30] + bytes([0x00, (data[31] & 0xF0) | 0x08]) + data[32:]


def damaged(folder: Path, damage: str) -> Path:
    """Write a folder with one record that is not as it should be."""
    folder.mkdir()
    if damage == "empty folder":
        return folder
    changes = {
        "one lead": {"leads": ("V5",), "adc": np.full((2160, 1), 1024, np.int16)},
        "wrong rate": {"fs_hz": 250},
        "no beats": {"symbols": ("+", "~", "|", "x", "+", "~")},
    }
    write_small(folder, **changes.get(damage, {}))
    if damage == "no annotation":
        (folder / "r1.atr").unlink()
    elif damage == "NaN":
        change_bytes(folder / "r1.dat", with_invalid_sample)
    elif damage == "truncated":
        change_bytes(folder / "r1.dat", lambda data: data[:-100])
    elif damage == "changed sample":
        change_bytes(folder / "r1.dat", lambda data: data[:99] + bytes([data[99] ^ 4]) + data[100:])
    elif damage == "no gain":
        edit_header(folder, "200.0(1024)/mV", "0(1024)/mV")
    elif damage == "wrong unit":
        edit_header(folder, "/mV", "/uV")
    elif damage == "too high gain":
        edit_header(folder, "200.0(1024)/mV", "0.001(1024)/mV")
    return folder


SAID = {
    "empty folder": ("holds no WFDB record", "it needs .hea, .dat and .atr files"),
    "no annotation": ("r1.atr is missing", "copy it again"),
    "NaN": ("lead MLII do not have the checksum", "copy it again"),
    "one lead": ("record r1 has the leads V5", "needs MLII", "name the lead to take by --lead"),
    "wrong rate": ("sampled at 250 Hz", "needs 360 Hz", "give its path with --data"),
    "no beats": ("r1.atr must mark beats", "an annotation with beats"),
    "no gain": ("gives no gain for a lead", "write the ADC steps per mV"),
    "wrong unit": ("must give the gain in steps per mV", "not per uV", "convert it"),
    "too high gain": ("lie beyond 16 bit at 200 steps per mV", "check its unit"),
    "truncated": ("r1.dat does not hold what its header", "promises", "copy it again"),
    "changed sample": ("lead MLII do not have the checksum", "copy it again"),
}


OF_A_MODEL = ("one lead", "wrong rate", "too high gain")  # nothing is wrong with the record


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", SAID)
def test_a_record_that_cannot_be_used_is_refused(
    command: str, damage: str, exported: Path, tmp_path: Path
) -> None:
    folder, recipe = damaged(tmp_path / "records", damage), write_recipe(tmp_path / "tiny.toml")
    arguments = {
        "train": ("train", recipe, "--dataset", folder, "-o", tmp_path / "out"),
        "evaluate": ("evaluate", "--dataset", folder),
        "verify": ("verify", exported, "--link", "serial:/dev/none", "--dataset", folder),
        "info": ("data", "info", folder),
    }
    if command == "info" and damage in OF_A_MODEL:
        assert call(*arguments[command]).code == 0
        return
    with untouched(tmp_path):
        said = refusal(call(*arguments[command]))
    for part in SAID[damage]:
        assert part in said
    assert "r1" in said or damage == "empty folder"


def write_excerpt(folder: Path, scale: int, leads: tuple[str, ...] = ("MLII", "V5")) -> Path:
    """Write an embedded recording with its steps made smaller: other numbers, the same heart."""
    (excerpt,) = load_labelled("excerpts", records=["100_0830"])
    symbols = tuple("NAVF"[label] for label in excerpt.labels)
    record = WfdbRecord(
        "r1",
        ((excerpt.frames[:, : len(leads)] - 1024) * scale).astype(np.int16),
        360,
        leads,
        200.0 * scale,
        0,
        excerpt.events,
        symbols,
        ("",) * len(symbols),
    )
    write_record(folder, record)
    return folder


def test_another_gain_and_zero_are_converted(tmp_path: Path) -> None:
    folder, recipe = write_excerpt(tmp_path / "mine", scale=2), write_recipe(tmp_path / "tiny.toml")
    names = {"mine": folder, "reference": write_excerpt(tmp_path / "right", scale=1)}
    for name, records in names.items():
        call_json("train", recipe, "--dataset", records, "-o", tmp_path / name / "model")
    mine, reference = (tmp_path / name / "model" / "model.safetensors" for name in names)
    assert mine.read_bytes() == reference.read_bytes()  # other steps give other weights
    figures = call_json("evaluate", "--dataset", folder)
    wanted = call_json("evaluate", "--dataset", "excerpts", "--records", "100_0830")
    assert figures["n"] == 74
    assert figures["confusion"] == wanted["confusion"]


def test_a_second_lead_may_lack(tmp_path: Path) -> None:
    (info,) = call_json("data", "info", write_excerpt(tmp_path, 1, ("MLII",)))
    assert info["leads"] == ["MLII"]
    assert call_json("evaluate", "--dataset", tmp_path)["n"] == 74


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose leads are called ECG1 and ECG2."""
    return write_excerpt(tmp_path_factory.mktemp("renamed"), 1, ("ECG1", "ECG2"))


@pytest.fixture(scope="module")
def learned_from_ecg1(renamed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained and quantized on lead ECG1."""
    folder = tmp_path_factory.mktemp("ecg1")
    recipe = write_recipe(folder / "tiny.toml")
    call_json("train", recipe, "--dataset", renamed, "--lead", "ECG1", "-o", folder / "model")
    call_json("quantize", folder / "model")
    return folder / "model"


def test_a_lead_by_another_name_is_the_same_signal(learned_from_ecg1: Path, tmp_path: Path) -> None:
    mlii, recipe = write_excerpt(tmp_path / "mlii", 1), write_recipe(tmp_path / "tiny.toml")
    call_json("train", recipe, "--dataset", mlii, "-o", tmp_path / "model")
    weights = "model.safetensors"
    assert (learned_from_ecg1 / weights).read_bytes() == (tmp_path / "model" / weights).read_bytes()


def test_a_model_asks_for_the_lead_that_it_learned_from(
    learned_from_ecg1: Path, renamed: Path, tmp_path: Path
) -> None:
    graph, project = learned_from_ecg1 / "model.qgraph", tmp_path / "firmware"
    assert load_graph(graph).metadata["leads"] == ["ECG1", "any"]
    for model in (graph, learned_from_ecg1):
        assert call_json("evaluate", model, "--dataset", renamed)["lead"] == "ECG1"
        said = refusal(call("evaluate", model, "--dataset", "excerpts"))
        assert "has the leads MLII, " in said
        assert "the model needs ECG1; name the lead to take by --lead" in said
    call_json("export", graph, "--board", "stm32f746", "-o", project)
    verified = call_json("verify", project, "--link", "host", "--dataset", renamed)
    assert (verified["mismatches"], verified["lead"]) == (0, "ECG1")
    assert call_json("report", project)["accuracy"] is None  # the embedded ones are of MLII
    assert "from lead ECG1) are part of lnn-edge" in (project / "report.html").read_text()


def test_another_lead_than_the_learned_one_is_said(
    learned_from_ecg1: Path, renamed: Path, tmp_path: Path
) -> None:
    given = ("--dataset", renamed, "--lead", "ECG2")
    warning = "warning: the model learned from lead {} and is fed ECG2\n"
    outcome = call("evaluate", *given, "--json")
    assert (json.loads(outcome.out)["lead"], outcome.err) == ("ECG2", warning.format("MLII"))
    for arguments in (
        ("evaluate", learned_from_ecg1),
        ("quantize", learned_from_ecg1, "--force"),
    ):
        outcome = call(*arguments, *given)
        assert (outcome.code, outcome.err) == (0, warning.format("ECG1"))
    call_json("export", learned_from_ecg1, "--board", "stm32f746", "-o", tmp_path / "firmware")
    outcome = call("verify", tmp_path / "firmware", "--link", "host", *given, "--json")
    assert (json.loads(outcome.out)["lead"], outcome.err) == ("ECG2", warning.format("ECG1"))


def test_the_leads_that_there_are_are_listed(renamed: Path) -> None:
    for name in ((), ("--lead", "V1")):
        said = call("evaluate", "--dataset", renamed, *name).err
        assert "has the leads ECG1, ECG2 and the model needs" in said
    (info,) = call_json("data", "info", renamed)
    assert info["leads"] == ["ECG1", "ECG2"]
    assert "leave --lead V1 out" in refusal(call("data", "info", renamed, "--lead", "V1"))


def test_a_lead_of_what_has_none_is_refused(exported: Path, tmp_path: Path) -> None:
    frames = ("--lead", "II", "--input", tmp_path / "X.npy")
    assert "--input gives frames and --lead is of recordings" in refusal(
        call("verify", exported, *frames)
    )
    frames = ("--lead", "II", "--calibration", tmp_path / "X.npy")
    assert "--calibration gives frames and --lead is of rec" in refusal(
        call("quantize", tmp_path, *frames)
    )
    said = refusal(call("data", "info", "synthetic-activity", "--lead", "II"))
    assert said == "synthetic-activity has leads of its own; leave --lead II out"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--dataset", "mitbih"),
            "no data set 'mitbih'; take one of mitdb, svdb, cpsc2018, ptbxl, tnmg, synthetic, "
            "excerpts, uci_har, synthetic-activity, synthetic-12lead, synthetic-rhythm or",
        ),
        (("--dataset", "mitdb"), "give --data-dir or set LNN_EDGE_DATA, or get the records with"),
        (("--dataset", "mitdb", "--data-dir", "none"), "none holds no WFDB record"),
        (("--split", "train"), "they are test records; take test or all"),
        (("--records", "100"), "no record '100' in this split; "),
        (("--records", ""), "an argument is empty; give a value"),
        (("--records", "100_0830,100_0830"), "'100_0830' is asked for twice; name each"),
    ],
)
def test_a_data_set_that_is_not_there_is_named(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    assert said in refusal(call("evaluate", *arguments))


def test_what_cannot_be_fetched_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    with untouched(tmp_path):
        said = refusal(call("data", "fetch", "excerpts", "--data-dir", tmp_path))
        assert said == f"'excerpts' cannot be fetched; take one of {', '.join(FETCHABLE)}"
        said = refusal(call("data", "fetch", "synthetic", "--data-dir", file))
    assert said.endswith("; give a writable one with --data-dir")


def test_data_sets_are_listed_and_described() -> None:
    names = ["mitdb", "svdb", "cpsc2018", "ptbxl", "tnmg", "synthetic", "excerpts", "uci_har"]
    names += ["synthetic-activity", "synthetic-12lead", "synthetic-rhythm"]
    assert [d["name"] for d in call_json("data", "list") if "name" in d] == names
    infos = call_json("data", "info", "excerpts")
    keys = {"name", "patient", "leads", "duration_s", "labels"}
    assert [i.keys() >= keys for i in infos] == [True] * 6
    outcome = call("data", "info", "excerpts")
    assert (outcome.code, outcome.err) == (0, "")
    assert all(i["name"] in outcome.out for i in infos)

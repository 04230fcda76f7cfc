"""`--quality`: in an export, in what `predict` writes, and in what `evaluate` counts."""

from __future__ import annotations

from pathlib import Path

from lnn_edge.data.annotation_file import read_beat_marks
from lnn_edge.data.embedded import folder_of_pieces
from lnn_edge.graph.file import load_graph
from tests.cli.command import call, call_json


def test_a_model_of_beats_judges_the_signal_on_demand(tmp_path: Path) -> None:
    project = tmp_path / "p"
    call_json("export", "--board", "stm32f746", "--quality", "0,2047", "-o", project)
    graph = load_graph(project / "model.qgraph")
    assert [o.name for o in graph.outputs] == ["scores", "quality"]
    header = (project / "model" / "ecg_beats_cfc.h").read_text()
    assert "quality, from 4 on: 3 int16 flaws of the signal" in header
    for flaw, bit in (("FLAT", 1), ("SATURATED", 2), ("NOISY", 4)):
        assert f"    ECG_BEATS_CFC_FLAW_{flaw} = {bit}" in header
    units = (project / "model" / "ecg_beats_cfc_units.h").read_text()
    assert "OUTPUT_SCORES_SCALE" in units
    assert "quality" not in units.lower()
    for rails, why in (
        ("0;2047", "must be two samples such as 0,2047"),
        ("9,2", "lower one first"),
    ):
        said = call("export", "--board", "stm32f746", "--quality", rails, "-o", tmp_path / "q")
        assert said.code == 2
        assert why in said.err
    assert not (tmp_path / "q").exists()


def test_evaluate_judges_what_is_classifiable_apart() -> None:
    plain = call_json("evaluate", "ecg-beats-cfc", "--resamples", "0")
    assert "classifiable" not in plain
    judged = call_json("evaluate", "ecg-beats-cfc", "--resamples", "0", "--quality", "900,1150")
    assert judged["accuracy"] == plain["accuracy"]  # of all
    found = judged["classifiable"]
    assert 0 < found["unclassifiable"] < found["decisions"]
    assert found["flaws"]["saturated"] > 0 == found["flaws"]["flat"]
    assert found["figures"]["n"] < plain["n"]
    said = call("evaluate", "ecg-beats-cfc", "--resamples", "0", "--quality", "900,1150").out
    told = " ".join(said.split())
    assert f"unclassifiable {found['unclassifiable']:,} of {found['decisions']:,} decisions" in told
    assert f"of the others accuracy {found['figures']['accuracy']:.4f}" in told


def test_predict_counts_what_is_unclassifiable(tmp_path: Path) -> None:
    folder = folder_of_pieces()
    said = call(
        "predict", "ecg-beats-cfc", folder, "--quality", "900,1150", "-o", tmp_path / "b.csv"
    )
    lines = (tmp_path / "b.csv").read_text().splitlines()
    assert lines[0].endswith(",quality,quality_1,quality_2")
    flawed = sum(line.split(",")[8] != "good" for line in lines[1:])
    assert f"{flawed:,} decisions are unclassifiable" in said.err
    call(
        "predict", "ecg-beats-cfc", folder, "--quality", "900,1150", "--to", "wfdb", "-o", tmp_path
    )
    marks = [m for f in sorted(tmp_path.rglob("*.lnn")) for m in read_beat_marks(f).symbols]
    assert marks.count("Q") == flawed > 0
    assert len(marks) == len(lines) - 1

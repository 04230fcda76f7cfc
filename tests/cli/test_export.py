"""`lnn-edge export`: a project, all of it or nothing, and without the packages of training."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lnn_edge.files.shipped import graph_path, shipped_graph
from lnn_edge.graph.file import graph_sha256, load_graph
from tests.cli.command import call, call_json, refusal, tree, untouched

HEAVY = ("torch", "scipy", "sklearn", "wfdb", "serial", "pandas")


def imported_by(folder: Path, *arguments: str) -> set[str]:
    """Packages loaded after a command in an interpreter of its own."""
    code = (
        "import sys; from lnn_edge.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_export_needs_nothing_of_training(graph_file: Path, tmp_path: Path) -> None:
    loaded = imported_by(tmp_path, "export", str(graph_file), "--board", "stm32f746", "-o", "p")
    assert (tmp_path / "p" / "export.json").is_file()
    assert {"lnn_edge", "numpy", "jinja2"} <= loaded
    assert not loaded.intersection(HEAVY)


def test_help_needs_no_numbers(tmp_path: Path) -> None:
    assert not imported_by(tmp_path, "--help").intersection({*HEAVY, "numpy", "jinja2"})


def test_without_a_model_the_shipped_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    facts = call_json("export", "--board", "stm32f746")
    assert facts == {
        "project": "firmware-stm32f746g-disco",
        "board": "stm32f746g-disco",
        "model_sha256": graph_sha256(load_graph(shipped_graph())),
    }
    assert [p.name for p in tmp_path.iterdir()] == ["firmware-stm32f746g-disco"]
    assert (tmp_path / "firmware-stm32f746g-disco" / "model" / "ecg_beats_cfc.c").is_file()


@pytest.mark.parametrize("name", ["ccfc", "cltc"])
def test_a_shipped_model_is_taken_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    facts = call_json("export", name, "--board", "stm32f746")
    assert facts["model_sha256"] == graph_sha256(load_graph(graph_path(Path(name))))
    assert (tmp_path / "firmware-stm32f746g-disco" / "model" / f"{name}.c").is_file()
    said = refusal(call("export", "clct", "--board", "stm32f746"))
    assert said.startswith("there is no model 'clct'; give a model.qgraph")


def test_a_model_of_beats_finds_them_itself_on_demand(tmp_path: Path) -> None:
    project = tmp_path / "p"
    call_json("export", "--board", "stm32f746", "--find-beats", "-o", project)
    graph = load_graph(project / "model.qgraph")
    assert [op.kind for op in graph.stages[0].ops] == ["biquads", "biquads", "r_peaks"]
    header = (project / "model" / "ecg_beats_cfc.h").read_text()
    assert "in which it finds the R peaks itself" in header
    ccfc = refusal(call("export", "ccfc", "--board", "stm32f746", "--find-beats", "-o", "q"))
    assert ccfc == "ccfc must be a model that decides on beats from outside; it takes no events"


def test_the_next_command_is_told(graph_file: Path, tmp_path: Path) -> None:
    project = tmp_path / "with [brackets]"
    outcome = call("export", graph_file, "--board", "stm32f405", "-o", project)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith(f"\nnext: lnn-edge build {project}\n")


def test_a_folder_with_a_graph_in_it_will_do(graph_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(graph_file, folder / "model.qgraph")
    by_folder, by_file = tmp_path / "a", tmp_path / "b"
    call_json("export", folder, "--board", "stm32f746", "-o", by_folder)
    call_json("export", graph_file, "--board", "stm32f746", "-o", by_file)
    assert tree(by_folder) == tree(by_file)


def test_an_export_is_replaced_and_anything_else_is_kept(graph_file: Path, tmp_path: Path) -> None:
    letters, file = tmp_path / "letters", tmp_path / "file"
    letters.mkdir()
    for path in (letters / "dear.txt", file):
        path.write_text("John")
    for taken, why in ((letters, "is not empty and no earlier export; "), (file, "is no folder; ")):
        with untouched(tmp_path):
            said = refusal(call("export", graph_file, "--board", "stm32f746", "-o", taken))
        assert said.startswith(f"{taken} {why}choose another")
    project = tmp_path / "project"
    for board in ("stm32f746", "stm32f405"):
        assert call_json("export", graph_file, "--board", board, "-o", project)["project"]
    assert call_json("boards", "stm32f405")[0]["name"] in (project / "export.json").read_text()


def test_a_place_that_cannot_be_written_is_named(graph_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with untouched(tmp_path):
        said = refusal(
            call("export", graph_file, "--board", "stm32f746", "-o", tmp_path / "file" / "p")
        )
    assert str(tmp_path / "file") in said
    assert "choose a path" in said


def test_an_export_that_fails_half_way_leaves_what_was_there(
    graph_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    call_json("export", graph_file, "--board", "stm32f746", "-o", project)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for step in ("fsync", "replace"):  # of writing, and of putting in place
        with monkeypatch.context() as patch, untouched(tmp_path):
            patch.setattr(os, step, fail)
            said = refusal(call("export", "--board", "stm32f405", "-o", project))
        assert said.startswith(f"{project}: No space left on device; ")


def test_a_board_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call("export")
    assert (outcome.code, outcome.out) == (2, "")
    assert "give --board; `lnn-edge boards` lists them" in outcome.err
    assert not tree(tmp_path)


def test_a_library_needs_no_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = call_json("export", "--format", "library", "--core", "cortex-m33")
    assert facts["project"] == "library-ecg_beats_cfc"
    assert facts["board"] is None
    assert (tmp_path / "library-ecg_beats_cfc" / "src" / "ecg_beats_cfc_library.h").is_file()
    told = call("export", "--format", "library")
    assert told.out.splitlines()[-1] == "how to build it: library-ecg_beats_cfc/README.md"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--format", "library", "--board", "stm32f746"), "a library is for no board"),
        (("--format", "library", "--core", "z80"), "there is no core 'z80'; take one of any, "),
        (("--core", "cortex-m4", "--board", "stm32f746"), "--core is for --format library"),
        (("--format", "project"), "give --board"),
    ],
)
def test_what_a_library_cannot_be_is_said(
    options: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(call("export", *options)).startswith(reason)
    assert not tree(tmp_path)

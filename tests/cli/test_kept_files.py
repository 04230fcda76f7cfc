"""Nobody's file is deleted or replaced unless --force is given; the right contents come after."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.cli import INTERRUPTED
from lnn_edge.files.lock import LOCK, alone_in
from lnn_edge.graph.file import save_graph
from lnn_edge.nn.history import HISTORY
from lnn_edge.nn.model_card import CARD, WEIGHTS
from tests.cli.command import PROGRAM, call, call_json, refusal, tree, untouched
from tests.cli.conftest import write_recipe
from tests.support.toy import toy_every_graph, toy_graph

REMEDY = "choose another folder, or give --force to replace what is in the way"
MINE = {"notes.txt": b"mine", "model/mine.c": b"mine, too", "build/board/log": b"of a build"}
ADDED = {"verify.json": b"{}", "verify-host.json": b"{}", "report.html": b"<p>"}


def export(graph: Path, folder: Path | str, *more: object, board: str = "stm32f746") -> None:
    call_json("export", graph, "--board", board, "-o", folder, *more)


def refused_export(graph: Path, folder: Path | str, *more: object) -> str:
    return refusal(call("export", graph, "--board", "stm32f746", "-o", folder, *more))


def add(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {name: data for name, data in tree(folder).items() if data is not None}


@pytest.fixture(scope="module")
def other_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of another name, with other files."""
    path = tmp_path_factory.mktemp("other") / "other.qgraph"
    save_graph(toy_every_graph(), path)
    return path


@pytest.fixture
def project(graph_file: Path, tmp_path: Path) -> Path:
    """An export with files of its user, and with what other commands add."""
    folder = tmp_path / "project"
    export(graph_file, folder)
    add(folder, MINE | ADDED)
    return folder


# --- export -------------------------------------------------------------------------------------


def test_the_same_export_again_touches_nothing(project: Path, graph_file: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
    with untouched(project):
        export(graph_file, project)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_export_replaces_its_own_files_alone(
    project: Path, other_graph: Path, tmp_path: Path
) -> None:
    export(other_graph, project, board="stm32f405")
    export(other_graph, tmp_path / "new", board="stm32f405")
    assert files(project) == files(tmp_path / "new") | MINE | ADDED
    assert not list((project / "model").glob("toy.*"))


def test_an_export_after_other_weights_needs_no_force(project: Path, tmp_path: Path) -> None:
    save_graph(toy_graph(seed=7), tmp_path / "again.qgraph")
    export(tmp_path / "again.qgraph", project)
    export(tmp_path / "again.qgraph", tmp_path / "new")
    assert files(project) == files(tmp_path / "new") | MINE | ADDED


@pytest.mark.parametrize("name", ["model/toy.c", "board/linker.ld", "export.json", "model.qgraph"])
def test_a_generated_file_that_was_edited_is_named(
    name: str, project: Path, other_graph: Path, tmp_path: Path
) -> None:
    (project / name).write_bytes((project / name).read_bytes() + b"\n")
    with untouched(tmp_path):
        said = refused_export(other_graph, project)
    assert said == f"{project / name} was changed since lnn-edge wrote it; {REMEDY}"
    export(other_graph, project, "--force")
    export(other_graph, tmp_path / "new")
    assert files(project) == files(tmp_path / "new") | MINE | ADDED


def test_a_file_of_the_user_where_a_new_one_goes_is_named(
    project: Path, other_graph: Path, tmp_path: Path
) -> None:
    export(other_graph, tmp_path / "new")
    (name,) = (n for n in files(tmp_path / "new") if n.startswith("model/") and "weights.c" in n)
    add(project, {name: b"mine"})
    with untouched(project):
        said = refused_export(other_graph, project)
    assert said == f"{project / name} is there, but not because lnn-edge wrote it; {REMEDY}"
    export(other_graph, project, "--force")
    assert files(project) == files(tmp_path / "new") | MINE | ADDED


@pytest.mark.parametrize("where", [".", "absolute"])
def test_letters_are_kept_wherever_the_export_goes(
    where: str, graph_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "letters"
    letters = {"dear.txt": b"John", "old/dear.txt": b"Jane", ".git/config": b"[core]"}
    add(folder, letters)
    monkeypatch.chdir(folder)
    target = str(folder) if where == "absolute" else where
    with untouched(tmp_path):
        said = refused_export(graph_file, target)
    assert said == f"{target} is not empty and no earlier export; {REMEDY}"
    export(graph_file, target, "--force")
    monkeypatch.undo()
    export(graph_file, tmp_path / "new")
    assert files(folder) == files(tmp_path / "new") | letters
    monkeypatch.chdir(folder)
    with untouched(tmp_path):
        export(graph_file, target)


def test_an_export_may_go_to_the_empty_folder_one_is_in(
    graph_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export(graph_file, ".")
    export(graph_file, tmp_path / "new")
    assert tree(tmp_path / "here") == tree(tmp_path / "new")


def test_an_export_through_a_link_leaves_the_link(graph_file: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        export(graph_file, tmp_path / "link")
    export(graph_file, tmp_path / "new")
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "real") == tree(tmp_path / "new")


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_is_no_folder_is_kept(kind: str, graph_file: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("John") if kind == "file" else place.symlink_to("nowhere")
    for more in ((), ("--force",)):
        with untouched(tmp_path):
            said = refused_export(graph_file, place, *more)
        assert said == f"{place} is no folder; choose another"


def limit_files() -> None:
    """Let no file of this process grow beyond 20,000 bytes: a real failure half way."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.parametrize("is_new", [True, False])
def test_an_export_that_runs_out_of_room_changes_nothing(
    is_new: bool, project: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "place" if is_new else project
    command = ["export", "ecg-beats-cfc", "--board", "stm32f405", "-o", str(folder), "--force"]
    with untouched(tmp_path):
        done = subprocess.run(
            [sys.executable, PROGRAM, *command],
            preexec_fn=limit_files,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {folder}: File too large; check the path, your permissions and the free space\n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_named(project: Path, other_graph: Path) -> None:
    project.chmod(0o555)
    try:
        with untouched(project):
            said = refused_export(other_graph, project)
    finally:
        project.chmod(0o755)
    assert said.startswith(f"{project}: Permission denied; check the path, your permissions")


@pytest.mark.parametrize("step", [0, 3, 12])
def test_an_interrupted_export_changes_nothing(
    step: int, project: Path, other_graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes while files are being replaced."""
    real, seen = os.replace, 0

    def replace(*paths: Path) -> None:
        nonlocal seen
        seen += 1
        if seen == step + 1:
            signal.raise_signal(signal.SIGINT)
        real(*paths)

    monkeypatch.setattr(os, "replace", replace)
    with untouched(project):
        said = refusal(
            call("export", other_graph, "--board", "stm32f405", "-o", project), INTERRUPTED
        )
    assert said == "interrupted; give the same command again"
    assert seen > step
    export(other_graph, project)


def test_exports_at_once_are_one_after_the_other(
    graph_file: Path, other_graph: Path, tmp_path: Path
) -> None:
    whole = []
    for index, graph in enumerate((graph_file, other_graph)):
        export(graph, tmp_path / f"alone{index}")
        whole.append(tree(tmp_path / f"alone{index}"))
    folder = tmp_path / "shared"
    command = [sys.executable, str(PROGRAM), "export", "--board", "stm32f746", "-o", str(folder)]
    processes = [
        subprocess.Popen([*command, str(g)], stdout=subprocess.DEVNULL)
        for g in (graph_file, other_graph) * 2
    ]
    assert [p.wait() for p in processes] == [0] * 4
    assert tree(folder) in whole


# --- train --------------------------------------------------------------------------------------


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    """A finished model with a file of its user beside it."""
    shutil.copytree(trained, tmp_path / "model")
    add(tmp_path / "model", {"notes.txt": b"mine"})
    return tmp_path / "model"


def test_a_finished_model_is_replaced_by_force_alone(
    model: Path, data_dir: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path / "tiny.toml")
    train = ("train", recipe, "--data-dir", data_dir, "--seed", 1, "-o")
    for name in (CARD, WEIGHTS):
        with untouched(tmp_path):
            said = refusal(call(*train, model))
        assert said == f"{model} holds a model already ({name}); {REMEDY}"
        (model / name).rename(tmp_path / name)  # one of the two is enough
    for name in (CARD, WEIGHTS):
        (tmp_path / name).rename(model / name)
    before = files(model)
    call_json(*train, tmp_path / "new")
    call_json(*train, model, "--force")
    assert files(model) == before | files(tmp_path / "new")
    assert files(model) != before


def test_a_checkpoint_of_somebody_else_is_kept(
    data_dir: Path, tmp_path: Path, trained: Path
) -> None:
    recipe, folder = write_recipe(tmp_path / "tiny.toml"), tmp_path / "run"
    folder.mkdir()
    train = ("train", recipe, "--data-dir", data_dir, "-o", folder)
    for foreign in ({"weights": torch.zeros(2)}, torch.zeros(2), [1, 2]):
        torch.save(foreign, folder / "checkpoint.pt")
        with untouched(tmp_path):
            said = refusal(call(*train))
        assert said.startswith(f"{folder}/checkpoint.pt ")
        assert "; delete it " in said
    call_json(*train, "--force")
    assert files(folder) == {
        name: (trained / name).read_bytes() for name in (CARD, WEIGHTS, HISTORY)
    }


def test_of_two_trainings_in_a_folder_the_second_is_refused(data_dir: Path, tmp_path: Path) -> None:
    recipe, folder = write_recipe(tmp_path / "tiny.toml"), tmp_path / "run"
    with alone_in(folder):
        with untouched(tmp_path):
            said = refusal(call("train", recipe, "--data-dir", data_dir, "-o", folder))
        assert [p.name for p in folder.iterdir()] == [LOCK]
    assert said == (
        f"another lnn-edge is writing to {folder}; wait until it is done or choose another folder"
    )


# --- quantize and import ------------------------------------------------------------------------


def test_another_graph_is_replaced_by_force_alone(model: Path, data_dir: Path) -> None:
    quantize = ("quantize", model, "--data-dir", data_dir)
    before = tree(model)
    call_json(*quantize)
    assert tree(model) == before
    for name in ("model.qgraph", "quantize.json"):
        (model / name).write_text("mine")
        with untouched(model):
            said = refusal(call(*quantize))
        assert said == f"{model / name} is there and holds something else; {REMEDY}"
        call_json(*quantize, "--force")
        assert tree(model) == before


def test_another_model_is_replaced_by_an_import_by_force_alone(tmp_path: Path) -> None:
    ncps = pytest.importorskip("ncps.torch")
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            torch.save(ncps.CfC(3, 4, mode="pure").state_dict(), tmp_path / f"{seed}.pt")
    folder, options = tmp_path / "policy", ("--activation", "lecun_tanh")
    first, second = (("import", tmp_path / f"{seed}.pt", *options, "-o") for seed in (0, 1))
    call_json(*first, folder)
    add(folder, {"notes.txt": b"mine"})
    with untouched(tmp_path):
        call_json(*first, folder)
        said = refusal(call(*second, folder))
    assert said == f"{folder / WEIGHTS} is there and holds something else; {REMEDY}".replace(
        WEIGHTS, min(CARD, WEIGHTS)
    )
    call_json(*second, folder, "--force")
    call_json(*second, tmp_path / "new")
    assert files(folder) == files(tmp_path / "new") | {"notes.txt": b"mine"}
    np.save(tmp_path / "X.npy", np.random.default_rng(0).normal(size=(2, 50, 3)))
    call_json("quantize", folder, "--calibration", tmp_path / "X.npy")
    np.save(tmp_path / "Y.npy", np.random.default_rng(0).normal(size=(2, 50, 3)) * 9)
    with untouched(folder):
        said = refusal(call("quantize", folder, "--calibration", tmp_path / "Y.npy"))
    assert said.startswith(f"{folder}/model.qgraph is there and holds something else; ")
    call_json("quantize", folder, "--calibration", tmp_path / "Y.npy", "--force")


# --- report, demo, data -------------------------------------------------------------------------


def test_a_report_replaces_reports_alone(graph_file: Path, tmp_path: Path) -> None:
    project, page = tmp_path / "project", tmp_path / "index.html"
    export(graph_file, project)
    page.write_text("<!DOCTYPE html>\n<title>My page</title>\n")
    for place in (page, project / "export.json"):
        with untouched(tmp_path):
            said = refusal(call("report", project, "-o", place))
        assert said == (
            f"{place} is there and no report; choose another -o, or give --force to replace it"
        )
    call_json("report", project)
    call_json("report", project, "-o", page, "--force")
    assert page.read_bytes() == (project / "report.html").read_bytes()
    call_json("report", project, "-o", page)


def test_a_demo_begins_in_no_folder_of_somebody_else(tmp_path: Path) -> None:
    add(tmp_path / "demo", {"model/model.toml": b"mine"})
    with untouched(tmp_path):
        said = refusal(call("demo", "--out", tmp_path / "demo"))
    assert said == f"{tmp_path}/demo is not empty and no earlier demo; {REMEDY}"


def test_recordings_of_somebody_else_are_kept(tmp_path: Path) -> None:
    add(tmp_path, {"synthetic/my.dat": b"mine"})
    for command in (
        ("data", "fetch", "synthetic"),
        ("train", "ecg-beats-demo", "-o", tmp_path / "run"),
    ):
        with untouched(tmp_path):
            said = refusal(call(*command, "--data-dir", tmp_path))
        assert said == (
            f"{tmp_path}/synthetic is not empty and no earlier synthetic data set; move it away, "
            "or give another --data-dir"
        )


def test_a_full_disk_without_a_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lnn_edge.device.board.list_boards", fail)
    said = refusal(call("boards"))
    assert re.fullmatch("No space left on device; .*another folder", said)

"""A command that is told to end: one sentence, exit code 130, nothing half-done, nobody left."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.cli import INTERRUPTED
from lnn_edge.files.lock import LOCK
from lnn_edge.nn.history import HISTORY
from tests.cli.command import call, call_json, error_line, tree
from tests.cli.conftest import write_recipe
from tests.support.interruption import end_process, has_loaded, interrupted_at

SAID = "interrupted; give the same command again"
SIGNALS = [  # what nohup starts ignores SIGHUP
    n
    for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if signal.getsignal(n) != signal.SIG_IGN
]


# --- at each thing that is done to a file -------------------------------------------------------


def export(folder: Path, graph_file: Path, _: Path) -> tuple[object, ...]:
    return "export", graph_file, "--board", "stm32f746", "-o", folder / "out"


def export_again(folder: Path, graph_file: Path, _: Path) -> tuple[object, ...]:
    call_json("export", graph_file, "--board", "stm32f405", "-o", folder / "out")
    return export(folder, graph_file, _)


def report(folder: Path, graph_file: Path, _: Path) -> tuple[object, ...]:
    call_json(*export(folder, graph_file, _))
    return "report", folder / "out"


def predict(folder: Path, graph_file: Path, _: Path) -> tuple[object, ...]:
    table = folder / "in.csv"
    values = np.random.default_rng(0).normal(size=(3000, 2))
    np.savetxt(table, values, "%.3f", ",", header="MLII (mV),V1 (mV)", comments="")
    return "predict", "ecg-beats-cfc", table, "--rate", 360, "-o", folder / "out.csv"


def import_(folder: Path, graph_file: Path, _: Path) -> tuple[object, ...]:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(torch.nn.GRU(3, 4).state_dict(), folder / "gru.pt")
    return "import", folder / "gru.pt", "-o", folder / "out"


COMMANDS = (export, export_again, report, predict, import_)
SOME = 6  # places on the way; tests/files/test_interrupted_writes.py is thorough


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
def test_an_interruption_anywhere_leaves_all_or_nothing(
    command: Callable[[Path, Path, Path], tuple[object, ...]],
    graph_file: Path,
    trained: Path,
    tmp_path: Path,
) -> None:
    place = tmp_path / "place"

    def run(number: int) -> tuple[dict[str, bytes | None], int]:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        arguments = command(place, graph_file, trained)
        before = tree(place)
        with interrupted_at(number, place) as seen:
            outcome = call(*arguments, "--json")
        after = tree(place)
        if number and outcome.code:
            assert outcome.code == INTERRUPTED, outcome
            assert error_line(outcome) == SAID
            assert after in (before, whole), after.keys() ^ before.keys()
            if after == before:  # else it came behind the last thing that was to be done
                assert call(*arguments, "--json").code == 0
            assert tree(place) == whole
        else:
            assert outcome.code == 0, outcome
        return tree(place), seen()

    whole: dict[str, bytes | None] = {}
    whole, count = run(0)
    assert count > 3
    for number in sorted({*range(1, count, max(1, count // SOME)), count - 1, count}):
        assert run(number)[0] == whole, number


# --- as processes -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_a_training_that_is_ended_goes_on(
    number: signal.Signals, data_dir: Path, tmp_path: Path
) -> None:
    recipe, run = write_recipe(tmp_path / "tiny.toml", epochs="4"), tmp_path / "run"
    arguments = ["train", recipe, "--data-dir", data_dir, "-o", run]
    outcome = end_process(arguments, tmp_path, number, (run / LOCK).exists)
    assert (outcome.code, error_line(outcome)) == (INTERRUPTED, SAID)
    assert not run.exists()
    outcome = end_process(arguments, tmp_path, number, (run / "checkpoint.pt").exists)
    assert (outcome.code, error_line(outcome)) == (INTERRUPTED, SAID)
    left = {path.name for path in run.iterdir()}
    assert left in ({"checkpoint.pt"}, {"checkpoint.pt", HISTORY})  # the checkpoint comes first
    again = call(*arguments)
    assert "resumed at epoch " in again.out + again.err
    call_json(*arguments[:-1], tmp_path / "whole")
    assert tree(run) == tree(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_a_build_that_is_ended_leaves_no_compiler(
    number: signal.Signals, graph_file: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    call_json("export", graph_file, "--board", "stm32f746", "-o", project)
    arguments: list[object] = ["build", project]
    ninja = project / "build" / "board" / ".ninja_log"
    outcome = end_process(arguments, tmp_path, number, ninja.exists)
    assert (outcome.code, error_line(outcome)) == (INTERRUPTED, SAID)
    assert call_json(*arguments)["flash_bytes"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("link", ["virtual", "host"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_a_verification_that_is_ended_ends_its_board_and_goes_on(
    number: signal.Signals, link: str, graph_file: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    call_json("export", graph_file, "--board", "stm32f746", "-o", project)
    call_json("build", project)
    arguments: list[object] = ["verify", project, "--link", link]
    before = {path.name for path in project.iterdir()}
    journal = project / f".verify-{link}.part"
    outcome = end_process(arguments, tmp_path, number, journal.exists)
    assert (outcome.code, error_line(outcome)) == (INTERRUPTED, SAID)
    assert {path.name for path in project.iterdir()} - before <= {journal.name}
    assert call_json(*arguments)["mismatches"] == 0
    assert not journal.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_what_writes_nothing_yet_says_so_too(
    number: signal.Signals, data_dir: Path, trained: Path, tmp_path: Path
) -> None:
    """Quantize and evaluate, once torch is there: most of their time is before they write."""
    shutil.copytree(trained, tmp_path / "model")
    (tmp_path / "model" / "model.qgraph").unlink()
    before = tree(tmp_path / "model")
    for command in ("quantize", "evaluate"):
        arguments: list[object] = [command, tmp_path / "model", "--data-dir", data_dir]
        outcome = end_process(arguments, tmp_path, number, partial(has_loaded, "libtorch_python"))
        assert (outcome.code, error_line(outcome)) == (INTERRUPTED, SAID)
        assert tree(tmp_path / "model") == before

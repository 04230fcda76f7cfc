"""A model runs on QEMU's machines with the cores that boards have, bit-exact, or is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.build.cmake import OverBudgetError
from lnn_edge.build.project import Project, open_project
from lnn_edge.codegen.project import export
from lnn_edge.device.board import list_boards, load_board
from lnn_edge.device.cores import CORES
from lnn_edge.errors import UsageError
from lnn_edge.files.shipped import GRAPH, shipped_folder, shipped_names
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.stand_in import stand_in
from lnn_edge.verify.verify import verify_signals
from tests.firmware.programs import needs_arm_gcc, needs_qemu
from tests.support.toy import motion, toy_graph, toy_source_graph

MACHINES = {
    "nucleo-g071rb": "qemu:microbit",
    "bluepill": "qemu:mps2-an385",
    "nucleo-f446re": "qemu:mps2-an386",
    "stm32f746g-disco": "qemu:mps2-an500",
    "nucleo-u575zi": "qemu:mps2-an505",
    "mps3-an547": "qemu:mps3-an547",
}
TOO_LARGE = {("nucleo-g071rb", "ccfc"), ("nucleo-g071rb", "cltc")}  # 256 KB of flash


def project_of(graph: QGraph, board: str, folder: Path) -> Project:
    export(graph, load_board(board), folder / "p")
    return open_project(folder / "p")


def frames_of(graph: QGraph, length: int) -> Signal:
    frames = motion(3, length)[:, : graph.frame.size]
    events = range(60, length - 60, 45) if graph.takes_events else ()
    return Signal("motion", frames, np.array(events, np.int64))


@pytest.mark.target
@needs_arm_gcc
@needs_qemu
@pytest.mark.parametrize("board", MACHINES)
def test_a_model_is_bit_exact_on_the_core_of_its_board(board: str, tmp_path: Path) -> None:
    graph = toy_graph()
    project = project_of(graph, board, tmp_path)
    found = verify_signals(project, MACHINES[board], [frames_of(graph, 500)])
    assert found.is_exact
    assert found.steps >= 7
    assert found.board == MACHINES[board].removeprefix("qemu:")
    assert not found.clock_warnings


@pytest.mark.target
@needs_arm_gcc
@needs_qemu
def test_the_firmware_of_the_f1_runs_on_one(tmp_path: Path) -> None:
    """QEMU has an STM32F100: its UART and memories, but no clock tree, and 8 KB of RAM."""
    graph = toy_graph()
    project = project_of(graph, "stm32vldiscovery", tmp_path)
    found = verify_signals(project, "qemu", [frames_of(graph, 500)])
    assert found.is_exact
    assert found.steps >= 7
    assert found.board == "stm32vldiscovery"
    assert found.clock_warnings  # it went on with the oscillator of reset


def test_every_core_of_a_board_has_a_machine() -> None:
    machines = {MACHINES[b].removeprefix("qemu:") for b in MACHINES}
    cores = {CORES[load_board(name).mcu.cpu].architecture for name in machines}
    assert cores == {CORES[board.mcu.cpu].architecture for board in list_boards()}


def test_the_twin_has_the_projects_model(tmp_path: Path) -> None:
    project = project_of(toy_source_graph(), "bluepill", tmp_path)
    twin = stand_in(project, "qemu:mps2-an385")
    assert twin.folder == project.folder / "build" / "mps2-an385"
    for file in (project.folder / "model").iterdir():
        assert (twin.folder / "model" / file.name).read_bytes() == file.read_bytes()
    assert stand_in(project, "qemu:mps2-an385").folder == twin.folder  # again, over the first
    assert stand_in(project, "host") is project


def test_another_core_is_refused(tmp_path: Path) -> None:
    project = project_of(toy_graph(), "bluepill", tmp_path)
    with pytest.raises(
        UsageError, match="has a cortex-m4, and bluepill a cortex-m3; take qemu:mps2-an385"
    ):
        stand_in(project, "qemu:mps2-an386")
    with pytest.raises(UsageError, match="no board has the machine 'qemu:virt'; take one of qemu:"):
        stand_in(project, "qemu:virt")
    assert not (project.folder / "build").exists()


@pytest.mark.target
@needs_arm_gcc
def test_what_does_not_fit_is_refused_with_its_bytes(tmp_path: Path) -> None:
    graph = load_graph(shipped_folder("ccfc") / GRAPH)
    project = project_of(graph, "nucleo-g071rb", tmp_path)
    told = r"needs \d+ bytes more than the 262144 bytes of flash on microbit"
    with pytest.raises(OverBudgetError, match=told):
        verify_signals(project, "qemu:microbit", [frames_of(graph, 100)])


@pytest.mark.slow
@pytest.mark.target
@needs_arm_gcc
@needs_qemu
@pytest.mark.parametrize("board", MACHINES)
@pytest.mark.parametrize("name", shipped_names())
def test_shipped_models_are_bit_exact(name: str, board: str, tmp_path: Path) -> None:
    from lnn_edge.tasks.recordings import load_labelled
    from lnn_edge.tasks.registry import task_of
    from lnn_edge.verify.verify import verify_project

    graph = load_graph(shipped_folder(name) / GRAPH)
    task = task_of(graph.metadata)
    assert task is not None
    project, recordings = project_of(graph, board, tmp_path), load_labelled(task.shown)[:1]
    if (board, name) in TOO_LARGE:
        with pytest.raises(OverBudgetError, match=r"needs \d+ bytes more than the \d+ bytes of"):
            verify_project(project, MACHINES[board], recordings)
        return
    found = verify_project(project, MACHINES[board], recordings)
    assert found.is_exact
    assert found.steps > 2

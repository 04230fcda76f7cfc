"""QEMU's machines with other cores: a project's model runs there around the machine's own board."""

from __future__ import annotations

from lnn_edge.build.project import Project, open_project
from lnn_edge.codegen.project import export
from lnn_edge.device.board import Board, list_boards
from lnn_edge.device.cores import CORES
from lnn_edge.device.runners.qemu import PREFIX
from lnn_edge.errors import UsageError


def stand_in(project: Project, spec: str) -> Project:
    """Return what is built for a runner: the project, or for another machine of QEMU its twin.

    The twin has the project's model, byte for byte, and the board of the machine; it lies in
    build/MACHINE of the project.

    Args:
        project: The project.
        spec: Runner, such as "qemu:mps2-an385"; see runners.make_runner.

    Raises:
        UsageError: No board has that machine, or its core is not that of the project's board.
    """
    if not spec.startswith(PREFIX) or spec == project.board.tools.emulator:
        return project
    machines = {b.tools.emulator: b for b in list_boards() if b.tools.emulator.startswith(PREFIX)}
    board = machines.get(spec)
    if board is None:
        raise UsageError(f"no board has the machine {spec!r}; take one of {', '.join(machines)}")
    if not _runs(board, project.board):
        same = [name for name, b in machines.items() if _runs(b, project.board)]
        advice = f"take {' or '.join(same)}" if same else f"export for {board.name}"
        raise UsageError(
            f"{spec} has a {board.mcu.cpu}, and {project.board.name} a {project.board.mcu.cpu}; "
            f"{advice}"
        )
    folder = project.folder / "build" / board.name
    export(project.graph, board, folder)
    return open_project(folder)


def _runs(machine: Board, board: Board) -> bool:
    """Whether a machine has the core of a board; a Cortex-M0 runs what a Cortex-M0+ runs."""
    a, b = CORES[machine.mcu.cpu], CORES[board.mcu.cpu]
    return a == b or a.architecture == b.architecture == "v6-m"

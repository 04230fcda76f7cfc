"""Flashes a built project onto a board that is connected by USB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lnn_edge.build.cmake import BuildResult, build
from lnn_edge.build.project import open_board
from lnn_edge.build.record import is_built
from lnn_edge.device.board import Board
from lnn_edge.device.runners import FLASH_RUNNERS, Image, make_runner
from lnn_edge.errors import LinkError, MissingToolError, UsageError


@dataclass(frozen=True)
class Flashed:
    """What a board runs now.

    Attributes:
        board: The board.
        runner: Name of the runner that wrote it.
        built: The firmware.
    """

    board: Board
    runner: str
    built: BuildResult


def flash(project: Path, runner: str | None = None) -> Flashed:
    """Write the firmware of a project to its board; a stale build is built again first.

    Args:
        project: Folder that was built before.
        runner: One of FLASH_RUNNERS; None takes the first that works here.

    Raises:
        UsageError: The folder is no exported project, or was never built.
        MissingToolError: No runner works here.
        LinkError: The board cannot be written; names the runners that do not work here, too.
    """
    board = open_board(project)
    if not is_built(project, "board"):
        raise UsageError(f"{project} is not built; run `lnn-edge build {project}`")
    runners = [make_runner(name, board) for name in ([runner] if runner else FLASH_RUNNERS)]
    usable = [r for r in runners if r.available() is None]
    reasons = "; ".join(f"{r.name}: {r.available()}" for r in runners if r not in usable)
    if not usable:
        raise MissingToolError(f"no way to flash {board.name}: {reasons}")
    built = build(project)
    try:
        usable[0].flash(Image(built.elf, built.bin))
    except LinkError as error:
        raise LinkError(f"{error}; {reasons}" if reasons else str(error)) from None
    return Flashed(board, usable[0].name, built)

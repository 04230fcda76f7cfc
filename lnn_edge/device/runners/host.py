"""The firmware's protocol and the model as a program of this machine."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from lnn_edge.device.runners.emulator import AbstractEmulator
from lnn_edge.device.runners.process import BoardProcess
from lnn_edge.device.runners.runner import Image

if TYPE_CHECKING:
    from lnn_edge.device.board import Board

_START_S = 10.0


class HostRunner(AbstractEmulator):
    """Runs the executable of the host preset; it serves its port over TCP.

    Args:
        board: The board that the project is for.
    """

    def __init__(self, board: Board) -> None:
        super().__init__("host", board)

    def available(self) -> str | None:
        """Nothing but the executable is needed."""
        return None

    def _start(self, image: Image, resources: ExitStack) -> tuple[BoardProcess, str]:
        process = BoardProcess(self.name, [str(image.elf)])
        resources.callback(process.close)
        return process, process.first_line(_START_S)

"""Flashing through st-flash of the stlink tools."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lnn_edge.device.runners.probe import AbstractProbe
from lnn_edge.device.runners.runner import Image

if TYPE_CHECKING:
    from lnn_edge.device.board import Board

_PROGRAM = "st-flash"
_FAILURES = ("ERROR", "Couldn't find", "Failed to")


class StFlashRunner(AbstractProbe):
    """Writes and starts firmware; st-flash compares what it wrote.

    Args:
        board: The board.
    """

    def __init__(self, board: Board) -> None:
        super().__init__(_PROGRAM, board)

    def available(self) -> str | None:
        """The stlink tools must be installed."""
        if shutil.which(_PROGRAM) is None:
            return f"{_PROGRAM} is not installed; run `sudo apt-get install stlink-tools`"
        return None

    def flash(self, image: Image) -> None:
        """Write to the start of flash, start."""
        self.require()
        start = self.board.region(self.board.layout.flash).start
        command = [_PROGRAM, "--reset", "write", str(self._need(image.bin)), f"{start:#010x}"]
        self._run(command, _FAILURES)

    def reset(self) -> None:
        """Reset the core and let it run."""
        self.require()
        self._run([_PROGRAM, "reset"], _FAILURES)

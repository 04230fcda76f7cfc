"""Flashing through OpenOCD."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lnn_edge.device.runners.probe import AbstractProbe
from lnn_edge.device.runners.runner import Image
from lnn_edge.errors import LinkError
from lnn_edge.files.names import active_character

if TYPE_CHECKING:
    from lnn_edge.device.board import Board

_PROGRAM = "openocd"
_FAILURES = ("Error:", "** Programming Failed **", "** Verify Failed **")


class OpenocdRunner(AbstractProbe):
    """Writes, verifies and starts firmware with the configuration that the board names.

    Args:
        board: The board.
    """

    def __init__(self, board: Board) -> None:
        super().__init__(_PROGRAM, board)

    def available(self) -> str | None:
        """The board must name a configuration, and OpenOCD be installed."""
        if not self.board.tools.openocd:
            return f"{self.board.name} names no configuration in [tools] openocd; add one"
        if shutil.which(_PROGRAM) is None:
            return f"{_PROGRAM} is not installed; run `sudo apt-get install {_PROGRAM}`"
        return None

    def flash(self, image: Image) -> None:
        """Write, verify, start."""
        elf = self._need(image.elf)
        found = active_character(elf, "{}")
        if found is not None:
            raise LinkError(
                f"{self.name} does not read {found!r} in the path {str(elf)!r} as it is; move the "
                "project"
            )
        self._command(f"program {{{elf}}} verify reset exit")

    def reset(self) -> None:
        """Reset the core and let it run."""
        self._command("init; reset run; exit")

    def _command(self, script: str) -> None:
        self.require()
        files = [word for file in self.board.tools.openocd for word in ("-f", file)]
        self._run([_PROGRAM, *files, "-c", script], _FAILURES)

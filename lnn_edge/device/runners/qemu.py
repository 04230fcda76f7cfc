"""QEMU: a second emulator, by other people, as a witness."""

from __future__ import annotations

import re
import shutil
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lnn_edge.device.elf import read_elf
from lnn_edge.device.runners.emulator import AbstractEmulator
from lnn_edge.device.runners.process import BoardProcess, telling_line
from lnn_edge.device.runners.runner import Image

if TYPE_CHECKING:
    from lnn_edge.device.board import Board

_PROGRAM = "qemu-system-arm"
PREFIX = "qemu:"  # of a board's emulator, and of a runner that names its machine


class QemuRunner(AbstractEmulator):
    """Runs firmware on the machine that the board's description names.

    Args:
        board: The board.
        name: As given on the command line: "qemu", or with the machine of the board.
    """

    has_clock = False  # the ready bits of its RCC stay zero

    def __init__(self, board: Board, name: str = "qemu") -> None:
        super().__init__(name, board)

    def available(self) -> str | None:
        """The board must have a machine in QEMU, and QEMU be installed."""
        if not self.board.tools.emulator.startswith(PREFIX):
            return (
                f"QEMU has no machine for {self.board.name};"
                " use a board whose [tools] emulator is qemu:MACHINE, such as stm32f405"
            )
        if shutil.which(_PROGRAM) is None:
            return f"{_PROGRAM} is not installed; run `sudo apt-get install {_PROGRAM}`"
        return None

    def _start(self, image: Image, resources: ExitStack) -> tuple[BoardProcess, str]:
        # A listening socket is handed over: no port can be taken between choosing and using it.
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            process = BoardProcess(
                self.name,
                [*_bound_to_parent(), *self._command(image.elf, server.fileno())],
                pass_fds=[server.fileno()],
                explain=lambda text: _explain(text, image.elf),
            )
        resources.callback(process.close)
        return process, f"socket://127.0.0.1:{port}"

    def _command(self, elf: Path, descriptor: int) -> list[str]:
        machine = self.board.tools.emulator.removeprefix(PREFIX)
        uart = f"socket,id=uart,fd={descriptor},server=on,wait=off"
        quiet = ["-display", "none", "-monitor", "none"]
        serial = ["-chardev", uart, "-serial", "chardev:uart"]
        return [_PROGRAM, "-M", machine, "-kernel", str(elf), *quiet, *serial]


def _bound_to_parent() -> list[str]:
    """Make QEMU end with this process even if that is killed, where the system can (Linux)."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def _explain(text: str, elf: Path) -> str:
    """QEMU's own line, with the function where the core stood."""
    line = telling_line(text)
    counter = re.search(r"\bR15=([0-9a-f]{8})", text)
    return f"{line} at {read_elf(elf).describe(int(counter[1], 16))}" if counter else line

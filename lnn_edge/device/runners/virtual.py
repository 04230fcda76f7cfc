"""The virtual board: the unmodified firmware on an emulated STM32F746, in its own process."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn_edge.device.runners.emulator import AbstractEmulator
from lnn_edge.device.runners.process import BoardProcess
from lnn_edge.device.runners.runner import Image
from lnn_edge.errors import LinkError

if TYPE_CHECKING:
    from lnn_edge.device.board import Board

_START_S = 60.0  # the first start compiles the instruction counter
_PROFILE_S = 60.0  # on a busy machine
_LOOK_S = 0.05


class VirtualRunner(AbstractEmulator):
    """Runs firmware on the virtual board.

    Args:
        board: The board; its memories, oscillator and serial port are what is emulated.
        is_pty: Serve on a pseudo-terminal, as a real port would be, instead of TCP.
    """

    def __init__(self, board: Board, *, is_pty: bool = False) -> None:
        super().__init__("virtual:pty" if is_pty else "virtual", board)
        self._is_pty = is_pty
        self._profile: Path | None = None

    def available(self) -> str | None:
        """The board must be an STM32F746, and the engine installed."""
        if self.board.tools.emulator != "virtual":
            return (
                f"no virtual board stands in for {self.board.name};"
                " use a board whose [tools] emulator is virtual, such as stm32f746"
            )
        if importlib.util.find_spec("unicorn") is None:
            return "the engine is not installed; run `pip install unicorn`"
        return None

    def _start(self, image: Image, resources: ExitStack) -> tuple[BoardProcess, str]:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        machine, self._profile = folder / "machine.json", folder / "profile.json"
        machine.write_text(json.dumps(describe_machine(self.board)), encoding="utf-8")
        port = ["--pty"] if self._is_pty else ["--tcp", "0"]
        files = ["--machine", str(machine), "--profile", str(self._profile)]
        command = [sys.executable, "-m", "lnn_edge.device.virtual", str(image.elf), *port, *files]
        process = BoardProcess(self.name, command)
        resources.callback(process.close)
        return process, process.first_line(_START_S)

    def instructions_by_function(self) -> dict[str, int]:
        """Instructions retired in each function so far.

        Raises:
            LinkError: Nothing runs, or it does not answer.
        """
        functions: dict[str, int] = self.profile()["functions"]
        return functions

    def profile(self) -> dict[str, Any]:
        """Instructions retired so far, in all and by function, and what the wire carried.

        Returns:
            Keys instructions, core_clock_hz, virtual_seconds, usart, functions {name: count}.

        Raises:
            LinkError: Nothing runs, or it does not answer.
        """
        process, _ = self._running()
        assert self._profile is not None  # set with the process
        self._profile.unlink(missing_ok=True)
        deadline = time.monotonic() + _PROFILE_S
        while not self._profile.exists():
            if time.monotonic() > deadline:
                reason = process.diagnosis() or f"no profile within {_PROFILE_S:g} s; try again"
                raise LinkError(f"{self.name}: {reason}")
            process.signal(signal.SIGUSR1)  # again and again: at its very start it may miss one
            time.sleep(_LOOK_S)
        profile: dict[str, Any] = json.loads(self._profile.read_text(encoding="utf-8"))
        return profile


def describe_machine(board: Board) -> dict[str, Any]:
    """Return the machine that the virtual board's --machine file describes."""
    memories = [
        {
            "name": region.name,
            "start": region.start,
            "size": region.size,
            "kind": region.kind,
            "dma": region.dma,
        }
        for region in board.memory
    ]
    return {
        "name": board.name,
        "cpu": board.mcu.cpu,
        "memories": memories,
        "hse_hz": board.clock.hse_hz,
        "double_precision": board.mcu.fpu == "fpv5-d16",
        "usart": _describe_uart(board),
    }


def _describe_uart(board: Board) -> dict[str, Any]:
    uart = board.uart
    number = int(uart.instance[-1])
    return {
        "name": uart.instance,
        "base": uart.base,
        "irq": uart.irq,
        "bus": uart.bus,
        "clock_bit": uart.enable_bit,
        "select_bit": 2 * (number - 1),  # RM0385, RCC_DCKCFGR2: two bits each from USART1 on
    }

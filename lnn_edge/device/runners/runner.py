"""What every runner can do: bring firmware to a device and say where its serial port is."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lnn_edge.errors import MissingToolError

if TYPE_CHECKING:
    from lnn_edge.device.board import Board


@dataclass(frozen=True)
class Image:
    """What a build left behind.

    Attributes:
        elf: Linked program; for the host an executable of this machine.
        bin: The same as it lies in flash; None for the host.
    """

    elf: Path
    bin: Path | None


class AbstractRunner(abc.ABC):
    """A device that runs firmware, real or not. A context manager: leaving ends what it started.

    A runner of a real board never falls back to an emulator.

    Args:
        name: As given on the command line.
        board: The board that the firmware was built for.

    Attributes:
        has_clock: Whether the device can come up on the clock that its firmware configures.
    """

    has_clock = True

    def __init__(self, name: str, board: Board) -> None:
        self.name = name
        self.board = board

    @abc.abstractmethod
    def available(self) -> str | None:
        """Why this runner cannot work here and what to do about it, or None if it can."""

    @abc.abstractmethod
    def flash(self, image: Image) -> None:
        """Bring firmware to the device and start it.

        Raises:
            MissingToolError: What `available` says.
            LinkError: No device, or it refused.
        """

    @abc.abstractmethod
    def reset(self) -> None:
        """Start the firmware again; ask for the serial port anew afterwards."""

    @abc.abstractmethod
    def serial_url(self) -> str:
        """Return what a Link opens.

        Raises:
            LinkError: Nothing runs, or it is not clear which port is the board's.
        """

    @abc.abstractmethod
    def diagnosis(self) -> str | None:
        """Why the device ended, in one line; None while it runs, or if unknown."""

    def instructions_by_function(self) -> dict[str, int] | None:
        """Instructions retired in each function so far; None if they are not counted."""
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """End what was started; more than once does no harm."""

    def require(self) -> None:
        """Refuse to go on where the runner cannot work.

        Raises:
            MissingToolError: What `available` says.
        """
        reason = self.available()
        if reason is not None:
            raise MissingToolError(f"{self.name}: {reason}")

    def __enter__(self) -> AbstractRunner:
        """Return the runner."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what was started."""
        self.close()

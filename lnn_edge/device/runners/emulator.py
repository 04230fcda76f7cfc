"""What the runners without a real board have in common: one supervised program."""

from __future__ import annotations

import abc
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lnn_edge.device.runners.process import BoardProcess
from lnn_edge.device.runners.runner import AbstractRunner, Image
from lnn_edge.errors import LinkError

if TYPE_CHECKING:
    from lnn_edge.device.board import Board


class AbstractEmulator(AbstractRunner):
    """A runner whose device is a program on this machine; flashing starts it.

    Args:
        name: As given on the command line.
        board: The board that it stands in for.
    """

    def __init__(self, name: str, board: Board) -> None:
        super().__init__(name, board)
        self._resources = ExitStack()
        self._image: Image | None = None
        self._started: tuple[BoardProcess, str] | None = None

    @abc.abstractmethod
    def _start(self, image: Image, resources: ExitStack) -> tuple[BoardProcess, str]:
        """Start the program; return it and its serial URL. Resources live as long as it does."""

    def flash(self, image: Image) -> None:
        """Start the program with this firmware; one that runs is ended first."""
        self.require()
        if not image.elf.is_file():
            raise LinkError(f"{self.name}: {image.elf} is not there; run `lnn-edge build` first")
        self.close()
        self._image = image
        self._started = self._start(image, self._resources)

    def reset(self) -> None:
        """Start the program again."""
        if self._image is None:
            raise LinkError(f"{self.name}: nothing runs yet; flash firmware first")
        self.flash(self._image)

    def serial_url(self) -> str:
        """Return what a Link opens."""
        return self._running()[1]

    def diagnosis(self) -> str | None:
        """Why the program ended; None while it runs."""
        return self._running()[0].diagnosis()

    def close(self) -> None:
        """End the program."""
        self._started = None
        self._resources.close()

    def _running(self) -> tuple[BoardProcess, str]:
        if self._started is None:
            raise LinkError(f"{self.name}: nothing runs yet; flash firmware first")
        return self._started

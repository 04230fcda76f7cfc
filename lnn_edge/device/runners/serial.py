"""A board that already runs its firmware, on a serial port that the user names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lnn_edge.device.runners.runner import AbstractRunner, Image
from lnn_edge.errors import LinkError

if TYPE_CHECKING:
    from lnn_edge.device.board import Board


class SerialRunner(AbstractRunner):
    """Uses what is on the board: whether it is the right model, its hash tells (Link.hello).

    Args:
        port: Serial device, pseudo-terminal or ``socket://HOST:PORT``.
        board: The board that the project is for.
    """

    def __init__(self, port: str, board: Board) -> None:
        super().__init__(f"serial:{port}", board)
        self._port = port

    def available(self) -> str | None:
        """Whether the port is there, opening it tells."""
        return None

    def flash(self, image: Image) -> None:
        """Nothing: the board keeps its firmware."""

    def reset(self) -> None:
        """Refuse: a serial port has no reset line.

        Raises:
            LinkError: Always.
        """
        raise LinkError(f"{self.name}: a serial port cannot reset the board; press its button")

    def serial_url(self) -> str:
        """Return the port."""
        return self._port

    def diagnosis(self) -> str | None:
        """Nobody can know."""
        return None

    def close(self) -> None:
        """Nothing was started."""

"""Flashing through the mass storage that the board's debug probe shows."""

from __future__ import annotations

import getpass
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lnn_edge.device.runners.probe import AbstractProbe
from lnn_edge.device.runners.runner import Image
from lnn_edge.errors import LinkError
from lnn_edge.files.reason import reason_of

if TYPE_CHECKING:
    from lnn_edge.device.board import Board

_REPORT = "FAIL.TXT"  # what the probe leaves when it refused an image
_LOOK_S = 0.1


def mount_folders() -> tuple[Path, ...]:
    """Folders in which systems mount removable volumes by their label."""
    user = getpass.getuser()
    names = (f"/media/{user}", f"/run/media/{user}", "/media", "/mnt", "/Volumes")
    return tuple(map(Path, names))


class MsdRunner(AbstractProbe):
    """Copies the image to the probe's volume; the probe writes it and resets the board.

    Args:
        board: The board; its [tools] volume is the label.
        folders: Where the volume may be mounted.
        patience_s: How long to wait for the probe's verdict, seconds.
    """

    def __init__(
        self, board: Board, folders: tuple[Path, ...] | None = None, patience_s: float = 10.0
    ) -> None:
        super().__init__("msd", board)
        self._folders = mount_folders() if folders is None else folders
        self._patience_s = patience_s

    def available(self) -> str | None:
        """The board's probe must have mass storage."""
        if not self.board.tools.volume:
            return f"the probe of {self.board.name} shows no volume; use openocd or st-flash"
        return None

    def flash(self, image: Image) -> None:
        """Copy the image and wait for the probe's verdict."""
        self.require()
        source, volume = self._need(image.bin), self._volume()
        is_stale = (volume / _REPORT).exists()
        try:
            _copy(source, volume / "firmware.bin")
        except OSError as error:
            raise LinkError(
                f"msd: cannot copy {source} to {volume} ({reason_of(error)})"
            ) from error
        report = self._verdict(volume, is_stale)
        if report:
            raise LinkError(
                f"msd: the probe of {self.board.title} refused the image: {report};"
                " plug it in again or use openocd"
            )

    def reset(self) -> None:
        """Refuse: a volume has no reset line.

        Raises:
            LinkError: Always.
        """
        raise LinkError("msd: the volume cannot reset the board; press its button")

    def _volume(self) -> Path:
        label = self.board.tools.volume
        for folder in self._folders:
            if (folder / label).is_dir():
                return folder / label
        looked = ", ".join(map(str, self._folders))
        raise LinkError(
            f"msd: no volume {label} is mounted (looked in {looked});"
            f" connect {self.board.title} by USB and mount it"
        )

    def _verdict(self, volume: Path, is_stale: bool) -> str:
        """Text of the probe's report, "" if there is none: the volume comes back without one.

        A report of an earlier image counts only after the volume has gone and come back.
        """
        deadline = time.monotonic() + self._patience_s
        has_gone = False
        while time.monotonic() < deadline:
            is_there = volume.is_dir()
            has_gone = has_gone or not is_there
            if is_there and (has_gone or not is_stale):
                report = _read_report(volume)
                if report or has_gone:
                    return report
            time.sleep(_LOOK_S)
        return ""


def _read_report(volume: Path) -> str:
    try:
        return " ".join((volume / _REPORT).read_text(errors="replace").split())
    except OSError:
        return ""


def _copy(source: Path, target: Path) -> None:
    """Copy and wait until the bytes have left this machine."""
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write)
        write.flush()
        os.fsync(write.fileno())

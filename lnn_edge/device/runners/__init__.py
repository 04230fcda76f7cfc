"""Where firmware runs: this machine, emulators, real boards. One file each."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING

from lnn_edge.device.runners.host import HostRunner
from lnn_edge.device.runners.msd import MsdRunner
from lnn_edge.device.runners.openocd import OpenocdRunner
from lnn_edge.device.runners.qemu import PREFIX, QemuRunner
from lnn_edge.device.runners.runner import AbstractRunner, Image
from lnn_edge.device.runners.serial import SerialRunner
from lnn_edge.device.runners.st_flash import StFlashRunner
from lnn_edge.device.runners.virtual import VirtualRunner
from lnn_edge.errors import UsageError
from lnn_edge.files.plugins import load_plugin, plugin_names

if TYPE_CHECKING:
    from lnn_edge.device.board import Board

__all__ = ["FLASH_RUNNERS", "AbstractRunner", "Image", "VirtualRunner", "make_runner"]

FLASH_RUNNERS = ("openocd", "st-flash", "msd")  # those that write a real board, in order of trust

GROUP = "lnn_edge.runners"  # of entry points, each a function (spec, board) -> AbstractRunner
_SERIAL = "serial:"


def make_runner(spec: str, board: Board) -> AbstractRunner:
    """Return the runner of that name.

    Args:
        spec: host, virtual, virtual:pty, qemu, qemu:MACHINE, serial:PORT, openocd, st-flash, msd,
            or one that another package adds, NAME or NAME:....
        board: The board that the firmware is for.

    Raises:
        UsageError: No such runner, or the package that adds it is broken.
    """
    makers: dict[str, Callable[[], AbstractRunner]] = {
        "host": lambda: HostRunner(board),
        "virtual": lambda: VirtualRunner(board),
        "virtual:pty": lambda: VirtualRunner(board, is_pty=True),
        "qemu": lambda: QemuRunner(board),
        "openocd": lambda: OpenocdRunner(board),
        "st-flash": lambda: StFlashRunner(board),
        "msd": lambda: MsdRunner(board),
    }
    if spec in makers:
        return makers[spec]()
    if spec.startswith(_SERIAL) and spec != _SERIAL:
        return SerialRunner(spec.removeprefix(_SERIAL), board)
    if spec.startswith(PREFIX) and spec != PREFIX:
        return QemuRunner(board, spec)
    added = load_plugin(GROUP, spec.partition(":")[0], Callable)  # type: ignore[arg-type]
    if added is not None:
        runner: AbstractRunner = added(spec, board)
        return runner
    known = [*makers, f"{PREFIX}MACHINE", f"{_SERIAL}PORT", *plugin_names(GROUP)]
    near = difflib.get_close_matches(spec, known, n=2)
    raise UsageError(f"no runner {spec!r}; choose {' or '.join(near) or ', '.join(known)}")

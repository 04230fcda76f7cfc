"""Brings a built project to a device and opens the link to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lnn_edge.build.cmake import BuildResult
from lnn_edge.device.board import Board
from lnn_edge.device.link import Link
from lnn_edge.device.runners import AbstractRunner, Image, make_runner


def preset_of(spec: str) -> str:
    """Return the CMake preset whose firmware a runner runs."""
    return "host" if spec == "host" else "board"


@contextmanager
def open_device(
    board: Board, spec: str, built: BuildResult
) -> Iterator[tuple[AbstractRunner, Link]]:
    """Start firmware on a device; leaving ends what was started.

    Args:
        board: The board it was built for.
        spec: Runner, see runners.make_runner.
        built: The firmware.

    Raises:
        LinkError, MissingToolError: The device is not available.
    """
    with make_runner(spec, board) as runner:
        runner.flash(Image(built.elf, built.bin))
        with Link(runner.serial_url(), elf=built.elf, diagnose=runner.diagnosis) as link:
            yield runner, link

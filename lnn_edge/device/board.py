"""Boards: read from their TOML files and checked.

Knows no generator, no build and no emulator; they read a Board.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from lnn_edge.device.board_checks import check_board
from lnn_edge.device.board_facts import Board, Clock, Dma, Layout, Mcu, Pll, Region, Tools, Uart
from lnn_edge.errors import BoardError
from lnn_edge.files import resources, tables
from lnn_edge.files.read import read_toml

__all__ = [
    "Board",
    "Clock",
    "Dma",
    "Layout",
    "Mcu",
    "Pll",
    "Region",
    "Tools",
    "Uart",
    "board_of",
    "list_boards",
    "load_board",
    "read_board",
]


def load_board(spec: str) -> Board:
    """Return the board of that name or alias, or of a TOML file by path.

    Raises:
        BoardError: Unknown name (the nearest are named), unreadable file, or a failed check.
    """
    if spec.endswith(".toml") or Path(spec).is_file():
        return read_board(Path(spec))
    shipped = resources.path("boards") / f"{spec}.toml"
    if re.fullmatch(r"[a-z0-9-]+", spec) and shipped.is_file():
        return read_board(shipped)
    boards = list_boards()
    names = {name: board for board in boards for name in (board.name, *board.aliases)}
    if spec in names:
        return names[spec]
    near = difflib.get_close_matches(spec.lower(), names, n=3, cutoff=0.4)
    advice = f"nearest are {', '.join(near)}" if near else "`lnn-edge boards` lists them"
    raise BoardError(f"unknown board {spec!r}; {advice}; or give the path of a board's .toml")


def list_boards() -> tuple[Board, ...]:
    """Return every board that comes with lnn-edge, by name."""
    files = sorted(resources.path("boards").glob("*.toml"))
    return tuple(sorted(map(read_board, files), key=lambda board: board.name))


def read_board(path: Path) -> Board:
    """Read and check one board file.

    Raises:
        BoardError: Unreadable, not TOML, a wrong key or type, or a failed check.
    """
    where = f"{path.parent.name}/{path.name}" if path.parent.name == "boards" else str(path)
    try:
        values = read_toml(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BoardError(f"{where}: cannot read it ({reason}); give a board file") from error
    except ValueError as error:
        raise BoardError(f"{where}: not valid TOML ({error})") from error
    return board_of(values, where)


def board_of(values: object, where: str) -> Board:
    """Return the board of parsed TOML, or of what `Board.to_json` wrote.

    Raises:
        BoardError: A wrong key or type, or a failed check.
    """
    board = tables.build(Board, values, where, BoardError)
    check_board(board, where)
    return board

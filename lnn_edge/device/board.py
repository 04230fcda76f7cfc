"""Boards: read from their TOML files and checked.

Knows no generator, no build and no emulator; they read a Board.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path

from lnn_edge.device.board_checks import check_board
from lnn_edge.device.board_facts import Board, Clock, Dma, Layout, Mcu, Pll, Region, Tools, Uart
from lnn_edge.errors import BoardError
from lnn_edge.files import resources, tables

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
    "board_from_json",
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
    boards = list_boards()
    names = {name: board for board in boards for name in (board.name, *board.aliases)}
    if spec in names:
        return names[spec]
    near = difflib.get_close_matches(spec.lower(), names, n=3, cutoff=0.4)
    advice = f"nearest are {', '.join(near)}" if near else f"known are {', '.join(sorted(names))}"
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
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise BoardError(
            f"{where}: cannot read it ({_reason(error)}); give a board file"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BoardError(f"{where}: not valid TOML ({error})") from error
    return _checked(tables.build(Board, values, where, BoardError), where)


def board_from_json(text: str, where: str) -> Board:
    """Read what `Board.to_json` wrote.

    Raises:
        BoardError: Not JSON, a wrong key or type, or a failed check.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise BoardError(f"{where}: not valid JSON ({error}); export the project again") from error
    return _checked(tables.build(Board, values, where, BoardError), where)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return str(error.strerror) if isinstance(error, OSError) else "not UTF-8 text"


def _checked(board: Board, where: str) -> Board:
    check_board(board, where)
    return board

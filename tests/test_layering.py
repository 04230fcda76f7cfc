"""The rooms of lnn_edge/ and their floors; imports run down, never up and never in a circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter

import pytest

from tests.support.places import ROOT

PACKAGE = ROOT / "lnn_edge"
FLOORS = [
    {"errors", "files"},
    {"data", "graph"},
    {"nn", "device"},
    {"tasks", "codegen", "build"},
    {"train", "quantize", "verify", "report"},
    {"sweep"},
    {"cli"},
]
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports_of(room: str) -> set[str]:
    """Return what a room imports from the package, by the first name below it; "" is the top."""
    place = PACKAGE / room
    found = set()
    for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", [])]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            elif not isinstance(node, ast.Import):
                continue
            parts = [[*name.split("."), ""] for name in names]
            found |= {p[1] if p[1] in ROOMS else "" for p in parts if p[0] == "lnn_edge"}
    return found


def rooms_below(room: str) -> set[str]:
    """Return the other rooms that a room imports from."""
    return imports_of(room) - {room, ""}


def test_every_room_has_a_floor() -> None:
    files = [path for path in PACKAGE.iterdir() if not path.name.startswith("_")]
    there = {path.stem for path in files if path.suffix in ("", ".py")}
    assert there == set(ROOMS)
    assert len(there) <= 15


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_run_down(room: str) -> None:
    up = {below for below in rooms_below(room) if ROOMS[below] > ROOMS[room]}
    assert not up


@pytest.mark.parametrize("room", sorted(ROOMS.keys() - {"cli"}))
def test_only_commands_stand_on_the_library(room: str) -> None:
    assert "" not in imports_of(room)


def test_no_rooms_import_each_other() -> None:
    TopologicalSorter({room: rooms_below(room) for room in ROOMS}).prepare()

"""Compiles the firmware around a model, for a board or for this machine, without CMake."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lnn_edge.codegen.kernels import HOST, Core
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_board, render_model
from lnn_edge.device.board import load_board
from lnn_edge.files import resources
from lnn_edge.graph.qgraph import QGraph
from tests.support.toy import toy_graph

TROUBLE = Path(__file__).parent / "trouble"
FIRMWARE = resources.path("firmware")
WARNINGS = (
    "-std=c11 -Wall -Wextra -Werror -pedantic -Wconversion -Wsign-conversion -Wshadow -Wundef "
    "-Wdouble-promotion -Wcast-align -Wvla -Wswitch-enum -Wmissing-declarations -g1"
).split()
SANITIZERS = "-O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
TARGET = "-O2 -ffunction-sections -fdata-sections -fno-tree-loop-distribute-patterns -nostdlib"

needs_arm_gcc = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed"
)


def write_toy(folder: Path, core: Core = HOST) -> Path:
    """Write the generated toy model and return its folder."""
    return write_model(toy_graph(), folder, core)


def write_model(graph: QGraph, folder: Path, core: Core = HOST, trace: bool = False) -> Path:
    """Write a generated model and return its folder."""
    model = folder / "model"
    model.mkdir()
    for name, text in render_model(generate(graph, core, trace=trace)).items():
        (model / name).write_text(text)
    return model


def compile_host(model: Path, folder: Path, flags: str = SANITIZERS) -> Path:
    """Compile the host's program around a model, with the sanitizers unless told otherwise."""
    program = folder / "host"
    sources = [FIRMWARE / "port/host/main.c", *(FIRMWARE / f"src/{n}.c" for n in _SHARED)]
    _compile(["gcc", *WARNINGS, *flags.split(), *_model(model)], sources, program)
    return program


def compile_board(model: Path, board: str, folder: Path) -> Path:
    """Compile the firmware of a board around a model."""
    elf = folder / f"{board}.elf"
    for name, text in render_board(load_board(board)).items():
        (folder / name).write_text(text)
    found = re.search(r"LNN_CPU_FLAGS ([^)]*)", (folder / "lnn_board.cmake").read_text())
    assert found
    flags = [*WARNINGS, *TARGET.split(), *found[1].split(), f"-I{folder}", f"-I{FIRMWARE}/src"]
    link = ["-Wl,--gc-sections", "-Wl,--fatal-warnings", "-T", str(folder / "linker.ld")]
    sources = sorted((FIRMWARE / "src").glob("*.c"))
    _compile(["arm-none-eabi-gcc", *flags, *link, *_model(model)], sources, elf)
    return elf


_SHARED = ("frame", "protocol")


def _model(model: Path) -> list[str]:
    sources = [*sorted(model.glob("*.c")), *sorted((FIRMWARE / "runtime").glob("*.c"))]
    folders = (model, FIRMWARE / "runtime", FIRMWARE / "include")
    return [*(f"-I{folder}" for folder in folders), *map(str, sources)]


def _compile(command: list[str], sources: list[Path], output: Path) -> None:
    full = [*command, *map(str, sources), "-o", str(output)]
    if command[0].startswith("arm"):
        full.append("-lgcc")
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Exported projects and little programs for the tests of what is built from them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from lnn_edge.build.cmake import BuildResult, build, disassemble
from lnn_edge.build.record import build_folder, output_names, read_inputs, write_record
from lnn_edge.build.size import Limits, OperatorSize, RegionUse, SizeReport, write_size
from lnn_edge.build.stack import StackReport, read_frames
from lnn_edge.codegen.project import export
from lnn_edge.codegen.render import render_board
from lnn_edge.device.board import load_board
from lnn_edge.device.elf import Elf, read_elf
from lnn_edge.files import resources
from tests.support.once import once
from tests.support.toy import toy_graph

STARTUP = Path(__file__).parent / "minimal" / "startup.c"

needs_arm_gcc = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


def toy_project(folder: Path, board: str = "stm32f746") -> Path:
    """Export the toy model with the project's own firmware."""
    project = folder / "project"
    export(toy_graph(), load_board(board), project)
    return project


def built_toy(board: str, preset: str) -> BuildResult:
    """Return the build of the toy model for a board, which tests share and only read."""
    name = load_board(board).name
    return once(f"toy-{name}-{preset}", lambda folder: build(toy_project(folder, name), preset))


def minimal_project(folder: Path, board: str = "stm32f746") -> Path:
    """Export the toy model around a start-up file that does nothing else."""
    project = toy_project(folder, board)
    sources = project / "firmware" / "src"
    shutil.rmtree(sources)
    sources.mkdir()
    shutil.copy(STARTUP, sources)
    return project


SIZES = SizeReport(
    board="stm32f746g-disco",
    flash_bytes=9320,
    ram_bytes=2064,
    stack_bytes=600,
    sections={
        ".vectors": 200,
        ".text": 7000,
        ".rodata": 2048,
        ".stack": 4096,
        ".data": 64,
        ".bss": 2000,
    },
    regions={
        "flash": RegionUse(9320, 1 << 20),
        "itcm": RegionUse(0, 16384),
        "dtcm": RegionUse(6160, 65536),
        "sram": RegionUse(0, 262144),
    },
    operators={op.name: OperatorSize(100, 40, 24) for op in toy_graph().deciding_stage.ops},
    stack=StackReport(600, 600, ("Reset_Handler", "main"), (), None, {}),
    budget_failures=(),
)


def pretend_build(project: Path, preset: str = "board", limits: Limits | None = None) -> None:
    """Leave what a build of the toy model for the STM32F746 would, without a compiler."""
    folder = build_folder(project, preset)
    folder.mkdir(parents=True)
    for name in output_names(preset):
        (folder / name).write_bytes(b"firmware")
    if preset == "board":
        write_size(SIZES, folder / "size.json")
    write_record(project, preset, read_inputs(project, preset), limits or Limits())


@dataclass(frozen=True)
class Program:
    """A linked program for the STM32F746 and what is known of it."""

    elf: Elf
    disassembly: str
    frames: dict[tuple[str, str], int]


PROLOGUE = """
#include <stdint.h>
extern uint32_t _stack_top;
void Reset_Handler(void);
#define NOINLINE __attribute__((noinline, noipa))
"""
VECTORS = """
typedef union { uint32_t *stack; void (*handler)(void); } vector_t;
__attribute__((section(".vectors"), used)) static const vector_t vectors[] = {
    {.stack = &_stack_top}, {.handler = Reset_Handler}, HANDLERS };
"""


def link(folder: Path, source: str, handlers: str = "", *more: str) -> Program:
    """Compile and link a program; `handlers` fill the vector table from number 2 on."""
    (folder / "linker.ld").write_text(render_board(load_board("stm32f746"))["linker.ld"])
    text = PROLOGUE + source + VECTORS.replace("HANDLERS", handlers)
    (folder / "program.c").write_text(text)
    for index, extra in enumerate(more):
        (folder / f"more{index}.c").write_text(PROLOGUE + extra)
    files = [f"more{i}.c" for i in range(len(more))]
    flags = "-std=gnu11 -O2 -g -ffunction-sections -fstack-usage -fcallgraph-info=su".split()
    cpu = load_board("stm32f746").mcu.flags
    for file in ("program.c", *files):
        run(["arm-none-eabi-gcc", *flags, *cpu, "-c", file], folder)
    objects = [Path(file).with_suffix(".o").name for file in ("program.c", *files)]
    linking = [*cpu, "-nostdlib", "-Wl,--gc-sections", "-T", "linker.ld", *objects, "-lgcc"]
    run(["arm-none-eabi-gcc", *linking, "-o", "program.elf"], folder)
    elf = read_elf(folder / "program.elf")
    return Program(elf, disassemble(elf.path), read_frames(folder.glob("*.ci")))


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def generated_boards() -> set[str]:
    """Names of those that scripts/make_boards.py wrote."""
    files = resources.path("boards").glob("*.toml")
    return {p.stem for p in files if p.read_text().startswith("# Generated by scripts/make_boards")}


def shipped_boards() -> list[str]:
    """Names of the boards that come with lnn-edge."""
    return sorted(path.stem for path in resources.path("boards").glob("*.toml"))

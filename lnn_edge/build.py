"""Builds an exported project with CMake and Ninja and measures what came out.

Knows the folder that `lnn_edge.codegen.export` writes; prints nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lnn_edge import strict
from lnn_edge.elf import read_elf
from lnn_edge.errors import BuildError, MissingToolError
from lnn_edge.names import active_character
from lnn_edge.project import Project, open_project
from lnn_edge.size import Limits, OperatorSymbols, SizeReport, measure, write_size
from lnn_edge.stack import analyse_stack, read_frames

PRESETS = ("board", "board-trace", "host", "host-trace")
_ERROR_LINE = re.compile(
    r"\berror:|undefined reference|CMake Error|\bld: (?!.*(in function|warning))"
)
_OVERFLOW = re.compile(r"region `(\w+)' overflowed by (\d+) bytes?")
_APT = "sudo apt-get install -y gcc-arm-none-eabi"


class OverBudgetError(BuildError):
    """The firmware is larger than a memory of the board, so it cannot even be linked."""


@dataclass(frozen=True)
class BuildResult:
    """What a build gave.

    Attributes:
        elf: The linked program.
        bin: Image of the flash; None for the host.
        size: What it takes; None for the host.
        log: Everything that the tools said.
    """

    elf: Path
    bin: Path | None
    size: SizeReport | None
    log: Path


def build(project: Path, preset: str = "board", limits: Limits | None = None) -> BuildResult:
    """Build an exported project.

    A firmware over its budget is built and measured all the same: see `SizeReport.budget_ok`.
    Writes build/PRESET/ with build.log and, for a board, size.json.

    Args:
        project: Folder that `export` wrote.
        preset: "board", "host", or with "-trace" the diagnostic model.
        limits: The user's budget beside the board's.

    Raises:
        UsageError: The folder is no exported project.
        BuildError: The first error of compiler or linker, or a stack without a worst case.
        OverBudgetError: The firmware does not fit a memory of the board.
        MissingToolError: CMake, Ninja or the compiler is not installed.
    """
    if preset not in PRESETS:
        raise BuildError(f"no preset {preset!r}; known are {', '.join(PRESETS)}")
    source = open_project(project.resolve())
    _check_path(source.folder)
    folder = source.folder / "build" / preset
    log = _compile(source, preset, folder)
    if preset.startswith("host"):
        return BuildResult(folder / "firmware", None, None, log)
    elf = folder / "firmware.elf"
    size = _measure(source, folder, elf, limits or Limits())
    write_size(size, folder / "size.json")
    return BuildResult(elf, folder / "firmware.bin", size, log)


def _check_path(folder: Path) -> None:
    found = active_character(folder)
    if found is not None:
        raise BuildError(
            f"{str(folder)!r} cannot be built: the tools do not read {found!r} in a path as it is; "
            "move the project"
        )


def find_tool(name: str, fix: str) -> Path:
    """Return a program's path: beside this Python first, then on PATH.

    Raises:
        MissingToolError: Not found; the message says how to install it.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise MissingToolError(f"{name} is not installed; install it with: {fix}")
    return Path(found)


def find_compiler() -> Path:
    """Return arm-none-eabi-gcc: LNN_ARM_GCC if set, else from PATH.

    Raises:
        MissingToolError: Not found.
    """
    named = os.environ.get("LNN_ARM_GCC")
    if named is None:
        return find_tool("arm-none-eabi-gcc", _APT)
    found = shutil.which(named)
    if found is None:
        raise MissingToolError(f"LNN_ARM_GCC is {named!r}, which is no program; correct it")
    return Path(found)


def _operators(source: Project) -> tuple[OperatorSymbols, ...]:
    where = f"{source.folder}/export.json: operators"
    listed = source.export.get("operators")
    if not isinstance(listed, list):
        raise BuildError(f"{where} are missing; run lnn-edge export again")
    return tuple(strict.build(OperatorSymbols, item, where, BuildError) for item in listed)


def _compile(source: Project, preset: str, folder: Path) -> Path:
    cmake = str(find_tool("cmake", "pip install cmake"))
    ninja = find_tool("ninja", "pip install ninja")
    if not preset.startswith("host"):
        find_compiler()
    shutil.rmtree(folder, ignore_errors=True)  # nothing of an earlier export or place stays
    folder.mkdir(parents=True)
    log = folder / "build.log"
    configure = [cmake, "--preset", preset, f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    for command in (configure, [cmake, "--build", "--preset", preset]):
        _run(command, source, preset, log)
    return log


def _run(command: Sequence[str], source: Project, preset: str, log: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C"}  # messages are read below
    done = subprocess.run(
        command,
        cwd=source.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    with log.open("a") as stream:
        stream.write(f"$ {' '.join(command)}\n{done.stdout}")
    if done.returncode == 0:
        return
    overflow = _OVERFLOW.search(done.stdout)
    if overflow:
        region = source.board.region(overflow[1])
        raise OverBudgetError(
            f"the firmware needs {overflow[2]} bytes more than the {region.size} bytes of "
            f"{region.name} on {source.board.name} (log: {log})"
        )
    first = _first_error(done.stdout.replace(f"{source.folder}/", ""))
    raise BuildError(f"preset {preset} does not build: {first} (log: {log})")


def _first_error(output: str) -> str:
    output = re.sub(r"\S+/(?=ld: )", "", output)  # its folder says nothing
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no output"]
    first = next((i for i, line in enumerate(lines) if _ERROR_LINE.search(line)), len(lines) - 1)
    # CMake tells the place first and what is wrong on the next line.
    return " ".join(lines[first : first + (2 if lines[first].startswith("CMake Error") else 1)])


def disassemble(elf: Path) -> str:
    """Return the instructions of a linked firmware, as `lnn_edge.disassembly` reads them.

    Raises:
        BuildError: Not readable.
        MissingToolError: The toolchain is not installed.
    """
    beside = find_compiler().with_name("arm-none-eabi-objdump")
    objdump = beside if beside.is_file() else find_tool("arm-none-eabi-objdump", _APT)
    command = [str(objdump), "-d", "--no-show-raw-insn", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{elf}: objdump cannot read it: {done.stderr.strip()}")
    return done.stdout


def _measure(source: Project, folder: Path, path: Path, limits: Limits) -> SizeReport:
    elf = read_elf(path)
    frames = read_frames(folder.rglob("*.ci"))
    # Every known core has an FPU that stores its registers once the program has used it.
    stack = analyse_stack(elf, disassemble(path), frames, float_frames=True)
    return measure(elf, source.board, stack, _operators(source), limits)

"""Builds an exported project with CMake and Ninja and measures what came out.

Knows the folder that `lnn_edge.codegen.project.export` writes; prints nothing. What is built and
fresh is left alone; anything else is built from nothing, since Ninja judges by date.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.build.project import Project, open_board, open_project
from lnn_edge.build.record import (
    build_folder,
    change_limits,
    file_sha256,
    image_name,
    is_host,
    read_inputs,
    read_record,
    why_stale,
    write_record,
)
from lnn_edge.build.seal import seal
from lnn_edge.build.size import Limits, OperatorSymbols, SizeReport, measure, read_size, write_size
from lnn_edge.build.stack import analyse_stack, read_frames
from lnn_edge.build.tools import APT, ARM_GCC, find_cmake, find_compiler, find_ninja, find_tool
from lnn_edge.errors import BuildError
from lnn_edge.files import tables
from lnn_edge.files.disk import raise_if_full
from lnn_edge.files.names import active_character
from lnn_edge.files.programs import compiler_environment, run_program

PRESETS = ("board", "board-trace", "host", "host-trace")
_ERROR_LINE = re.compile(
    r"\berror:|undefined reference|CMake Error|\bld: (?!.*(in function|warning))"
)
_OVERFLOW = re.compile(r"region `(\w+)' overflowed by (\d+) bytes?")


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
        sha256: Hash of the image, or of the host's program.
        why: Why it was built just now; None if a fresh build lay there.
    """

    elf: Path
    bin: Path | None
    size: SizeReport | None
    log: Path
    sha256: str
    why: str | None


def build(project: Path, preset: str = "board", limits: Limits | None = None) -> BuildResult:
    """Build an exported project, unless a fresh build of it lies there.

    A firmware over its budget is built and measured all the same: see `SizeReport.budget_ok`.
    Writes build/PRESET/ with build.log, build.json (what it was made from) and, for a board,
    size.json. A second build of one preset waits for the first.

    Args:
        project: Folder that `export` wrote.
        preset: "board", "host", or with "-trace" the diagnostic model.
        limits: The user's budget beside the board's; None for that of the last build.

    Raises:
        UsageError: The folder is no exported project.
        BuildError: The first error of compiler or linker, or a stack without a worst case.
        OverBudgetError: The firmware does not fit a memory of the board.
        MissingToolError: CMake, Ninja or the compiler is not installed, and the build not fresh.
    """
    if preset not in PRESETS:
        raise BuildError(f"no preset {preset!r}; known are {', '.join(PRESETS)}")
    root = project.resolve()
    _check_path(root)
    why = why_stale(root, preset)
    if why is not None:
        why = _build(open_project(root), preset)
    folder = build_folder(root, preset)
    log, sha256 = folder / "build.log", file_sha256(folder / image_name(preset))
    if is_host(preset):
        return BuildResult(folder / "firmware", None, None, log, sha256, why)
    size = _judge(root, preset, limits)
    return BuildResult(folder / "firmware.elf", folder / "firmware.bin", size, log, sha256, why)


def _build(source: Project, preset: str) -> str | None:
    """Build from nothing and return why; None if another process has done it meanwhile."""
    folder = build_folder(source.folder, preset)
    limits = _limits(source.folder, preset)
    with _alone(folder):
        why = why_stale(source.folder, preset)
        if why is None:
            return None
        inputs = read_inputs(source.folder, preset)  # before: what changes from now on is not in it
        try:
            _compile(source, preset, folder)
            if not is_host(preset):
                seal(folder / "firmware.elf", folder / "firmware.bin")
                write_size(_measure(source, folder, limits), folder / "size.json")
            write_record(source.folder, preset, inputs, limits)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)  # half of a build only takes room
            raise
    return why


def _check_path(folder: Path) -> None:
    found = active_character(folder)
    if found is not None:
        raise BuildError(
            f"{str(folder)!r} cannot be built: the tools do not read {found!r} in a path as it is; "
            "move the project"
        )


def _judge(root: Path, preset: str, limits: Limits | None) -> SizeReport:
    """Return the sizes of a fresh build, judged by the user's budget."""
    path, judged = build_folder(root, preset) / "size.json", _limits(root, preset)
    if limits is None or limits == judged:
        return read_size(path, open_board(root), judged)
    with _alone(path.parent):
        size = read_size(path, open_board(root), limits)
        write_size(size, path)
        change_limits(root, preset, limits)
    return size


def _limits(root: Path, preset: str) -> Limits:
    record = read_record(root, preset)
    return record.limits if record else Limits()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process builds in a folder."""
    folder.parent.mkdir(exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _operators(source: Project) -> tuple[OperatorSymbols, ...]:
    where = f"{source.folder}/export.json: operators"
    listed = source.export.get("operators")
    if not isinstance(listed, list):
        raise BuildError(f"{where} are missing; run lnn-edge export again")
    return tuple(tables.build(OperatorSymbols, item, where, BuildError) for item in listed)


def _compile(source: Project, preset: str, folder: Path) -> None:
    cmake, ninja = str(find_cmake()), find_ninja()
    environment = compiler_environment()
    if not is_host(preset):
        environment[ARM_GCC] = str(find_compiler().absolute())  # the one that is recorded
    shutil.rmtree(folder, ignore_errors=True)  # nothing of an earlier export or place stays
    folder.mkdir()
    configure = [cmake, "--preset", preset, f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    for command in (configure, [cmake, "--build", "--preset", preset]):
        _run(command, source, preset, environment)


def _run(
    command: Sequence[str], source: Project, preset: str, environment: Mapping[str, str]
) -> None:
    log = build_folder(source.folder, preset) / "build.log"
    code, said = run_program(command, cwd=source.folder, env=environment)
    try:
        with log.open("a") as stream:
            stream.write(f"$ {' '.join(command)}\n{said}")
    except OSError as error:  # a disk that fills while it is written to names no file
        raise OSError(error.errno, error.strerror, str(log)) from None
    if code == 0:
        return
    raise_if_full(log.parent, said)
    overflow = _OVERFLOW.search(said)
    if overflow:
        region = source.board.region(overflow[1])
        raise OverBudgetError(
            f"the firmware needs {overflow[2]} bytes more than the {region.size} bytes of "
            f"{region.name} on {source.board.name} (log: {log})"
        )
    first = _first_error(said.replace(f"{source.folder}/", ""))
    raise BuildError(f"preset {preset} does not build: {first} (log: {log})")


def _first_error(output: str) -> str:
    output = re.sub(r"\S+/(?=ld: )", "", output)  # its folder says nothing
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no output"]
    first = next((i for i, line in enumerate(lines) if _ERROR_LINE.search(line)), len(lines) - 1)
    # CMake tells the place first and what is wrong on the next line.
    return " ".join(lines[first : first + (2 if lines[first].startswith("CMake Error") else 1)])


def disassemble(elf: Path) -> str:
    """Return the instructions of a linked firmware, as `lnn_edge.build.disassembly` reads them.

    Raises:
        BuildError: Not readable.
        MissingToolError: The toolchain is not installed.
    """
    beside = find_compiler().with_name("arm-none-eabi-objdump")
    objdump = beside if beside.is_file() else find_tool("arm-none-eabi-objdump", APT)
    command = [str(objdump), "-d", "--no-show-raw-insn", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{elf}: objdump cannot read it: {done.stderr.strip()}")
    return done.stdout


def _measure(source: Project, folder: Path, limits: Limits) -> SizeReport:
    from lnn_edge.device.elf import read_elf  # a library that a fresh build does without

    elf = read_elf(folder / "firmware.elf")
    frames = read_frames(folder.rglob("*.ci"))
    has_fpu = source.board.mcu.has_fpu  # it stores its registers once the program has used it
    stack = analyse_stack(elf, disassemble(elf.path), frames, float_frames=has_fpu)
    return measure(elf, source.board, stack, _operators(source), limits)

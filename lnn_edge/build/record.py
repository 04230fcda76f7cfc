"""What a build was made from, and whether that has changed since.

A build is fresh while everything it was made from and everything it left has the content that its
record names; dates say nothing. The record is written last, so a build without one is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from lnn_edge.build.size import Limits
from lnn_edge.build.tools import compiler_programs, versions
from lnn_edge.errors import BuildError, LnnEdgeError
from lnn_edge.files import tables
from lnn_edge.files.write import write_whole

FORMAT = 1
_NAME = "build.json"
_ADDED = re.compile(r"build|report\.html|verify[^/]*\.json|(.*/)?\.[^/]*")
_FLAGS = (  # environment that CMake and compilers heed, beside all of CMAKE_*
    *("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH"),
    *("COMPILER_PATH", "GCC_EXEC_PREFIX", "SOURCE_DATE_EPOCH", "SDKROOT"),
)


@dataclass(frozen=True)
class Inputs:
    """What a build is made from.

    Attributes:
        preset: What is built.
        sources: Hash of each file of the project, by its path there.
        flags: Environment variables that CMake and the compiler heed.
        toolchain: Hash or version of each program; those that are not installed are left out.
    """

    preset: str
    sources: dict[str, str]
    flags: dict[str, str]
    toolchain: dict[str, str]


@dataclass(frozen=True)
class BuildRecord:
    """A finished build.

    Attributes:
        inputs: What it was made from.
        outputs: Hash of each file that it left.
        limits: The user's budget.
        format: Of this record.
    """

    inputs: Inputs
    outputs: dict[str, str]
    limits: Limits
    format: int = FORMAT


def build_folder(project: Path, preset: str) -> Path:
    """Return where a preset is built."""
    return project / "build" / preset


def is_host(preset: str) -> bool:
    """Whether a preset makes a program of this machine."""
    return preset.startswith("host")


def output_names(preset: str) -> tuple[str, ...]:
    """Return the files that a build leaves: the program, and for a board its image and sizes."""
    return ("firmware",) if is_host(preset) else ("firmware.elf", "firmware.bin", "size.json")


def image_name(preset: str) -> str:
    """Return the file that holds what a device executes, and nothing else where it can be."""
    return "firmware" if is_host(preset) else "firmware.bin"


def is_built(project: Path, preset: str) -> bool:
    """Whether there is a build, fresh or not."""
    folder = build_folder(project, preset)
    return any((folder / name).is_file() for name in (output_names(preset)[0], _NAME))


def why_stale(project: Path, preset: str) -> str | None:
    """Return the first reason to build a preset; None if its build is fresh.

    A program of the toolchain that is not installed is no reason, since nothing else could be
    built without it.

    Raises:
        MissingToolError: LNN_ARM_GCC names no program.
    """
    record = read_record(project, preset)
    if record is None:
        finished = is_built(project, preset)
        return "what it was built from is not known" if finished else "it was not built yet"
    then, folder = record.inputs, build_folder(project, preset)
    outputs = {name: file_sha256(folder / name) for name in output_names(preset)}
    return (
        _difference(record.outputs, outputs)
        or _difference(then.sources, _sources(project))
        or _difference(then.flags, _flags())
        or _difference(then.toolchain, then.toolchain | _toolchain(preset))
    )


def fresh_image(project: Path, preset: str) -> str | None:
    """Return the hash of what a device executes; None if the build is missing or stale."""
    if why_stale(project, preset) is not None:
        return None
    return file_sha256(build_folder(project, preset) / image_name(preset))


def read_inputs(project: Path, preset: str) -> Inputs:
    """Return what a build would be made from now."""
    return Inputs(preset, _sources(project), _flags(), _toolchain(preset))


def read_record(project: Path, preset: str) -> BuildRecord | None:
    """Return the record of a preset's build; None if it is missing, damaged or of other format."""
    path = build_folder(project, preset) / _NAME
    try:
        record = tables.build(BuildRecord, json.loads(path.read_bytes()), str(path), BuildError)
    except (OSError, ValueError, LnnEdgeError):
        return None
    return record if (record.format, record.inputs.preset) == (FORMAT, preset) else None


def write_record(project: Path, preset: str, inputs: Inputs, limits: Limits) -> None:
    """Say what a preset's build, which is finished, was made from and what it left."""
    folder = build_folder(project, preset)
    outputs = {name: file_sha256(folder / name) for name in output_names(preset)}
    _write(BuildRecord(inputs, outputs, limits), folder)


def change_limits(project: Path, preset: str, limits: Limits) -> None:
    """Say that size.json was written anew, for another budget."""
    record, folder = read_record(project, preset), build_folder(project, preset)
    if record is not None:
        outputs = record.outputs | {"size.json": file_sha256(folder / "size.json")}
        _write(replace(record, outputs=outputs, limits=limits), folder)


def file_sha256(path: Path) -> str:
    """Return the hash of a file, "" if there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""


def _program_sha256(path: Path) -> str:
    """Return the hash of a program of tens of megabytes: a process reads the same file once."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return ""
    return _sha256_once(path, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


@cache
def _sha256_once(path: Path, *_facts: int) -> str:
    return file_sha256(path)


def _write(record: BuildRecord, folder: Path) -> None:
    write_whole(folder / _NAME, json.dumps(asdict(record), indent=1) + "\n")


def _difference(then: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    for name in sorted(then.keys() | now.keys()):
        a, b = then.get(name, ""), now.get(name, "")
        if a != b:
            return f"{name} is new" if not a else f"{name} is gone" if not b else f"{name} changed"
    return None


def _sources(project: Path) -> dict[str, str]:
    return {
        os.fsencode(name).decode(errors="backslashreplace"): file_sha256(project / name)
        for name in _files(project)
    }


def _files(project: Path) -> Iterator[str]:
    """Yield the files of a project but for hidden ones and what lnn-edge adds to it later."""
    seen = set()
    for place, folders, files in os.walk(project, followlinks=True):
        real, below = os.path.realpath(place), os.path.relpath(place, project)
        names = [] if real in seen else sorted((*folders, *files))  # a link may lead back
        seen.add(real)
        paths = {name: os.path.normpath(os.path.join(below, name)) for name in names}
        kept = {name: path for name, path in paths.items() if not _ADDED.fullmatch(path)}
        folders[:] = [name for name in kept if name in folders]
        yield from (path for path in kept.values() if os.path.isfile(os.path.join(project, path)))


def _flags() -> dict[str, str]:
    heeded = (name for name in os.environ if name in _FLAGS or name.startswith("CMAKE_"))
    return {name: os.environ[name] for name in heeded}


def _toolchain(preset: str) -> dict[str, str]:
    programs = compiler_programs(is_host(preset))
    return versions() | {name: _program_sha256(path) for name, path in programs.items()}

"""What of the tools is installed, what is missing, and the command that installs it.

Looks only; nothing is printed or installed here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from lnn_edge.device.link import find_ports

_DISTRIBUTION = "lnn-edge"
_VERSION_S = 10.0
_NUMBER = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Check:
    """One thing that was looked for.

    Attributes:
        name: Program, Python package, or "boards on USB".
        ok: Whether it is there.
        version: Its version, or which boards; "" if missing or not told.
        fix: The command that installs it or what to do; "" if it is there.
        is_required: Whether export, build and verify on emulators need it.
    """

    name: str
    ok: bool
    version: str
    fix: str
    is_required: bool


@dataclass(frozen=True)
class Program:
    """A program outside of Python.

    Attributes:
        names: What it may be called; the first is shown.
        fix: The command that installs it.
        is_required: Whether export, build and verify on emulators need it.
    """

    names: tuple[str, ...]
    fix: str
    is_required: bool


def _apt(package: str) -> str:
    return f"sudo apt-get install {package}"


ARM_GCC = "arm-none-eabi-gcc"
PROGRAMS = (
    Program((ARM_GCC,), _apt("gcc-arm-none-eabi libnewlib-arm-none-eabi"), True),
    Program(("cmake",), "pip install cmake", True),
    Program(("ninja", "ninja-build"), "pip install ninja", True),
    Program(("cc", "gcc", "clang"), _apt("gcc"), True),
    Program(("qemu-system-arm",), _apt("qemu-system-arm"), True),
    Program(("chromium", "chromium-browser", "google-chrome"), _apt("chromium"), False),
    Program(("openocd",), _apt("openocd"), False),
    Program(("st-flash",), _apt("stlink-tools"), False),
)


def checks() -> list[Check]:
    """Look for everything that lnn-edge uses: packages, programs, boards."""
    return [*_packages(), *map(check_program, PROGRAMS), _boards()]


def check_program(program: Program) -> Check:
    """Look for a program on PATH and ask it for its version."""
    path = next(filter(None, map(find_program, program.names)), None)
    if path is None:
        return Check(program.names[0], False, "", program.fix, program.is_required)
    return Check(program.names[0], True, _ask_version(path), "", program.is_required)


def find_program(name: str) -> str | None:
    """Path of a program where the build looks: beside this Python (CMake, Ninja), then on PATH."""
    if name == ARM_GCC:
        name = os.environ.get("LNN_ARM_GCC", name)
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)


def _ask_version(path: str) -> str:
    """First number with a dot in what the program answers to --version."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # gcc names its vendor's version in brackets before its own.
    text = re.sub(r"\([^)]*\)", "", done.stdout.decode(errors="replace"))
    found = _NUMBER.search(text)
    return found[0] if found else ""


def _packages() -> Iterator[Check]:
    """The packages that the installed lnn-edge says it needs, those of its extras included."""
    try:
        needs = metadata.requires(_DISTRIBUTION) or []
        yield Check(_DISTRIBUTION, True, metadata.version(_DISTRIBUTION), "", True)
    except metadata.PackageNotFoundError:
        yield Check(_DISTRIBUTION, False, "", "pip install lnn-edge", True)
        return
    programs = {name for program in PROGRAMS for name in program.names}
    # The last one stays: of itself, else of the extra that brings the least beside it.
    needs = sorted(needs, key=lambda need: _rank(_extra(need), needs), reverse=True)
    named = {re.split(r"[^A-Za-z0-9._-]", need)[0]: need for need in needs}
    asked = {_DISTRIBUTION, *programs}  # a package that brings a program: that is asked
    for name in sorted(named.keys() - asked):
        yield _check_package(name, named[name])


def _check_package(name: str, need: str) -> Check:
    """Look for one package, given as in the metadata: ``unicorn<3,>=2.1; extra == 'virtual'``."""
    extra = _extra(need)
    owner = f"lnn-edge[{extra}]" if extra else _DISTRIBUTION
    try:
        return Check(name, True, metadata.version(name), "", not extra)
    except metadata.PackageNotFoundError:
        return Check(name, False, "", f"pip install '{owner}'", not extra)


def _extra(need: str) -> str:
    """Return the extra that a need is of; "" if it is of none."""
    found = re.search(r"extra == ['\"]([^'\"]+)['\"]", need.partition(";")[2])
    return found[1] if found else ""


def _rank(extra: str, needs: list[str]) -> tuple[int, str]:
    return (sum(_extra(need) == extra for need in needs) if extra else 0), extra


def _boards() -> Check:
    ports = find_ports()
    found = ", ".join(f"{port.device} ({port.probe or port.description})" for port in ports)
    fix = "" if ports else "connect a board by USB; without one use --link virtual"
    return Check("boards on USB", bool(ports), found, fix, False)

"""Compiler, CMake and Ninja: where they are, and what tells them from others."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from lnn_edge.errors import MissingToolError

ARM_GCC = "LNN_ARM_GCC"
APT = "sudo apt-get install -y gcc-arm-none-eabi"
_HOST_COMPILERS = ("cc", "gcc", "clang")  # as CMake looks for one
_STAGES = ("cc1", "as", "ld")  # what a compiler runs, by the names of GCC


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
    named = os.environ.get(ARM_GCC)
    if named is None:
        return find_tool("arm-none-eabi-gcc", APT)
    found = shutil.which(named)
    if found is None:
        raise MissingToolError(f"{ARM_GCC} must name a program, not {named!r}")
    return Path(found)


def find_cmake() -> Path:
    """Return CMake.

    Raises:
        MissingToolError: Not found.
    """
    script = find_tool("cmake", "pip install cmake")
    package = importlib.util.find_spec("cmake")
    folders = (package and package.submodule_search_locations) or ()
    # The script of the Python package does nothing but start this program, in 0.1 s.
    programs = [Path(folder) / "data" / "bin" / "cmake" for folder in folders]
    beside = script.parent == Path(sysconfig.get_path("scripts"))
    return next((p for p in programs if beside and p.is_file()), script)


def find_ninja() -> Path:
    """Return Ninja.

    Raises:
        MissingToolError: Not found.
    """
    return find_tool("ninja", "pip install ninja")


def compiler_programs(is_host: bool) -> dict[str, Path]:
    """Return the compiler that a build would use and the programs it runs, by what they do.

    Empty where no compiler is installed.

    Raises:
        MissingToolError: LNN_ARM_GCC names no program.
    """
    command = _host_compiler() if is_host else _arm_compiler()
    return dict(_programs(command)) if command else {}


def versions() -> dict[str, str]:
    """Return what CMake and Ninja say of themselves; what is not installed is left out."""
    found = {}
    for name, find in (("cmake", find_cmake), ("ninja", find_ninja)):
        try:
            found[name] = _output([str(find()), "--version"])
        except MissingToolError:
            continue
    return found


def _arm_compiler() -> list[str]:
    try:
        return [str(find_compiler())]
    except MissingToolError:
        if ARM_GCC in os.environ:  # named by the user, so it is meant
            raise
        return []


def _host_compiler() -> list[str]:
    """Return the command that CMake takes: CC, which may hold more than a name."""
    named = os.environ.get("CC", "").split()
    return named or [name for name in _HOST_COMPILERS if shutil.which(name)][:1]


def _programs(command: Sequence[str]) -> Iterator[tuple[str, Path]]:
    asked = ((name, _output([*command, f"-print-prog-name={name}"])) for name in _STAGES)
    for name, said in (("compiler", command[0]), *asked):
        found = shutil.which(said) if said else None
        if found:
            yield name, Path(found)


def _output(command: Sequence[str]) -> str:
    """Return what a program says; "" where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()

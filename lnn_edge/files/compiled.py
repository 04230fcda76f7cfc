"""C compiled for this machine at first use, kept in a cache that the user alone can write."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_FLAGS = ("-std=c11", "-O3", "-shared", "-fPIC")
_FOR_THIS_CPU = ("-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
_MACROS = ("-march=native", "-dM", "-E", "-x", "c", os.devnull)  # what -march=native stands for
_COMPILERS = ("cc", "gcc", "clang")
_MOST = 32  # libraries of one kind that are kept
_LONGEST_S = 120


def load_compiled(
    kind: str, sources: Mapping[str, str], *, for_this_cpu: bool = False
) -> ctypes.CDLL | None:
    """Return the shared library that C sources make.

    Args:
        kind: How the names of such libraries begin.
        sources: Text of .c and .h files by name; they name each other in #include.
        for_this_cpu: Whether to use all instructions of this processor, and to fuse products with
            sums: floats differ in their last bits from one processor to another.

    Returns:
        None where there is no compiler, no folder to compile in, or the compiler fails.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None or sys.platform == "win32":
        return None
    command = (compiler, *_FLAGS, *(_FOR_THIS_CPU if for_this_cpu else ()))
    try:
        cpu = _output(compiler, *_MACROS) if for_this_cpu else ""
        name = f"{kind}-{_digest((*command, cpu), sources)}.so"
        folder = _private_folder()
        if folder is None:
            with tempfile.TemporaryDirectory() as passing:  # what is loaded stays loaded
                return _load(command, sources, Path(passing) / name)
        library = _load(command, sources, folder / name)
        _forget_old(folder, kind)
        return library
    except (OSError, subprocess.SubprocessError):
        return None


def cache_dir() -> Path:
    """Folder for what is compiled: $XDG_CACHE_HOME/lnn-edge or ~/.cache/lnn-edge."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lnn-edge"


def _output(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LONGEST_S)
    return done.stdout


def _digest(compiler: tuple[str, ...], sources: Mapping[str, str]) -> str:
    parts = (*compiler, sysconfig.get_platform(), *(t for s in sources.items() for t in s))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _private_folder() -> Path | None:
    """Return the cache; None where others could put a library into it."""
    folder = cache_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except (OSError, RuntimeError):
        return None
    others = stat.S_IWGRP | stat.S_IWOTH
    return folder if facts.st_uid == os.getuid() and not facts.st_mode & others else None


def _load(command: tuple[str, ...], sources: Mapping[str, str], library: Path) -> ctypes.CDLL:
    if library.exists():
        with suppress(OSError):  # damaged, or taken away by another process
            return ctypes.CDLL(str(library))
    _compile(command, sources, library)
    return ctypes.CDLL(str(library))


def _compile(command: tuple[str, ...], sources: Mapping[str, str], library: Path) -> None:
    """Write the library beside its final name, then rename: two processes may do this at once."""
    with tempfile.TemporaryDirectory(dir=library.parent) as place:
        folder, built = Path(place), Path(place) / "built.so"
        for name, text in sources.items():
            (folder / name).write_text(text)
        files = sorted(name for name in sources if name.endswith(".c"))
        subprocess.run(
            [*command, "-o", str(built), *files, "-lm"],
            check=True,
            cwd=folder,
            capture_output=True,
            timeout=_LONGEST_S,
        )
        os.replace(built, library)


def _forget_old(folder: Path, kind: str) -> None:
    """Remove all but the newest libraries of a kind; one that is loaded stays loaded."""
    made = sorted(folder.glob(f"{kind}-*.so"), key=lambda p: p.stat().st_mtime)
    for library in made[:-_MOST]:
        library.unlink(missing_ok=True)

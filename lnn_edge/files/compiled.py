"""C compiled for this machine at first use, kept in a cache that the user alone can write."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lnn_edge.errors import BuildError
from lnn_edge.files.disk import raise_if_full
from lnn_edge.files.programs import compiler_environment, run_program

_FLAGS = ("-std=c11", "-O3", "-shared", "-fPIC")
_FOR_THIS_CPU = ("-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
_MACROS = ("-march=native", "-dM", "-E", "-x", "c", os.devnull)  # what -march=native stands for
_COMPILERS = ("cc", "gcc", "clang")
_MOST = 32  # libraries of one kind that are kept
_LONGEST_S = 120


def load_compiled(
    kind: str, sources: Mapping[str, str], *, for_this_cpu: bool = False
) -> ctypes.CDLL | None:
    """Return the shared library that C sources make, None where `compile_here` raises."""
    try:
        return compile_here(kind, sources, for_this_cpu=for_this_cpu)
    except (OSError, BuildError):
        return None


def compile_here(
    kind: str, sources: Mapping[str, str], *, for_this_cpu: bool = False
) -> ctypes.CDLL:
    """Return the shared library that C sources make, from the cache if it is there.

    Where nothing can be written to the cache, it is compiled in the system's temporary folder.

    Args:
        kind: How the names of such libraries begin.
        sources: Text of .c and .h files by name; they name each other in #include.
        for_this_cpu: Whether to use all instructions of this processor, and to fuse products with
            sums: floats differ in their last bits from one processor to another.

    Raises:
        BuildError: There is no compiler, or it refuses the sources.
        OSError: There is no room, or no permission to write. It names the folder.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None or sys.platform == "win32":
        raise BuildError(f"there is no C compiler here; install {' or '.join(_COMPILERS)}")
    command = (compiler, *_FLAGS, *(_FOR_THIS_CPU if for_this_cpu else ()))
    cpu = _run((compiler, *_MACROS)) if for_this_cpu else ""
    name = f"{kind}-{_digest((*command, cpu), sources)}.so"
    cache, trouble = _private_folder(), None
    if cache is not None:
        try:
            library = _load(command, sources, cache / name)
            _forget_old(cache, kind)
            return library
        except OSError as error:
            trouble = _about(cache, error)
    try:
        with tempfile.TemporaryDirectory() as passing:  # what is loaded stays loaded
            return _load(command, sources, Path(passing) / name)
    except OSError as error:
        raise trouble or _about(Path(tempfile.gettempdir()), error) from None


def cache_dir() -> Path:
    """Folder for what is compiled: $XDG_CACHE_HOME/lnn-edge or ~/.cache/lnn-edge."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lnn-edge"


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
        _run((*command, "-o", str(built), *files, "-lm"), folder)
        os.replace(built, library)


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    """Run the compiler, which keeps its own files in the folder too; return what it says."""
    place = {} if folder is None else {"TMPDIR": str(folder)}
    environment = {**compiler_environment(), **place}
    try:
        code, said = run_program(command, cwd=folder, env=environment, timeout_s=_LONGEST_S)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{command[0]} does not end within {_LONGEST_S} s") from None
    if code == 0:
        return said
    if folder is not None:
        raise_if_full(folder, said)
    lines = said.strip().splitlines() or [f"exit code {code}"]
    raise BuildError(next((line for line in lines if "error" in line), lines[0]))


def _forget_old(folder: Path, kind: str) -> None:
    """Remove all but the newest libraries of a kind; one that is loaded stays loaded."""
    made = sorted(folder.glob(f"{kind}-*.so"), key=lambda p: p.stat().st_mtime)
    for library in made[:-_MOST]:
        library.unlink(missing_ok=True)


def _about(folder: Path, error: OSError) -> OSError:
    """Return an error that names a folder, not the file that was being made in it."""
    return OSError(error.errno or errno.EIO, error.strerror or str(error), str(folder))

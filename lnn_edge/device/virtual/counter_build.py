"""Compile counter.c at first use into a cache of the user; absence of a compiler is no error."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib import resources
from pathlib import Path

_FLAGS = ("-std=c11", "-O2", "-shared", "-fPIC")


def cache_dir() -> Path:
    """Folder for compiled helpers: $XDG_CACHE_HOME/lnn-edge or ~/.cache/lnn-edge."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lnn-edge"


def load_library() -> ctypes.CDLL | None:
    """The compiled helper, or None when there is no compiler, no cache folder or no luck."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform == "win32":
        return None
    source = resources.files("lnn_edge.device.virtual").joinpath("counter.c").read_bytes()
    key = hashlib.sha256(source + " ".join((*_FLAGS, sysconfig.get_platform())).encode())
    library = cache_dir() / f"counter-{key.hexdigest()[:16]}.so"
    try:
        if not library.exists():
            _compile(compiler, source, library)
        return ctypes.CDLL(str(library))
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return None


def _compile(compiler: str, source: bytes, library: Path) -> None:
    """Write the library beside its final name, then rename: two processes may do this at once."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        c_file, built = Path(folder) / "counter.c", Path(folder) / "counter.so"
        c_file.write_bytes(source)
        subprocess.run(
            [compiler, *_FLAGS, "-o", str(built), str(c_file)],
            check=True,
            capture_output=True,
            timeout=60,
        )
        os.replace(built, library)

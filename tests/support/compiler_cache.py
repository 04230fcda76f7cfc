"""The same C with the same flags is compiled once in a session, whichever project it lies in."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path

LAUNCHER = "CMAKE_C_COMPILER_LAUNCHER"  # CMake reads it


def compiler_cache(folder: Path, projects: Path) -> Mapping[str, str]:
    """Return the environment in which CMake compiles through ccache; empty where it is missing.

    An object then names its sources relative to the folder in which it is built: debug information
    alone differs. A test about that asks for `compiled_anew`.

    Args:
        folder: Where objects are kept.
        projects: Above all projects, whose place there is no part of what is compiled.
    """
    found = shutil.which("ccache", path=sysconfig.get_path("scripts")) or shutil.which("ccache")
    if found is None:
        return {}
    return {
        LAUNCHER: found,
        "CCACHE_DIR": str(folder),
        "CCACHE_BASEDIR": str(projects),
        "CCACHE_NOHASHDIR": "1",
    }

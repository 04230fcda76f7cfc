"""Calls a reader's library in this process, and programs in the place of the one of its own."""

from __future__ import annotations

import importlib
import io
from pathlib import Path

from lnn_edge.data.readers.apart import Groups, pack, unpack


def read_here(module: str, path: Path, *arguments: str) -> Groups:
    """Stand in for `read_apart`."""
    reader = importlib.import_module(module)
    try:
        passed = io.BytesIO()
        pack(reader.groups_of(path, *arguments), passed)
        return unpack(passed)
    except reader.DAMAGE as error:
        raise ValueError(str(error).split("\n")[0]) from None


def write_program(path: Path, does: str) -> str:
    """Write what takes the place of Python: it hangs, or it crashes."""
    path.write_text("#!/bin/sh\n" + {"hang": "exec sleep 60", "crash": "kill -SEGV $$"}[does])
    path.chmod(0o755)
    return str(path)

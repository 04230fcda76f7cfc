"""Disks that are full, and users who may not write, as far as this machine lends them."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CAPBSET_DROP, _DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER = 24, 1, 2, 3  # of linux/capability.h


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Make a folder a file system of its own with so many bytes; only root may."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def without_privileges() -> None:
    """Let the modes of files bind this process and what it starts, also where root runs tests.

    For `preexec_fn`: the program that follows has no capability to write anywhere.
    """
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER):
            if libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "capabilities stay")


@contextmanager
def closed(*folders: Path) -> Iterator[None]:
    """Take the right to write to folders, and to what is below them, from everybody."""
    paths = [p for folder in folders for p in (folder, *folder.rglob("*")) if not p.is_symlink()]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)

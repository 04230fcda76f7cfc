"""What holds for every test: one thread each, and files in memory, since workers share cores."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.in_memory import folder_in_memory
from tests.support.once import FOLDER

# How fast an example is made says nothing of the code where workers share the cores.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

PYTESTS_FOLDERS = "PYTEST_DEBUG_TEMPROOT"  # pytest reads it

# Before anything imports numpy or torch, and for every program that a test starts.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture
def readers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call libraries of files in this process; one of their own takes a third of a second."""
    from tests.support.apart import read_here

    for home in ("data.tnmg", "data.readers.hdf5_file", "nn.from_keras.files"):
        monkeypatch.setattr(f"lnn_edge.{home}.read_apart", read_here)


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that `once` and what asks for temporary files fill; workers inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    if not is_worker(config):
        memory = folder_in_memory()
        if memory is not None:
            os.environ.setdefault(PYTESTS_FOLDERS, str(memory))
        folder = Path(tempfile.mkdtemp(prefix="lnn-edge-tests-", dir=memory))
        (folder / "passing").mkdir()
        os.environ[FOLDER] = str(folder)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "passing")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no folder behind."""
    if not is_worker(config):
        shutil.rmtree(os.environ.pop(FOLDER))

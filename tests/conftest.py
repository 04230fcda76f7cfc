"""What holds for every test: one thread each, and files in memory, since workers share cores."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.compiler_cache import compiler_cache
from tests.support.in_memory import folder_in_memory, session_folder
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


@pytest.fixture
def compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile as users do, even what was compiled before."""
    monkeypatch.setenv("CCACHE_DISABLE", "1")


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal files to the workers, long tests first: one that starts last leaves cores idle.

    Those that compile or emulate are long; next are files of few tests. A worker begins with its
    share of the order and takes from the end of another's share when it is through.
    """
    workers = config.workerinput["workercount"] if is_worker(config) else 1
    tests_in = Counter(item.path for item in items)
    long = {item.path for item in items if item.get_closest_marker("target")}
    files = sorted(tests_in, key=lambda path: (path not in long, tests_in[path], path))
    place = {path: (index % workers, index) for index, path in enumerate(files)}
    items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among tests and libraries, which stay: 4 % of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that `once` and what asks for temporary files fill; workers inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    if not is_worker(config):
        memory, patch, kept = folder_in_memory(), pytest.MonkeyPatch(), ExitStack()
        config.add_cleanup(patch.undo)
        config.add_cleanup(kept.close)
        if memory is not None and PYTESTS_FOLDERS not in os.environ:
            patch.setenv(PYTESTS_FOLDERS, str(memory))
        home = memory or Path(tempfile.gettempdir())
        folder = kept.enter_context(session_folder(home))
        (folder / "passing").mkdir()
        patch.setenv(FOLDER, str(folder))
        patch.setenv("TMPDIR", str(folder / "passing"))
        patch.setattr(tempfile, "tempdir", str(folder / "passing"))
        for name, value in compiler_cache(folder / "compiled", home).items():
            patch.setenv(name, value)

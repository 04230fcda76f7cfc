"""A folder with something of every kind that a command starts from, and commands run in one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.cli.command import PROGRAM, Outcome, call_json
from tests.cli.conftest import write_recipe


def run_in(
    folder: Path, arguments: tuple[object, ...], prepare: Callable[[], None] | None = None
) -> Outcome:
    """Run a command in a folder; its cache and temporary files go beside, the latter to vanish.

    Args:
        folder: Where it runs.
        arguments: Of the command.
        prepare: What its process does first.
    """
    places = folder.parent / "cache", folder.parent / "temporary"
    for place in places:
        place.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(places[0]), "TMPDIR": str(places[1])}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        cwd=folder,
        env=environment,
        preexec_fn=prepare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not list(places[1].iterdir())
    return Outcome(done.returncode, done.stdout, done.stderr)


def write_everything(folder: Path, graph_file: Path, trained: Path, data_dir: Path) -> Path:
    """Fill a folder and return it."""
    import torch

    folder.mkdir()
    shutil.copytree(trained, folder / "model")
    shutil.copytree(trained, folder / "float")
    for made in (folder / "float").glob("model.qgraph*"):
        made.unlink()
    shutil.copytree(data_dir, folder / "data")
    shutil.copy(graph_file, folder / "toy.qgraph")
    write_recipe(folder / "tiny.toml")
    torch.save(torch.nn.GRU(3, 4).state_dict(), folder / "gru.pt")
    header = "time_s,MLII (mV),V1 (mV)"
    values = np.random.default_rng(0).normal(size=(3000, 2))
    table = np.column_stack((np.arange(3000) / 360, values))
    np.savetxt(folder / "in.csv", table, "%.4f", ",", header=header, comments="")
    call_json("export", graph_file, "--board", "stm32f746", "-o", folder / "project")
    call_json("export", graph_file, "--board", "stm32f746", "-o", folder / "built")
    call_json("build", folder / "built")
    return folder

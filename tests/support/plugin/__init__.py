"""A package of another author, installed for a test by its entry points alone."""

from __future__ import annotations

import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def install(folder: Path) -> Path:
    """Write what pip would write of pyproject.toml; return the folders to put on the path."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    info = folder / "lnn_sample-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    (info / "entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "\n".join(f"{name} = {place}" for name, place in entries.items())
            for group, entries in groups
        )
    )
    return info

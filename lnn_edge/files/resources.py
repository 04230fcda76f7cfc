"""Where templates, boards, firmware and models lie: in the wheel, else in the repository."""

from __future__ import annotations

from importlib import resources as _resources
from pathlib import Path

from lnn_edge.errors import LnnEdgeError


def path(kind: str) -> Path:
    """Return the folder of that kind: templates, boards, firmware or models."""
    packaged = Path(str(_resources.files("lnn_edge"))) / "_data" / kind
    repository = Path(__file__).resolve().parents[2] / kind
    for folder in (packaged, repository):
        if folder.is_dir():
            return folder
    raise LnnEdgeError(f"no {kind} folder in this installation; install lnn-edge again")

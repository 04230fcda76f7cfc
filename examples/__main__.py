"""Take examples to the virtual STM32F746: python -m examples [NAME ...]"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

import torch

import lnn_edge as le

HERE = Path(__file__).parent
NAMES = sorted(p.stem for p in HERE.glob("[a-z]*.py") if p.stem not in ("ecg", "motion"))


def run(name: str, folder: Path) -> str:
    """Return a row: what the network takes on the board, and how far its integers are off."""
    torch.manual_seed(1)
    net, graph = import_module(f"examples.{name}").make()
    project = le.export(graph, board="stm32f746", to=folder)
    size = le.build(project).size
    result = le.verify(project, link="virtual")
    error = max(c.float_error["rmse"] / c.float_error["range"] for c in result.outputs)
    weights = sum(p.numel() for p in net.parameters())
    return (
        f"{name:15} {weights:6,} weights, {result.counts.median:8,} instructions a decision, "
        f"{size.flash_bytes:7,} B flash, {size.ram_bytes + size.stack_bytes:6,} B RAM and stack, "
        f"RMSE {error:.2%}, {result.mismatches} of {result.steps} steps differ"
    )


for name in sys.argv[1:] or NAMES:
    with tempfile.TemporaryDirectory() as folder:
        print(run(name, Path(folder) / "firmware"), flush=True)

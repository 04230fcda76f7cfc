"""A cell by itself as a module, with weights from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lnn_edge.nn.recurrent import Recurrent


class _Timed(nn.Module):
    """A recurrent layer that reads elapsed time as a second input."""

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, dt: Tensor) -> Any:
        """Return the outputs."""
        return self.layer(x, timespans=dt)


def cell_alone(make: Callable[[], nn.Module], dt: float | None, dtype: str) -> nn.Module:
    """Return a module of x (B, T, I), and of dt (B, T, 1) where no constant is given.

    Args:
        make: Makes the cell; torch's seed is 0 meanwhile.
        dt: Elapsed time, or None.
        dtype: In which the cell reads its inputs: int8 or int16.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        layer = Recurrent([make()], result="outputs", dtype=dtype, dt=dt or 1.0)
    return (layer if dt else _Timed(layer)).eval()

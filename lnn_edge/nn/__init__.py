"""Networks in floating point: layers for networks of one's own, cells, and what reads modules.

    le.nn.CfC(6, 32)                       # or a wiring: le.nn.CfC(6, le.nn.auto_ncp(20, 5))
    le.nn.LTC(6, le.nn.auto_ncp(16, 4))
    le.nn.register(Layer, rule)            # how a layer of another package becomes integers
    le.nn.register_cell(Layer, make)       # or which cells it is

torch is imported with the first of these names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lnn_edge.nn.cell import Cell, LoweredCell
    from lnn_edge.nn.cells.wirings import (
        NcpConfig,
        Wiring,
        auto_ncp,
        fully_connected,
        ncp,
        random_wiring,
        read_wiring,
    )
    from lnn_edge.nn.layers import register, register_cell
    from lnn_edge.nn.liquid import LTC, CfC
    from lnn_edge.nn.recurrent import Recurrent

__all__ = [
    "LTC",
    "Cell",
    "CfC",
    "LoweredCell",
    "NcpConfig",
    "Recurrent",
    "Wiring",
    "auto_ncp",
    "fully_connected",
    "ncp",
    "random_wiring",
    "read_wiring",
    "register",
    "register_cell",
]

_HOMES = {
    "cell": ("Cell", "LoweredCell"),
    "cells.wirings": (
        *("NcpConfig", "Wiring", "auto_ncp", "fully_connected", "ncp", "random_wiring"),
        "read_wiring",
    ),
    "layers": ("register", "register_cell"),
    "liquid": ("CfC", "LTC"),
    "recurrent": ("Recurrent",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

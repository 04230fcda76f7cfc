"""Families of microcontrollers, a file each; add one by adding its file here."""

from __future__ import annotations

from lnn_edge.device.families import f1, f4, f7, g0, h7, l4, l5, mps2, nrf51, u5
from lnn_edge.device.families.family import Family

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY for module in (f1, f4, f7, g0, h7, l4, l5, u5, mps2, nrf51)
}

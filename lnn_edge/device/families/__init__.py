"""Families of microcontrollers, a file each; add one by adding its file here."""

from __future__ import annotations

from lnn_edge.device.families import f4, f7, h7, l4
from lnn_edge.device.families.family import Family

FAMILIES: dict[str, Family] = {f.name: f for f in (f4.FAMILY, f7.FAMILY, l4.FAMILY, h7.FAMILY)}

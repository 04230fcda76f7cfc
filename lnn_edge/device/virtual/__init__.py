"""Virtual STM32F746 board: runs the unmodified target ELF and serves its UART as a serial port.

The engine (Unicorn, GPLv2, optional extra) is imported by `machine` and below only; the board runs
in its own process, ``python -m lnn_edge.device.virtual ELF --tcp PORT``. Nothing here knows a
model.
"""

from lnn_edge.device.virtual.config import MachineConfig, MemoryRegion, UsartConfig

__all__ = ["MachineConfig", "MemoryRegion", "UsartConfig"]

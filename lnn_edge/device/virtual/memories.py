"""What lies in the memories at power-on: the firmware, and what ST wrote into the chip."""

from __future__ import annotations

import struct

from lnn_edge.device.elf import Elf
from lnn_edge.device.virtual.config import MachineConfig, MemoryRegion
from lnn_edge.device.virtual.engine import Engine
from lnn_edge.errors import BoardError

_ROM_PAGE, _UID, _FLASH_SIZE = 0x1FF0F000, 0x1FF0F420, 0x1FF0F442  # RM0385 chapter 41
_UID_BYTES = b"lnn-edge\0\0\0\1"  # 96 bits
_RAM_FILL = b"\xad\xde"  # RAM is not zero at power-on


def fill(engine: Engine, config: MachineConfig, image: Elf) -> None:
    """Map all memories and put into them what they hold at power-on.

    Raises:
        BoardError: A segment of the firmware does not lie in flash.
    """
    for region in config.memories:
        engine.map_memory(region)
        content = b"\xff\xff" if region.kind == "flash" else _RAM_FILL
        engine.write_memory(region.start, content * (region.size // 2))
    for address, data in image.segments:
        target = config.region_at(address)
        if target is None or address + len(data) > target.end or target.kind != "flash":
            raise BoardError(
                f"{image.path}: segment {address:#010x}..{address + len(data):#010x} does "
                f"not fit the flash of {config.name}; check the linker script"
            )
        engine.write_memory(address, data)
    for page in (_ROM_PAGE, _ROM_PAGE + 0x400):
        engine.map_memory(MemoryRegion("system", page, 0x400, "flash"))
    engine.write_memory(_UID, _UID_BYTES)
    flash = sum(region.size for region in config.memories if region.kind == "flash")
    engine.write_memory(_FLASH_SIZE, struct.pack("<H", flash // 1024))

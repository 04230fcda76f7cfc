"""Puts the CRC of an image into its last word: the firmware checks its flash by it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

_SEAL_SECTION = ".seal"
_SEAL_BYTES = 4


def seal(elf: Path, image: Path) -> None:
    """Write the CRC-32 of all before it over the last word of a linked firmware and its image.

    A program without that word, which is not this firmware, stays as it is.
    """
    from elftools.elf.elffile import ELFFile  # not needed where nothing is built

    with elf.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(_SEAL_SECTION)
        if section is None or section["sh_size"] != _SEAL_BYTES:
            return
        at = section["sh_offset"]
    raw = image.read_bytes()
    crc = struct.pack("<I", zlib.crc32(raw[:-_SEAL_BYTES]))
    image.write_bytes(raw[:-_SEAL_BYTES] + crc)
    with elf.open("r+b") as stream:
        stream.seek(at)
        stream.write(crc)

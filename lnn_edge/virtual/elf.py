"""The target ELF: bytes to load and function symbols to name addresses with."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from lnn_edge.errors import BoardError


@dataclass(frozen=True)
class Image:
    """A loaded ELF.

    Args:
        path: Where it came from.
        segments: (load address, bytes) of each loadable segment.
        functions: (start, size, name), ascending by start, Thumb bit cleared.
    """

    path: Path
    segments: tuple[tuple[int, bytes], ...]
    functions: tuple[tuple[int, int, str], ...]

    def function_at(self, address: int) -> str | None:
        """Name of the function that holds `address`, or None."""
        index = bisect.bisect_right(self.functions, (address, 1 << 32, "")) - 1
        if index < 0:
            return None
        start, size, name = self.functions[index]
        return name if address < start + max(size, 2) else None

    def describe(self, address: int) -> str:
        """Address in hex with its function, for example ``0x08000124 (main+0x10)``."""
        name = self.function_at(address)
        if name is None:
            return f"{address:#010x}"
        start = next(
            s for s, _, n in reversed(self.functions) if n == name and s <= address
        )
        return f"{address:#010x} ({name}+{address - start:#x})"


def read_image(path: Path) -> Image:
    """Read an ELF for 32-bit little-endian Arm.

    Raises:
        BoardError: Missing, not an ELF, of another machine, or nothing to load in it.
    """
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if (
                elf["e_machine"] != "EM_ARM"
                or elf.elfclass != 32
                or not elf.little_endian
            ):
                raise BoardError(
                    f"{path}: not an ELF for 32-bit little-endian Arm; build the target"
                )
            return Image(path, _segments(elf), _functions(elf))
    except OSError as error:
        raise BoardError(
            f"{path}: cannot read the ELF ({error.strerror}); build it first"
        ) from error
    except ELFError as error:
        raise BoardError(
            f"{path}: not an ELF file ({error}); give the linked firmware"
        ) from error


def _segments(elf: ELFFile) -> tuple[tuple[int, bytes], ...]:
    found = tuple(
        (segment["p_paddr"], segment.data())
        for segment in elf.iter_segments()
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
    )
    if not found:
        raise BoardError(
            f"{elf.stream.name}: no loadable segment; give the linked firmware"
        )
    return found


def _functions(elf: ELFFile) -> tuple[tuple[int, int, str], ...]:
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return ()
    return tuple(
        sorted(
            (symbol["st_value"] & ~1, symbol["st_size"], symbol.name)
            for symbol in table.iter_symbols()
            if symbol["st_info"]["type"] == "STT_FUNC"
            and symbol["st_shndx"] != "SHN_UNDEF"
        )
    )

"""What is in a linked Arm ELF: bytes to load, sections, symbols, and the name of an address.

Reads files only; nothing here knows a board or a model.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from lnn_edge.errors import BuildError
from lnn_edge.files.read import LARGEST_ARRAYS, read_whole

_ALLOC = 0x2  # SHF_ALLOC
_SHARED = "lnn_op_"  # what operators share, firmware/runtime/lnn_rows.h
_OPERATOR = "_op_"  # within the name of an operator's function
# What pyelftools raises on files that are not as they should be.
_DAMAGE = (
    ELFError,
    ConstructError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Section:
    """A section that occupies memory of the target.

    Args:
        name: Name, for example ".text".
        address: Run address.
        load_address: Where its bytes are stored; equals `address` unless copied at start.
        size: Bytes.
        data: Its bytes; None if it holds no bytes in the file (.bss).
    """

    name: str
    address: int
    load_address: int
    size: int
    data: bytes | None


@dataclass(frozen=True)
class Symbol:
    """A function or an object; `address` has the Thumb bit of functions cleared."""

    name: str
    address: int
    size: int
    is_function: bool

    @property
    def is_shared(self) -> bool:
        """Whether it does a part of the work of each operator that calls it."""
        return self.name.startswith(_SHARED)

    @property
    def is_operator(self) -> bool:
        """Whether it is the function of an operator."""
        return _OPERATOR in self.name and not self.is_shared


@dataclass(frozen=True)
class Elf:
    """What a linked file holds.

    Args:
        path: Where it came from.
        segments: (load address, bytes) of each part that is written to memory.
        sections: Allocated sections, in file order.
        symbols: Defined functions and objects, by address.
        labels: Defined names without a type, such as those of the linker script, with their values.
    """

    path: Path
    segments: tuple[tuple[int, bytes], ...]
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    labels: dict[str, int]

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """Functions by address."""
        return tuple(symbol for symbol in self.symbols if symbol.is_function)

    def function_at(self, address: int) -> Symbol | None:
        """Function that holds an address, Thumb bit set or not, or None."""
        address &= ~1
        index = bisect.bisect_right(self.functions, address, key=lambda s: s.address) - 1
        if index < 0:
            return None
        found = self.functions[index]
        # Hand-written assembly may carry no size.
        return found if address < found.address + max(found.size, 2) else None

    def name_at(self, address: int) -> str:
        """Name of the function that holds an address, "" if there is none."""
        function = self.function_at(address)
        return function.name if function else ""

    def describe(self, address: int) -> str:
        """Address with its function, for example ``0x08000124 (main+0x10)``."""
        function = self.function_at(address)
        if function is None:
            return f"{address:#010x}"
        return f"{address:#010x} ({function.name}+{(address & ~1) - function.address:#x})"


def read_elf(path: Path) -> Elf:
    """Read a linked ELF for 32-bit little-endian Arm.

    Raises:
        BuildError: Missing, not an ELF, of another machine, or nothing to load in it.
    """
    try:
        elf = ELFFile(BytesIO(read_whole(path, LARGEST_ARRAYS)))
        if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32 or not elf.little_endian:
            raise BuildError(
                f"{path}: not an ELF for 32-bit little-endian Arm; give the board's firmware"
            )
        segments = _segments(elf)
        if not segments:
            raise BuildError(f"{path}: no loadable segment; give the linked firmware")
        symbols, labels = _symbols(elf)
        return Elf(path, segments, _sections(elf), symbols, labels)
    except OSError as error:
        raise BuildError(f"{path}: cannot read it ({error.strerror}); build it first") from error
    except _DAMAGE as error:
        raise BuildError(f"{path}: not an ELF file ({error}); build it again") from error


def _segments(elf: ELFFile) -> tuple[tuple[int, bytes], ...]:
    return tuple(
        (segment["p_paddr"], segment.data())
        for segment in elf.iter_segments()
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
    )


def _sections(elf: ELFFile) -> tuple[Section, ...]:
    loads = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
    found = []
    for section in elf.iter_sections():
        if not section["sh_flags"] & _ALLOC or not section["sh_size"]:
            continue
        address, size = section["sh_addr"], section["sh_size"]
        data = None if section["sh_type"] == "SHT_NOBITS" else section.data()
        segment = next((s for s in loads if s.section_in_segment(section)), None)
        shift = segment["p_paddr"] - segment["p_vaddr"] if segment else 0
        found.append(Section(section.name, address, address + shift, size, data))
    return tuple(found)


def _symbols(elf: ELFFile) -> tuple[tuple[Symbol, ...], dict[str, int]]:
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return (), {}
    symbols, labels = [], {}
    for entry in table.iter_symbols():
        kind, value = entry["st_info"]["type"], entry["st_value"]
        if entry["st_shndx"] == "SHN_UNDEF" or not entry.name:
            continue
        if kind == "STT_FUNC":
            symbols.append(Symbol(entry.name, value & ~1, entry["st_size"], True))
        elif kind == "STT_OBJECT":
            symbols.append(Symbol(entry.name, value, entry["st_size"], False))
        elif not entry.name.startswith("$"):  # $t, $d: mapping symbols of the assembler
            labels[entry.name] = value
    return tuple(sorted(symbols, key=lambda s: (s.address, s.name))), labels

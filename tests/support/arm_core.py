"""Runs freestanding C on an emulated Cortex-M and counts its instructions."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

FLASH, FLASH_SIZE = 0x0800_0000, 8 << 20
RAM, RAM_SIZE = 0x2000_0000, 8 << 20
TAPE, TAPE_SIZE = 0x6000_0000, 64 << 20
RETURN = 0x0F00_0000
CORES = ("cortex-m7", "cortex-m4")
FLAGS = (
    "-mthumb -mfloat-abi=soft -std=c11 -O2 -ffreestanding -ffunction-sections "
    "-fno-tree-loop-distribute-patterns -Wall -Wextra -Werror -Wconversion -Wsign-conversion "
    "-Wshadow -Wundef -Wdouble-promotion -Wcast-align -Wvla"
).split()
LINKER_SCRIPT = f"""
ENTRY(run)
SECTIONS
{{
  . = {FLASH:#x}; .text : {{ *(.text .text.* .rodata .rodata.*) }}
  . = {RAM:#x}; .data : {{ *(.data .data.*) }} .bss : {{ *(.bss .bss.* COMMON) }}
  /DISCARD/ : {{ *(.ARM.exidx* .comment .ARM.attributes) }}
}}
"""


@dataclass(frozen=True)
class Program:
    """A linked program: `void run(const uint8_t *in, uint8_t *out)`."""

    elf: Path
    core: str
    symbols: dict[str, tuple[int, int]]

    def code_bytes(self, symbol: str) -> int:
        """Return the size of a function."""
        return self.symbols[symbol][1]


@dataclass(frozen=True)
class Run:
    """What a run wrote, and the instructions retired in each function."""

    output: bytes
    instructions: dict[str, int]


def require_emulator() -> None:
    """Skip without cross-compiler or emulator."""
    pytest.importorskip("unicorn", reason="the emulator is not installed")
    try:
        subprocess.run(["arm-none-eabi-gcc", "--version"], capture_output=True, check=True)
    except OSError:
        pytest.skip("arm-none-eabi-gcc is not installed")


def link(
    core: str,
    folder: Path,
    sources: list[Path],
    includes: list[Path],
    compiler: Sequence[str] = ("arm-none-eabi-gcc", *FLAGS),
) -> Program:
    """Compile and link for a core; any warning fails."""
    script, elf = folder / "test.ld", folder / f"{core}.elf"
    script.write_text(LINKER_SCRIPT)
    command = [*compiler, f"-mcpu={core}", *(f"-I{i}" for i in includes), *map(str, sources)]
    command += ["-nostdlib", f"-T{script}", _libgcc(core), "-o", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with elf.open("rb") as file:
        table: Any = ELFFile(file).get_section_by_name(".symtab")
        functions = [s for s in table.iter_symbols() if s["st_info"]["type"] == "STT_FUNC"]
        symbols = {s.name: (s["st_value"] & ~1, s["st_size"]) for s in functions}
    return Program(elf, core, symbols)


def _libgcc(core: str) -> str:
    """Return GCC's arithmetic, which Clang links as well."""
    ask = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-print-libgcc-file-name"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


def run(program: Program, data: bytes, output_bytes: int, count: bool = False) -> Run:
    """Call run(in, out) once.

    Args:
        program: From link.
        data: What `in` points at.
        output_bytes: How much to read back from `out`.
        count: Count retired instructions per function (slower).
    """
    import unicorn
    from unicorn import arm_const as arm

    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    models = {"cortex-m7": arm.UC_CPU_ARM_CORTEX_M7, "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4}
    uc.ctl_set_cpu_model(models[program.core])
    for start, size in ((FLASH, FLASH_SIZE), (RAM, RAM_SIZE), (TAPE, TAPE_SIZE), (RETURN, 4096)):
        uc.mem_map(start, size)
    with program.elf.open("rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            uc.mem_write(segment["p_paddr"], segment.data())
    out = TAPE + TAPE_SIZE // 2
    uc.mem_write(TAPE, data)
    uc.reg_write(arm.UC_ARM_REG_SP, RAM + RAM_SIZE)
    uc.reg_write(arm.UC_ARM_REG_LR, RETURN | 1)
    uc.reg_write(arm.UC_ARM_REG_R0, TAPE)
    uc.reg_write(arm.UC_ARM_REG_R1, out)
    blocks: Counter[tuple[int, int]] = Counter()
    if count:
        uc.hook_add(unicorn.UC_HOOK_BLOCK, lambda _uc, at, size, _user: blocks.update([(at, size)]))
    uc.emu_start(program.symbols["run"][0] | 1, RETURN)
    assert uc.reg_read(arm.UC_ARM_REG_PC) & ~1 == RETURN
    return Run(bytes(uc.mem_read(out, output_bytes)), _by_function(program, blocks))


def _by_function(program: Program, blocks: Counter[tuple[int, int]]) -> dict[str, int]:
    spans = sorted((start, start + size, name) for name, (start, size) in program.symbols.items())
    totals: dict[str, int] = {}
    for (address, size), times in blocks.items():
        name = next((n for start, end, n in spans if start <= address < end), "")
        totals[name] = totals.get(name, 0) + times * _instructions(program, address, size)
    return totals


@lru_cache(maxsize=8)
def _text(elf: Path) -> bytes:
    with elf.open("rb") as file:
        section: Any = ELFFile(file).get_section_by_name(".text")
        data: bytes = section.data()
        return data


def _instructions(program: Program, address: int, size: int) -> int:
    """Count Thumb instructions: a first halfword from 0xE800 on begins a 32-bit one."""
    code = _text(program.elf)[address - FLASH : address - FLASH + size]
    count = at = 0
    while at < len(code):
        wide = int.from_bytes(code[at : at + 2], "little") >= 0xE800
        at, count = at + (4 if wide else 2), count + 1
    return count

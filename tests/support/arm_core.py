"""Runs freestanding C on an emulated Cortex-M and counts its instructions."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lnn_edge.device.elf import read_elf
from lnn_edge.device.virtual.bare import LINKER_SCRIPT, BareCore

TAPE, TAPE_SIZE = 0x6000_0000, 64 << 20
CORES = ("cortex-m7", "cortex-m4")
FLAGS = (
    "-mthumb -mfloat-abi=soft -std=c11 -O2 -ffreestanding -ffunction-sections "
    "-fno-tree-loop-distribute-patterns -Wall -Wextra -Werror -Wconversion -Wsign-conversion "
    "-Wshadow -Wundef -Wdouble-promotion -Wcast-align -Wvla"
).split()


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
    command += ["-nostdlib", "-Wl,-e,run", f"-T{script}", _libgcc(core), "-o", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    symbols = {f.name: (f.address, f.size) for f in read_elf(elf).functions}
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
    core = BareCore(read_elf(program.elf), program.core, counts=count)
    core.add_memory(TAPE, TAPE_SIZE)
    core.write(TAPE, data)
    out = TAPE + TAPE_SIZE // 2
    call = core.call("run", TAPE, out)
    return Run(core.read(out, output_bytes), call.instructions)

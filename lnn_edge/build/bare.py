"""Links generated C for a core without a board, as the firmware's build compiles it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lnn_edge.build.tools import find_compiler
from lnn_edge.device.elf import Elf, read_elf
from lnn_edge.device.virtual.bare import LINKER_SCRIPT
from lnn_edge.errors import BuildError
from lnn_edge.files.disk import raise_if_full
from lnn_edge.files.programs import compiler_environment

# Those of firmware/CMakePresets.json and firmware/cmake/board.cmake.
FLAGS = (
    "-std=c11 -O2 -ffunction-sections -fdata-sections -fno-tree-loop-distribute-patterns "
    "-fno-ipa-icf -fno-ipa-sra -fno-ipa-cp"
).split()


def compiler_version() -> str:
    """Return the version of arm-none-eabi-gcc.

    Raises:
        MissingToolError: It is not installed.
    """
    return _run([str(find_compiler()), "-dumpfullversion"]).strip()


def link_bare(
    sources: Sequence[Path],
    includes: Sequence[Path],
    cpu_flags: Sequence[str],
    functions: Sequence[str],
    folder: Path,
) -> Elf:
    """Compile and link, dropping what the functions do not reach.

    Args:
        sources: C files.
        includes: Folders of headers.
        cpu_flags: As in the board file: -mcpu and what belongs to it.
        functions: Entry points and objects that stay.
        folder: Gets the program.

    Raises:
        BuildError: What the compiler says.
        MissingToolError: The compiler is not installed.
    """
    script, elf = folder / "bare.ld", folder / "bare.elf"
    script.write_text(LINKER_SCRIPT)
    command = [str(find_compiler()), *FLAGS, *cpu_flags, *(f"-I{i}" for i in includes)]
    command += [*map(str, sources), "-nostdlib", "-Wl,--gc-sections", "-Wl,-e,0"]
    command += [*(f"-Wl,-u,{name}" for name in functions), f"-T{script}", "-lgcc", "-o", str(elf)]
    _run(command, folder)
    return read_elf(elf)


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    """Run the compiler, which writes to the folder; return what it says."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False,
        env=compiler_environment(),
    )  # fmt: skip
    if done.returncode:
        if folder is not None:
            raise_if_full(folder, done.stderr)
        lines = done.stderr.strip().splitlines() or ["no output"]
        first = next((line for line in lines if "error" in line), lines[0])
        raise BuildError(f"generated C does not build: {first}")
    return done.stdout

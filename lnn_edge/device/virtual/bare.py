"""A core with memory and nothing else: calls functions of a linked program and counts instructions.

No peripherals, no exceptions: that is the machine beside this file. Facts about the engine are in
engine.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lnn_edge.device.elf import Elf
from lnn_edge.device.virtual.engine import import_unicorn
from lnn_edge.device.virtual.thumb import is_wide
from lnn_edge.errors import BuildError

CORES = ("cortex-m7", "cortex-m4", "cortex-m3")
FLASH, RAM, MEMORY_BYTES = 0x0800_0000, 0x2000_0000, 8 << 20
LINKER_SCRIPT = f"""SECTIONS
{{
  . = {FLASH:#x}; .text : {{ *(.text .text.*) }} .rodata : {{ *(.rodata .rodata.*) }}
  . = {RAM:#x}; .data : {{ *(.data .data.*) }} .bss : {{ *(.bss .bss.* COMMON) }}
  /DISCARD/ : {{ *(.ARM.exidx* .comment .ARM.attributes) }}
}}
"""
_RETURN = 0x0F00_0000  # where a call comes back to
_STACK_BYTES = 64 << 10  # that are looked at
_FRESH = 0xA5


@dataclass
class Call:
    """What a call gave.

    Attributes:
        result: Register r0.
        instructions: Retired in each function, with what it had done by routines that operators
            share; empty if they are not counted.
    """

    result: int
    instructions: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Retired instructions."""
        return sum(self.instructions.values())


class BareCore:
    """Runs a program of LINKER_SCRIPT; its functions follow the procedure call standard.

    Args:
        elf: The program.
        core: One of CORES.
        counts: Whether to count retired instructions (slower).

    Raises:
        MissingToolError: The engine is not installed.
    """

    def __init__(self, elf: Elf, core: str, *, counts: bool = True) -> None:
        unicorn = import_unicorn()
        arm = self._arm = unicorn.arm_const
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self._uc.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{core.upper().replace('-', '_')}"))
        self._elf = elf
        self._addresses = {symbol.name: symbol.address for symbol in elf.symbols}
        self._totals: dict[str, int] = {}
        self._known: dict[tuple[int, int], tuple[str, int]] = {}
        self._owner = ""
        for start in (FLASH, RAM):
            self.add_memory(start, MEMORY_BYTES)
        self.add_memory(_RETURN, 4096)
        for start, data in elf.segments:
            self.write(start, data)
        self.write(RAM + MEMORY_BYTES - _STACK_BYTES, bytes([_FRESH]) * _STACK_BYTES)
        if counts:
            self._uc.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)

    def add_memory(self, start: int, size: int) -> None:
        """Map more memory."""
        self._uc.mem_map(start, size)

    def address(self, symbol: str) -> int:
        """Return the address of a function or object."""
        return self._addresses[symbol]

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of memory."""
        return bytes(self._uc.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Change bytes of memory."""
        self._uc.mem_write(address, data)

    def call(self, function: str, *arguments: int) -> Call:
        """Call a function with at most four words.

        Raises:
            BuildError: It does not come back.
        """
        uc, arm = self._uc, self._arm
        uc.reg_write(arm.UC_ARM_REG_SP, RAM + MEMORY_BYTES)
        uc.reg_write(arm.UC_ARM_REG_LR, _RETURN | 1)
        for index, value in enumerate(arguments):
            uc.reg_write(arm.UC_ARM_REG_R0 + index, value)
        self._totals = {}
        uc.emu_start(self._addresses[function] | 1, _RETURN)
        if uc.reg_read(arm.UC_ARM_REG_PC) & ~1 != _RETURN:
            raise BuildError(f"{function} does not return; the program is damaged")
        return Call(uc.reg_read(arm.UC_ARM_REG_R0), self._totals)

    @property
    def stack_bytes(self) -> int:
        """Bytes of stack that the deepest call so far has written, at most 64 KiB."""
        stack = self.read(RAM + MEMORY_BYTES - _STACK_BYTES, _STACK_BYTES)
        return len(stack.lstrip(bytes([_FRESH])))

    def _on_block(self, _uc: Any, address: int, size: int, _user: Any) -> None:
        key = (address, size)
        if key not in self._known:
            self._known[key] = self._function_at(address), self._instructions(*key)
        name, instructions = self._known[key]
        if name:
            self._owner = name
        self._totals[self._owner] = self._totals.get(self._owner, 0) + instructions

    def _function_at(self, address: int) -> str:
        """Return the name of a function, empty if its work is its caller's."""
        function = self._elf.function_at(address)
        return function.name if function and not function.is_shared else ""

    def _instructions(self, address: int, size: int) -> int:
        code = self.read(address, size)
        count = at = 0
        while at < size:
            at += 4 if is_wide(int.from_bytes(code[at : at + 2], "little")) else 2
            count += 1
        return count

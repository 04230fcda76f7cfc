"""What the virtual board is told about the machine it stands for.

Plain values only, so that a board description or a JSON file can fill them; no engine here.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lnn_edge.errors import BoardError
from lnn_edge.files.reason import reason_of

_KINDS = ("flash", "ram")
_BUSES = ("apb1", "apb2")
_CPUS = ("cortex-m7", "cortex-m4")
IRQS = 98  # interrupts of the STM32F746, RM0385 vector table
PAGE = 1024  # smallest unit the engine maps, bytes
_PERIPHERALS = (0x40000000, 0x60000000)
_RESERVED = (  # what the board puts there itself, ARMv7-M B3.1 and RM0385 chapter 41
    (0x1FF0F000, 0x1FF0F800, "the unique ID"),
    (*_PERIPHERALS, "the peripherals"),
    (0xE0000000, 1 << 32, "the core"),
)


@dataclass(frozen=True)
class MemoryRegion:
    """One memory of the chip.

    Args:
        name: Name used in diagnoses, for example "dtcm".
        start: First address.
        size: Bytes, a multiple of 1 KB.
        kind: "flash" (read and execute) or "ram".
        dma: Whether the DMA controllers reach it.
    """

    name: str
    start: int
    size: int
    kind: str
    dma: bool = True

    @property
    def end(self) -> int:
        """First address after the region."""
        return self.start + self.size


@dataclass(frozen=True)
class UsartConfig:
    """The USART whose pins reach the host.

    Args:
        name: Instance name.
        base: Register block address.
        irq: NVIC interrupt number.
        bus: "apb1" or "apb2": which peripheral clock drives it by default.
        clock_bit: Bit of RCC_APBxENR that gates it.
        select_bit: Lowest bit of its two-bit field in RCC_DCKCFGR2.
    """

    name: str
    base: int
    irq: int
    bus: str
    clock_bit: int
    select_bit: int


USART1 = UsartConfig("USART1", 0x40011000, 37, "apb2", 4, 0)
USART3 = UsartConfig("USART3", 0x40004800, 39, "apb1", 18, 4)
_USARTS = {usart.name: usart for usart in (USART1, USART3)}  # RM0385 memory map, vector table, RCC

F746_MEMORIES = (  # DS10916, memory mapping
    MemoryRegion("flash", 0x08000000, 0x100000, "flash"),
    MemoryRegion("itcm", 0x00000000, 0x4000, "ram", dma=False),  # RM0385 2.1, bus matrix
    MemoryRegion("dtcm", 0x20000000, 0x10000, "ram"),
    MemoryRegion("sram", 0x20010000, 0x40000, "ram"),
)


@dataclass(frozen=True)
class MachineConfig:
    """A machine: memories, clocks at the pins, the USART that is wired to the host.

    Args:
        name: Shown in diagnoses.
        cpu: "cortex-m7" or "cortex-m4" (instruction set of the engine).
        memories: Regions; the first one of kind "flash" is where the core boots.
        hse_hz: Frequency at the oscillator pins, Hz; 0 means none fitted (HSERDY never comes).
        usart: The instance that is wired to the host.
        double_precision: Whether the FPU executes double-precision arithmetic.
    """

    name: str = "stm32f746"
    cpu: str = "cortex-m7"
    memories: tuple[MemoryRegion, ...] = F746_MEMORIES
    hse_hz: int = 25_000_000
    usart: UsartConfig = USART1
    double_precision: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.cpu not in _CPUS:
            raise BoardError(f"{self.name}: cpu {self.cpu!r} is not one of {', '.join(_CPUS)}")
        _check_usart(self.name, self.usart)
        if self.hse_hz < 0:
            raise BoardError(f"{self.name}: hse_hz is {self.hse_hz}, it cannot be negative")
        _check_memories(self.name, self.memories)

    @property
    def boot_address(self) -> int:
        """Address of the vector table at reset."""
        return next(region.start for region in self.memories if region.kind == "flash")

    def region_at(self, address: int) -> MemoryRegion | None:
        """Region that holds `address`, or None."""
        return next((r for r in self.memories if r.start <= address < r.end), None)

    def to_json(self) -> str:
        """Text that `from_json` reads back."""
        return json.dumps(asdict(self), indent=2)

    @staticmethod
    def from_json(text: str, where: str = "machine") -> MachineConfig:
        """Read a machine; keys left out keep the STM32F746 values, unknown keys are refused.

        Args:
            text: A JSON object with the fields of this class. `usart` may be the name
                "USART1" or "USART3"; integers may be written as "0x..." strings.
            where: Named in errors.

        Raises:
            BoardError: Not JSON, unknown or missing key, or impossible value.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BoardError(f"{where}: not valid JSON ({error}); write an object") from error
        raw = _known_keys(raw, MachineConfig, where, complete=False)
        if "memories" in raw:
            raw["memories"] = tuple(
                MemoryRegion(**_known_keys(m, MemoryRegion, f"{where}: memories", complete=True))
                for m in _as_list(raw["memories"], f"{where}: memories")
            )
        if "usart" in raw:
            raw["usart"] = _usart(raw["usart"], f"{where}: usart")
        return MachineConfig(**raw)

    @staticmethod
    def from_file(path: Path) -> MachineConfig:
        """Read a machine from a JSON file; errors name the file."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BoardError(
                f"{path}: cannot read the machine description ({reason_of(error)})"
            ) from error
        return MachineConfig.from_json(text, str(path))


def _usart(value: Any, where: str) -> UsartConfig:
    if isinstance(value, str):
        if value not in _USARTS:
            raise BoardError(f"{where}: {value!r} is not one of {', '.join(_USARTS)}")
        return _USARTS[value]
    return UsartConfig(**_known_keys(value, UsartConfig, where, complete=True))


def _as_list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise BoardError(f"{where} must be a list of regions, not {type(value).__name__}")
    return value


def _known_keys(raw: Any, kind: type, where: str, *, complete: bool) -> dict[str, Any]:
    """Check keys and types against a dataclass; integers may be strings such as "0x20000000"."""
    if not isinstance(raw, dict):
        raise BoardError(f"{where} must be an object, not {type(raw).__name__}")
    types = {field.name: str(field.type) for field in fields(kind)}
    for key in raw:
        if key not in types:
            raise BoardError(f"{where}: unknown key {key!r}; known are {', '.join(types)}")
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    missing = [key for key in needed if key not in raw]
    if complete and missing:
        raise BoardError(f"{where}: key {missing[0]!r} is missing")
    return {key: _typed(value, types[key], f"{where}: {key}") for key, value in raw.items()}


def _typed(value: Any, type_name: str, where: str) -> Any:
    if type_name == "int":
        return _integer(value, where)
    if type_name == "str" and not isinstance(value, str):
        raise BoardError(f"{where} must be a text, not {value!r}")
    if type_name == "bool" and not isinstance(value, bool):
        raise BoardError(f"{where} must be true or false, not {value!r}")
    return value


def _integer(value: Any, where: str) -> int:
    try:
        if isinstance(value, str):
            return int(value, 0)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    except ValueError:
        pass
    raise BoardError(f"{where} must be an integer, not {value!r}")


def _check_usart(name: str, usart: UsartConfig) -> None:
    if usart.bus not in _BUSES:
        raise BoardError(f"{name}: usart bus {usart.bus!r} is not apb1 or apb2")
    low, high = _PERIPHERALS
    if not low <= usart.base < high or usart.base % PAGE:
        raise BoardError(f"{name}: usart base {usart.base:#010x} is not a peripheral's address")
    limits = {"irq": IRQS, "clock_bit": 32, "select_bit": 31}
    for field, limit in limits.items():
        value = getattr(usart, field)
        if not 0 <= value < limit:
            raise BoardError(f"{name}: usart {field} is {value}, not 0 to {limit - 1}")


def _check_memories(name: str, memories: tuple[MemoryRegion, ...]) -> None:
    for region in memories:
        if region.kind not in _KINDS:
            raise BoardError(
                f"{name}: region {region.name} has kind {region.kind!r}, not flash/ram"
            )
        if region.size <= 0 or region.size % PAGE or region.start % PAGE:
            raise BoardError(f"{name}: region {region.name} is not made of whole 1 KB pages")
        if region.start < 0 or region.end > 1 << 32:
            raise BoardError(f"{name}: region {region.name} leaves the 32-bit address space")
        for start, end, owner in _RESERVED:
            if region.start < end and start < region.end:
                raise BoardError(f"{name}: region {region.name} covers addresses of {owner}")
    ordered = sorted(memories, key=lambda region: region.start)
    for low, high in itertools.pairwise(ordered):
        if low.end > high.start:
            raise BoardError(
                f"{name}: region {high.name} overlaps {low.name} at {high.start:#010x}"
            )
    if not any(region.kind == "flash" for region in memories):
        raise BoardError(f"{name}: no region of kind flash, so there is nothing to boot from")

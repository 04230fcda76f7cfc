"""What the linked instructions say: who calls whom, and how far a function moves the stack.

Reads the text of GNU objdump; sees what no compiler writes down: assembly and library functions.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lnn_edge.device.elf import Symbol

_CONDITION = r"(?:eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)?"
_BRANCH = re.compile(rf"(bl|blx|bx|b){_CONDITION}(?:\.[nw])?")
_COMPARE_BRANCH = re.compile(r"cbn?z(?:\.[nw])?")
_LINE = re.compile(r"\s*([0-9a-f]+):\t(\S+)(?:\t([^@;<]*))?")
_RETURNS = ("pc, lr", "pc, [sp], #4")
_PC_WRITERS = re.compile(rf"(mov|ldr|add){_CONDITION}(?:\.w)?")


@dataclass(frozen=True)
class Routine:
    """One function as the linked instructions show it.

    Attributes:
        symbol: Name, address, size.
        end: First address after it; hand-written assembly without a size ends at the next function.
        calls: Addresses that it calls or jumps to outside itself.
        indirect: Places of calls and jumps through a register or memory.
        pushed: Bytes that its instructions take from the stack, all branches added up.
        moves_stack: Places where the stack pointer moves by an amount not in the instruction.
    """

    symbol: Symbol
    end: int
    calls: frozenset[int]
    indirect: tuple[int, ...]
    pushed: int
    moves_stack: tuple[int, ...]


@dataclass(frozen=True)
class _Instruction:
    address: int
    name: str
    operands: str


def read_routines(text: str, functions: Iterable[Symbol]) -> dict[int, Routine]:
    """Return the routines by address.

    Args:
        text: Output of ``objdump -d --no-show-raw-insn`` for Thumb code.
        functions: Functions of the same file.
    """
    instructions = list(_instructions(text))
    addresses = [i.address for i in instructions]
    symbols = sorted(functions, key=lambda s: (s.address, s.size, s.name))
    starts = sorted({s.address for s in symbols} | {addresses[-1] + 1 if addresses else 0})
    routines = {}
    for symbol in symbols:
        following = next((a for a in starts if a > symbol.address), symbol.address)
        end = symbol.address + symbol.size if symbol.size else following
        first, last = (bisect.bisect_left(addresses, a) for a in (symbol.address, end))
        routines[symbol.address] = _routine(symbol, end, instructions[first:last])
    return routines


def _instructions(text: str) -> Iterator[_Instruction]:
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and not match[2].startswith("."):  # .word: constants between the code
            yield _Instruction(int(match[1], 16), match[2], (match[3] or "").strip())


def _routine(symbol: Symbol, end: int, body: list[_Instruction]) -> Routine:
    targets = {t for i in body if (t := _target(i)) is not None}
    return Routine(
        symbol,
        end,
        frozenset(t for t in targets if not symbol.address <= t < end) | _self_calls(symbol, body),
        tuple(_indirect(body)),
        sum(map(_pushed, body)),
        tuple(i.address for i in body if _moves_stack(i)),
    )


def _self_calls(symbol: Symbol, body: list[_Instruction]) -> frozenset[int]:
    """Return its own address if it calls itself; a jump to its start is a loop."""
    calls = {_target(i) for i in body if i.name.startswith("bl") and _BRANCH.fullmatch(i.name)}
    return frozenset({symbol.address} & calls)


def _target(instruction: _Instruction) -> int | None:
    if _BRANCH.fullmatch(instruction.name):
        text = instruction.operands
    elif _COMPARE_BRANCH.fullmatch(instruction.name):
        text = instruction.operands.split(",")[-1].strip()
    else:
        return None
    return int(text, 16) & ~1 if re.fullmatch(r"[0-9a-f]{2,8}", text) else None


def _indirect(body: list[_Instruction]) -> Iterator[int]:
    for before, instruction in zip([None, *body], body, strict=False):
        name, operands = instruction.name, instruction.operands
        branch = _BRANCH.fullmatch(name)
        if branch and branch[1] in ("bx", "blx"):
            if operands != "lr" and _target(instruction) is None:
                yield instruction.address
        elif _PC_WRITERS.fullmatch(name) and operands.startswith("pc,"):
            if operands not in _RETURNS and not _is_jump_table(before, operands):
                yield instruction.address


def _is_jump_table(before: _Instruction | None, operands: str) -> bool:
    """Whether pc is loaded from a table between the instructions of a switch."""
    match = re.match(r"pc, \[(\w+), \w+, lsl #2\]", operands)
    if match is None or before is None:
        return False
    # add rN, pc, #offset; ldr pc, [rN, rM, lsl #2]
    return match[1] == "pc" or (
        before.name.startswith("add") and before.operands.startswith(f"{match[1]}, pc, #")
    )


def _pushed(instruction: _Instruction) -> int:
    name, operands = instruction.name.removesuffix(".w"), instruction.operands
    if name == "push" or (name in ("stmdb", "stmfd") and operands.startswith("sp!")):
        return 4 * _registers(operands)
    if name == "vpush" or (name == "vstmdb" and operands.startswith("sp!")):
        return (8 if "{d" in operands else 4) * _registers(operands)
    match = re.search(r"\[sp, #-(\d+)\]!", operands)
    if match is None and name in ("sub", "subw"):
        match = re.fullmatch(r"sp, (?:sp, )?#(\d+)", operands)
    return int(match[1]) if match else 0


def _registers(operands: str) -> int:
    listed = operands[operands.index("{") + 1 : operands.index("}")]
    count = 0
    for part in listed.split(","):
        ends = re.fullmatch(r"[rsd](\d+)-[rsd](\d+)", part.strip())
        count += int(ends[2]) - int(ends[1]) + 1 if ends else 1
    return count


def _moves_stack(instruction: _Instruction) -> bool:
    name, operands = instruction.name.removesuffix(".w"), instruction.operands
    if name not in ("sub", "subs", "sub.n") or not operands.startswith("sp,"):
        return False
    return "#" not in operands

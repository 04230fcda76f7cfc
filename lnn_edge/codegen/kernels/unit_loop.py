"""A layer of units as one loop in assembly: which register holds what, and the steps of a unit.

The loop of the products takes all registers. Between two blocks of rows, sums become values in
the registers where they lie, and maps work on these; constants come from a frame on the stack,
those that are read together in one load. What does not fit is left to C (units.c.j2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lnn_edge.codegen.codetext import Code
from lnn_edge.codegen.kernels.plain import LESS
from lnn_edge.codegen.kernels.reach import stays_inside
from lnn_edge.codegen.kernels.rows import BLOCK
from lnn_edge.codegen.units import Layer, Units
from lnn_edge.graph.fixed import ITEM_BYTES, RANGES
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import AbstractSum, GatedSum, Mix, TimeGate
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.memory_cell import Gate, Remember
from lnn_edge.graph.ops.rescale import AbstractRescale

SUMS = {4: (4, 3, 6, 5), 6: (4, 3, 6, 5, 8, 7)}
"""Registers of the sums of a block's rows, by their number."""
FREE = {4: (7, 8, 9, 10, 11, 12, 14), 6: (1, 9, 10, 11, 12, 14)}
"""Registers that are empty once the sums are values; r0 and r2 are pointers."""
OF_X, OF_Y = 1, 2
"""Registers of the pointers to what is read, unused between two blocks' sums, and written."""
MOST = {16: 8, 12: 6, 0: 4}
"""Groups of a round at most, by how many a layer has at least."""
ONES, WHOLE = Code("65535U"), Code("256U")
"""With which a fraction becomes the weights of two entries of a table."""
PACKED = Code("packed")
"""Where the vector goes that the next layer reads."""
HALF_STEP = Code("16384U")
"""Of a product with a gate in Q15."""
HALF = (Code("0x80000000U"), Code("0U"))
"""Where sums of two products begin: low and high word."""


class DoesNotFitError(Exception):
    """A layer needs more registers than there are, or steps that no macro writes."""


@dataclass(frozen=True)
class Step:
    """A few instructions.

    Attributes:
        what: Which, in templates/ops/unit_loop.c.j2.
        r: Numbers of registers.
        n: Other numbers.
    """

    what: str
    r: tuple[int, ...] = ()
    n: tuple[int, ...] = ()


@dataclass(frozen=True)
class UnitLoop:
    """The loop of a layer.

    Attributes:
        rows: Of a block.
        unrolled: Groups of a round.
        rounds: Of a block.
        left_out: Groups that the first round leaves out.
        steps: Of a block, behind its sums.
        frame: Words on the stack.
        place_of_x: Offset in the frame of the pointer to what is read.
        place_of_end: Of the pointer behind what is written.
        start: Pointer to what is written.
    """

    rows: int
    unrolled: int
    rounds: int
    left_out: int
    steps: tuple[Step, ...]
    frame: tuple[Code, ...]
    place_of_x: int
    place_of_end: int
    start: Code


def unit_loop(op: Units, layer: Layer, tables: Mapping[str, Code]) -> UnitLoop | None:
    """Return the loop of a layer; None where C does it.

    Args:
        op: Holds the layer.
        layer: What is looped over.
        tables: Symbols of tables of pairs, by the name of their operator.
    """
    is_alone = op.passed(layer) is not None and not any(t.name in layer.made for t in op.outputs)
    if layer.size % layer.units and not is_alone:
        return None
    try:
        return _Planner(op, layer, tables).loop()
    except DoesNotFitError:
        return None


class _Planner:
    """Hands out registers and places in the frame while steps are written down."""

    def __init__(self, op: Units, layer: Layer, tables: Mapping[str, Code]) -> None:
        self._op, self._layer, self._tables = op, layer, tables
        self._groups = -(-layer.columns // BLOCK)
        self._frame: list[Code] = []
        self._free = set(FREE[layer.rows])
        self._fixed: dict[Code, int] = {}  # constants that stay in registers
        self._values: dict[str, int] = {}
        self._left: tuple[AbstractOp, ...] = ()  # maps of a unit that come later
        self._x = Code("(uint32_t) scratch")
        self._outputs = [t for t in op.outputs if t.name in layer.made]
        self._passed = op.passed(layer)
        if self._passed is not None:
            self._main, self._written = self._passed, PACKED
        else:
            self._main = min(self._outputs, key=lambda t: ITEM_BYTES[t.dtype])
            self._written = Code("y%d") % op.outputs.index(self._main)

    @property
    def _bytes(self) -> int:
        """Bytes by which the pointer to what is written goes on with a unit."""
        return ITEM_BYTES[self._main.dtype]

    def loop(self) -> UnitLoop:
        steps = tuple(self._steps())
        x, end = self._place(self._x), Code("(uint32_t) (%s + %d)")
        units = self._layer.units  # scratch has room for whole blocks
        at_end = self._place(end % (self._written, -(-self._layer.size // units) * units))
        most = next(n for least, n in MOST.items() if self._groups >= least)
        rounds = -(-self._groups // most)
        unrolled = -(-self._groups // rounds)
        left_out = unrolled * rounds - self._groups
        rows, frame = self._layer.rows, tuple(self._frame)
        shape = rows, unrolled, rounds, left_out
        return UnitLoop(*shape, steps, frame, x, at_end, self._written)

    def _steps(self) -> Iterator[Step]:
        heads, units, rows = self._layer.heads, self._layer.units, self._layer.rows
        if self._layer.has_shift and rows > BLOCK:
            raise DoesNotFitError
        yield Step(f"{'shifted_' if self._layer.has_shift else ''}values_{rows}")
        if rows > BLOCK:  # whose sums take all registers
            yield Step("load", (OF_Y,), (self._place(Code("(uint32_t) %s") % self._written),))
        for row, register in enumerate(SUMS[rows]):
            y = heads[row % len(heads)].outputs[0]
            if y.zero_points != (0,):
                raise DoesNotFitError
            yield from self._limited(register, y)
        maps = self._ordered()
        first = [m for m in maps[:1] if isinstance(m, AbstractSum | TimeGate) and units == 1]
        for u in range(units):
            own = SUMS[rows][u * len(heads) : (u + 1) * len(heads)]
            self._values = {h.outputs[0].name: r for h, r in zip(heads, own, strict=True)}
            if u == 0:
                for total in first:
                    self._left = maps[1:]
                    registers, step = self._together(self._constants_of_sum(total))
                    yield step
                    yield from self._sum(total, registers)
                yield from self._resident(maps)
            for index, each in enumerate(maps):
                self._left = maps[index + 1 :]
                if each not in first:
                    yield from self._map(each)
            yield from self._store()
        if rows > BLOCK:
            yield Step("keep", (OF_Y,), (self._place(Code("(uint32_t) %s") % self._written),))
        if self._fixed.get(self._x) != OF_X:
            yield Step("load", (OF_X,), (self._place(self._x),))

    def _ordered(self) -> tuple[AbstractOp, ...]:
        """Return the maps, the first sum of two products in front: then constants find room."""
        maps = self._layer.maps
        sums = [m for m in maps if isinstance(m, AbstractSum | TimeGate) and self._is_ready(m)]
        return tuple(sums[:1] + [m for m in maps if m not in sums[:1]])

    def _is_ready(self, op: AbstractOp) -> bool:
        names = {head.outputs[0].name for head in self._layer.heads}
        return all(t.name in names for t in op.inputs[:2])

    # registers and the frame

    def _take(self) -> int:
        if not self._free:
            raise DoesNotFitError
        register = min(self._free)
        self._free.remove(register)
        return register

    def _place(self, word: Code) -> int:
        """Return the offset of a word in the frame, where it is once."""
        if word not in self._frame:
            self._frame.append(word)
        return 4 * self._frame.index(word)

    def _load(self, word: Code) -> tuple[int, Step]:
        register = self._take()
        return register, Step("load", (register,), (self._place(word),))

    def _together(
        self, words: tuple[Code, ...], more: tuple[int, ...] = ()
    ) -> tuple[tuple[int, ...], Step]:
        """Return the registers of words that come in one load, and that; the lowest are `more`."""
        needed = len(words) - len(more)
        if len(self._free) < needed:
            raise DoesNotFitError
        registers = (*more, *sorted(self._free)[:needed])
        self._free -= set(registers)
        at = 4 * len(self._frame)
        self._frame += words
        return registers, Step("load_all", registers, (at,))

    def _resident(self, maps: tuple[AbstractOp, ...]) -> Iterator[Step]:
        """Load what tables need, into registers that keep it; the pointer to x comes along.

        So does half a step of a mix, where a register is left.
        """
        tables = [m for m in maps if isinstance(m, Lut)]
        if tables:
            words = [ONES, WHOLE]
            for each in tables:
                words += [w for w in self._constants_of_table(each) if w not in words]
            if len(words) + 1 < len(self._free) and any(isinstance(m, Mix) for m in maps):
                words.append(HALF_STEP)
            has_x = OF_X not in FREE[self._layer.rows]
            words = [self._x, *words] if has_x else words
            registers, step = self._together(tuple(words), (OF_X,) if has_x else ())
            self._fixed = dict(zip(words, registers, strict=True))
            yield step

    # what maps read and write

    def _dies(self, tensor: QTensor) -> bool:
        """Return whether nothing reads a value any more."""
        kept = {self._main.name, *(t.name for t in self._outputs)}
        return tensor.name not in kept and all(tensor not in m.inputs for m in self._left)

    def _last(self, tensor: QTensor) -> int:
        """Return the register of a value that can be overwritten.

        Raises:
            DoesNotFitError: It comes from outside, or is read once more.
        """
        if tensor.name not in self._values or not self._dies(tensor):
            raise DoesNotFitError
        return self._values.pop(tensor.name)

    def _read(self, tensor: QTensor) -> Iterator[Step]:
        """Bring an element from outside into a register, where it is a value like others."""
        if tensor.name not in self._values:
            register, step = self._load(self._pointer("x", self._op.index(tensor), tensor))
            yield step
            shift = self._shift(tensor)
            yield Step(f"read_{tensor.dtype}", (register,), (shift,))
            self._values[tensor.name] = register

    def _shift(self, tensor: QTensor) -> int:
        """Return how often an element is twice as large as what the pointer counts in."""
        ratio = ITEM_BYTES[tensor.dtype] // self._bytes
        if not ratio or tensor.size != self._layer.size:
            raise DoesNotFitError
        return ratio.bit_length() - 1

    def _pointer(self, letter: str, index: int, tensor: QTensor) -> Code:
        """Return the address of an array less what the pointer to what is written adds to it."""
        shift = self._shift(tensor)
        return Code("(uint32_t) %s%d - ((uint32_t) %s << %dU)") % (
            *(letter, index),
            *(self._written, shift),
        )

    def _forget(self, tensor: QTensor) -> None:
        """Empty the register of a value that nothing reads any more."""
        if tensor.name in self._values and self._dies(tensor):
            self._free.add(self._values.pop(tensor.name))

    def _limited(self, r: int, y: QTensor, op: AbstractOp | None = None) -> Iterator[Step]:
        """Saturate as y needs it; not where `op` proves that it does not."""
        if op is not None and stays_inside(op):
            return
        if y.dtype not in ("int8", "int16") or (y.qmin, y.qmax) != RANGES[y.dtype]:
            raise DoesNotFitError
        yield Step("saturate", (r,), (8 * ITEM_BYTES[y.dtype],))

    def _scaled(self, r: int, op: Mix | Gate | GatedSum) -> Iterator[Step]:
        """Round a product; where the factor is a power of two by a shift, if a half fits too."""
        bits = op.multiplier.bit_length() - 1
        right = 32 - bits - op.shift
        if op.multiplier == 1 << bits and right > 1 and not isinstance(op, GatedSum):
            yield Step("shift_rounded", (r,), (1 << right - 1, right))
        else:
            factor, step = self._load(Code("%dU") % op.multiplier)
            yield step
            yield Step("scale", (r, r, factor), (op.shift,))
            self._free.add(factor)
        yield from self._limited(r, op.outputs[0], op)

    # maps

    def _map(self, op: AbstractOp) -> Iterator[Step]:
        write = _STEPS.get(op.kind)
        if write is None:
            raise DoesNotFitError
        yield from write(self, op)

    def _constants_of_table(self, op: Lut) -> tuple[Code, ...]:
        """Return the address of the entry at 0, and what the line begins with or is scaled by."""
        x, symbol = op.inputs[0], self._tables.get(op.name)
        if symbol is None or (x.qmin, x.qmax) != RANGES["int16"]:
            raise DoesNotFitError
        table = Code("(uint32_t) &%s[128]") % symbol
        if not op.has_factor:
            less = LESS if op.table.dtype == "uint16" else 0
            return table, Code("%dU") % (128 + 256 * less)
        if op.right_shift:
            return table, Code("%dU") % (op.start % (1 << 32))
        if op.offset or op.shift:
            raise DoesNotFitError
        return table, Code("%dU") % op.multiplier

    def _table(self, op: Lut) -> Iterator[Step]:
        y = op.outputs[0]
        r, part = self._last(op.inputs[0]), self._take()
        table, more = (self._fixed[word] for word in self._constants_of_table(op))
        yield Step("weights", (r, part, self._fixed[ONES], self._fixed[WHOLE], table))
        if op.has_factor and not op.right_shift:
            yield Step("blend_scaled", (r, part, more))
        else:
            yield Step("blend", (r, part, more), (op.right_shift or 8,))
        self._free.add(part)
        self._values[y.name] = r
        yield from self._limited(r, y, op)

    def _constants_of_sum(self, op: TimeGate | AbstractSum) -> tuple[Code, ...]:
        """Return both factors, where the sum begins, and the time."""
        first, second = op.multipliers
        sign = op.sign if isinstance(op, AbstractSum) else 1
        factors = Code("%dU") % first, Code("%dU") % (sign * second % (1 << 32))
        if isinstance(op, AbstractSum):
            return (*factors, *HALF)
        return (*factors, *HALF, Code("(uint32_t) x%d[0]") % self._op.index(op.inputs[2]))

    def _sum_alone(self, op: TimeGate | AbstractSum) -> Iterator[Step]:
        words = self._constants_of_sum(op)
        loaded = [self._load(word) for word in words]
        yield from (step for _, step in loaded)
        yield from self._sum(op, tuple(register for register, _ in loaded))

    def _sum(self, op: TimeGate | AbstractSum, constants: tuple[int, ...]) -> Iterator[Step]:
        """Two products in 64 bits; the high word is the value."""
        first, second, low, high, *time = constants
        a, b = (self._last(t) for t in op.inputs[:2])
        if time:
            yield Step("multiply", (a, time[0]))
        for r, factor, shift in ((a, first, op.shifts[0]), (b, second, op.shifts[1])):
            if shift:
                yield Step("shift_left", (r,), (shift,))
            yield Step("accumulate", (low, high, r, factor))
        self._free |= {a, b, first, second, low, *time}
        self._values[op.outputs[0].name] = high
        yield from self._limited(high, op.outputs[0])

    def _gate(self, op: Gate) -> Iterator[Step]:
        x, gate = op.inputs
        r = self._last(x)
        yield Step("multiply", (r, self._values[gate.name]))
        self._forget(gate)
        self._values[op.outputs[0].name] = r
        yield from self._scaled(r, op)

    def _mix(self, op: Mix | GatedSum) -> Iterator[Step]:
        a, b, gate = op.inputs
        yield from self._read(a)
        yield from self._read(b)
        r, first, share = self._last(b), self._values[a.name], self._values[gate.name]
        if isinstance(op, Mix):
            yield Step("subtract", (r, first))
        is_added = isinstance(op, Mix) and (op.multiplier, op.shift) == (1 << 17, 0)
        if is_added and HALF_STEP in self._fixed:  # a has no part in what is rounded
            yield Step("add_share", (r, share, self._fixed[HALF_STEP], first))
        else:
            yield Step("multiply", (r, share))
            yield Step("add_high", (r, first))
        self._forget(a)
        self._forget(gate)
        self._values[op.outputs[0].name] = r
        is_rounded = is_added and HALF_STEP in self._fixed
        yield from self._limited(r, op.outputs[0], op) if is_rounded else self._scaled(r, op)

    def _requantize(self, op: AbstractRescale) -> Iterator[Step]:
        x, y = op.inputs[0], op.outputs[0]
        if x.zero_points != (0,) or y.zero_points != (0,) or x.name not in self._values:
            raise DoesNotFitError
        factor, step = self._load(Code("%dU") % int(op.multipliers[0]))
        yield step
        r = self._values[x.name]
        if self._dies(x):
            self._values.pop(x.name)
            yield Step("scale", (r, r, factor), (int(op.shifts[0]),))
            self._free.add(factor)
        else:
            if op.shifts[0]:
                raise DoesNotFitError
            yield Step("scale", (factor, r, factor), (0,))
            r = factor
        self._values[y.name] = r
        yield from self._limited(r, y, op)

    def _remember(self, op: Remember) -> Iterator[Step]:
        """The memory lies in 32 bits outside; it is written as soon as it is made."""
        kept, y, top = op.inputs[0], op.outputs[0], RANGES["int32"][1]
        is_outside = kept.name not in self._values and y in self._outputs
        if not is_outside or y.name == self._main.name or (y.qmin, y.qmax) != (-top, top):
            raise DoesNotFitError
        value, fresh, gate = (self._last(t) for t in (op.inputs[2], op.inputs[3], op.inputs[1]))
        low, high = self._take(), self._take()
        yield Step("first_product", (low, high, value, fresh), (op.fraction_bits - 15,))
        self._frame += (
            self._pointer("x", self._op.index(kept), kept),
            self._pointer("y", self._op.outputs.index(y), y),
        )
        yield Step("load_two", (value, fresh), (4 * len(self._frame) - 8,))
        yield Step("read_int32", (value,), (self._shift(kept),))
        yield Step("accumulate", (low, high, value, gate))
        yield Step("narrow_memory", (low, high, gate))
        yield Step("write_int32", (low, fresh), (self._shift(y),))
        self._free |= {value, fresh, gate, high}
        self._values[y.name] = low

    # what is kept of a unit

    def _store(self) -> Iterator[Step]:
        """Write the outputs of a unit, the one that the pointer follows last."""
        written = {m.outputs[0].name for m in self._layer.maps if isinstance(m, Remember)}
        for tensor in self._outputs:
            if tensor.name not in written and tensor.name != self._main.name:
                index = self._op.outputs.index(tensor)
                pointer, step = self._load(self._pointer("y", index, tensor))
                yield step
                place = self._values[tensor.name], pointer
                yield Step(f"write_{tensor.dtype}", place, (self._shift(tensor),))
                self._free.add(pointer)
        main = self._values.pop(self._main.name)
        yield Step(f"append_{self._main.dtype}", (main,))
        self._free |= {main, *self._values.values()}


_STEPS: dict[str, Callable[[_Planner, Any], Iterator[Step]]] = {
    "add": _Planner._sum_alone,
    "gate": _Planner._gate,
    "gated_sum": _Planner._mix,
    "lut": _Planner._table,
    "mix": _Planner._mix,
    "remember": _Planner._remember,
    "requantize": _Planner._requantize,
    "subtract": _Planner._sum_alone,
    "time_gate": _Planner._sum_alone,
}

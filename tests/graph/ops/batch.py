"""Many operators in one C program: compiled once, fed from a tape, compared with the reference."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from lnn_edge.codegen.arena import ALIGNMENT
from lnn_edge.codegen.codetext import Code
from lnn_edge.codegen.kernels import Kernel
from lnn_edge.codegen.operator_code import C_TYPES, Weights, operator_code
from lnn_edge.codegen.render import render_operator
from lnn_edge.files import resources
from lnn_edge.graph.ir import AbstractOp, QTensor
from tests.support import arm_core
from tests.support.host_c import SANITIZERS, WARNINGS

HEAD = """#include <stdint.h>
#include "lnn_average.h"
#include "lnn_biquads.h"
#include "lnn_dsp.h"
#include "lnn_fixed.h"
#include "lnn_rows.h"

#ifdef __clang__
#define APART __attribute__((noinline))
#else
#define APART __attribute__((noipa))
#endif

#ifdef __arm__
#define BEHIND 8U /* guarded bytes behind what an operator writes; a host has sanitizers */
#else
#define BEHIND 0U
#endif

#ifdef __cplusplus
extern "C"
#endif
void run(const uint8_t *in, uint8_t *out);

static const uint8_t *source;
static uint8_t *target;

__attribute__((unused)) /* where no operator has an input */
static void take(uint8_t *to, const uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        to[i] = *source++;
    }
}

static void spoil(uint8_t *to, const uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        to[i] = 0xA5U; /* every element of an output must be written */
    }
}

static uint8_t is_spoiled(const uint8_t *from, const uint32_t count)
{
    uint8_t same = 1;
    for (uint32_t i = 0; i != count; i++)
    {
        same &= from[i] == 0xA5U;
    }
    return same;
}

static void give(const uint8_t *from, const uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        *target++ = from[i];
    }
}
"""
HOST_MAIN = """#include <stdint.h>
#include <stdio.h>

void run(const uint8_t *in, uint8_t *out);
static uint8_t in[64 << 20];
static uint8_t out[64 << 20];

int main(int argc, char **argv)
{
    (void) argc;
    FILE *const from = fopen(argv[1], "rb");
    FILE *const to = fopen(argv[2], "wb");
    (void) !fread(in, 1, sizeof in, from);
    run(in, out);
    (void) fwrite(out, 1, OUTPUT_BYTES, to);
    (void) fclose(from);
    (void) fclose(to);
    return 0;
}
"""
TRAP = "-fsanitize-undefined-trap-on-error"  # two thirds of the time: no place is kept in words
ITEM = {"int8": "<i1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4"}


@dataclass(frozen=True)
class Case:
    """An operator, the kernel to test and its inputs, (N, *shape) each.

    What makes its inputs is known where proofs are about that.
    """

    op: AbstractOp
    kernel: Kernel
    inputs: tuple[np.ndarray, ...]
    makers: Mapping[str, AbstractOp] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        """Number of runs."""
        return len(self.inputs[0]) if self.inputs else 1

    @cached_property
    def expected(self) -> tuple[np.ndarray, ...]:
        """What the reference says, (N, *shape) each."""
        outputs = self.op.reference(*self.inputs)
        return outputs if self.inputs else tuple(y[None] for y in outputs)


@dataclass(frozen=True)
class Batch:
    """Cases and how their bytes follow each other."""

    cases: tuple[Case, ...]

    def tape(self) -> bytes:
        """Return the inputs, case after case, trial after trial."""
        return b"".join(self._rows(c.inputs, c.op.inputs, c.trials) for c in self.cases)

    def expected(self) -> bytes:
        """Return what the C must write."""
        return b"".join(self._rows(c.expected, c.op.outputs, c.trials) for c in self.cases)

    @staticmethod
    def _rows(arrays: tuple[np.ndarray, ...], tensors: tuple[QTensor, ...], trials: int) -> bytes:
        if not arrays:
            return b""
        parts = [
            np.ascontiguousarray(a.astype(ITEM[t.dtype])).view(np.uint8).reshape(trials, -1)
            for a, t in zip(arrays, tensors, strict=True)
        ]
        return np.concatenate(parts, axis=1).tobytes()

    def source(self) -> str:
        """Return the C program."""
        parts = [HEAD]
        parts += [_case_source(i, case) for i, case in enumerate(self.cases)]
        loop = "    for (uint32_t n = 0; n < {}U; n++)\n    {{\n        trial_{}();\n    }}"
        calls = [loop.format(case.trials, i) for i, case in enumerate(self.cases)]
        body = "\n".join(calls)
        parts.append(
            "void run(const uint8_t *in, uint8_t *out)\n{\n    source = in;\n    target = out;\n"
            f"{body}\n}}\n"
        )
        return "\n".join(parts)

    def first_difference(self, got: bytes) -> str:
        """Return where the output differs, or an empty text."""
        at = 0
        for case in self.cases:
            expected = self._rows(case.expected, case.op.outputs, case.trials)
            part, at = got[at : at + len(expected)], at + len(expected)
            if part != expected:
                bad = next(
                    i for i in range(len(expected)) if part[i : i + 1] != expected[i : i + 1]
                )
                row = bad // (len(expected) // case.trials)
                return f"{case.op.kind} {case.op.name} ({case.kernel.name}), trial {row}"
        return "" if len(got) == at else f"{len(got)} bytes, needed {at}"


def _case_source(index: int, case: Case) -> str:
    op, kernel = case.op, case.kernel
    weights = Weights()
    tensors = {t.name: Code("0") for t in (*op.inputs, *op.outputs)}
    code = operator_code(op, kernel, (f"c{index}", f"op{index}"), weights, tensors, case.makers)
    body = render_operator(code)
    memory = _memory(case)
    parameters = ", ".join(f"{ctype} *LNN_RESTRICT {name}" for ctype, name, _ in memory)
    arguments = ", ".join(f"{name}_{index}" for _, name, _ in memory)
    lines = [_constant(name, array) for name, array in weights.arrays.items()]
    for inner in code.inner:
        own = ", ".join(str(declaration) for declaration, _ in inner.arguments)
        lines.append(f"static LNN_NOINLINE void {inner.symbol}({own})\n{{")
        lines += [render_operator(inner).strip(), "}"]
    written = [(f"{name}_{index}", size) for ctype, name, size in memory if "const" not in ctype]
    for ctype, name, size in memory:
        place = f"{name}_{index}[{size} + BEHIND]"
        lines.append(f"LNN_ALIGN({ALIGNMENT}) static {ctype.removeprefix('const ')} {place};")
    lines.append(f"static APART void case_{index}({parameters})\n{{")
    lines += [body.strip(), "}", f"static LNN_NOINLINE void trial_{index}(void)\n{{"]
    for i, tensor in enumerate(op.inputs):
        lines.append(f"    take((uint8_t *) x{i}_{index}, {tensor.bytes}U);")
    lines += [f"    spoil((uint8_t *) {name}, sizeof {name});" for name, _ in written]
    lines.append(f"    case_{index}({arguments});")
    for name, size in written:
        lines.append(f"    if (!is_spoiled((const uint8_t *) &{name}[{size}], BEHIND))")
        lines.append(f"    {{\n        y0_{index}[0] ^= 1;\n    }}")
    for i, tensor in enumerate(op.outputs):
        lines.append(f"    give((const uint8_t *) y{i}_{index}, {tensor.bytes}U);")
    return "\n".join([*lines, "}"])


def _constant(name: str, array: np.ndarray) -> str:
    values = ", ".join(map(str, array.ravel().tolist()))
    return f"LNN_ALIGN(4) static const {C_TYPES[str(array.dtype)]} {name}[] = {{{values}}};"


def _memory(case: Case) -> list[tuple[str, str, int]]:
    """Return (C type, parameter, elements): each its own array, so overruns are seen."""
    op, rows = case.op, []
    rows += [(f"const {C_TYPES[t.dtype]}", f"x{i}", t.size) for i, t in enumerate(op.inputs)]
    rows += [(C_TYPES[t.dtype], f"y{i}", t.size) for i, t in enumerate(op.outputs)]
    if case.kernel.scratch(op):
        rows.append(("int16_t", "scratch", case.kernel.scratch(op) // 2))
    return rows


def run_on_host(batch: Batch, folder: Path) -> bytes:
    """Compile with sanitizers and run; what they stop is compiled anew, so that it says why."""
    ran = _run_on_host(batch, folder, (TRAP,))
    if ran.returncode == -signal.SIGILL:
        ran = _run_on_host(batch, folder, ())
    assert ran.returncode == 0, ran.stderr
    return (folder / "out").read_bytes()


def _run_on_host(
    batch: Batch, folder: Path, options: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    (folder / "batch.c").write_text(batch.source())
    (folder / "main.c").write_text(HOST_MAIN)
    (folder / "in").write_bytes(batch.tape())
    # It runs once: most of its time is its compilation.
    command = ["gcc", *WARNINGS, "-O0", *SANITIZERS, *options]
    command += [f"-DOUTPUT_BYTES={len(batch.expected())}", f"-I{runtime()}"]
    command += [str(folder / "batch.c"), str(folder / "main.c"), "-o", str(folder / "batch")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    program = [folder / "batch", folder / "in", folder / "out"]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def link_for_arm(batch: Batch, core: str, folder: Path) -> arm_core.Program:
    """Compile for a Cortex-M."""
    folder.mkdir(exist_ok=True)
    (folder / "batch.c").write_text(batch.source())
    return arm_core.link(core, folder, [folder / "batch.c"], [runtime()])


def runtime() -> Path:
    """Return the folder of the runtime headers."""
    return resources.path("firmware") / "runtime"

"""Writes docs/growth.md: what a cell takes by its hidden size, and how tight the arenas are.

Example: python scripts/growth.py
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lnn_edge.build.bare import compiler_version
from lnn_edge.codegen.kernels import Core
from lnn_edge.codegen.plan import generate
from lnn_edge.files.shipped import GRAPH, shipped_folder, shipped_names
from lnn_edge.files.write import write_whole
from lnn_edge.graph.file import load_graph
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.ltc import Ltc
from lnn_edge.nn.cells.wirings import fully_connected
from lnn_edge.verify.bench.measure import measure
from lnn_edge.verify.bench.workload import Workload
from lnn_edge.verify.bench.workloads import recurrent

ROOT = Path(__file__).parents[1]
SIZES = (8, 16, 32, 64, 128)
INPUTS = 16
CORE = "cortex-m7"
HEAD = """# What a cell takes as it grows

    python scripts/growth.py

Cells of {inputs} inputs by themselves, elapsed time read from the frames, counted on an emulated
{core} with the bits of the simulator ([what the columns mean](bench.md)): a CfC with a backbone of
twice its hidden size, an LTC whose neurons are all connected, with 6 unfolds. Code is all that the
model reaches; constants are weights, factors and tables; arm-none-eabi-gcc {version}.
"""
ARENAS = """
## Arenas of the shipped models

The arena holds what lives while a step runs. Bound: the most bytes that are alive while one
operator runs, which no plan can beat; `tests/codegen/test_arena.py` holds each model within
2 %. What is above are gaps behind tensors of int8: each begins at a multiple of 4.

| model | core | arena | bound | above |
|---|---|---:|---:|---:|"""


def cells() -> Iterator[tuple[str, int, Workload]]:
    """Yield each cell, its hidden size and how it is run."""
    for size in SIZES:
        yield "CfC", size, recurrent(partial(Cfc, INPUTS, size, 2 * size), INPUTS, None, "int8")
    for size in SIZES:
        wiring = fully_connected(INPUTS, size, size)
        yield "LTC", size, recurrent(partial(Ltc, wiring), INPUTS, None, "int16")


def growth() -> Iterator[str]:
    """Yield the table of the cells."""
    columns = ("cell", "hidden", "instructions", "code", "constants", "flash", "state", "arena")
    yield f"\n| {' | '.join((*columns, 'RAM'))} |\n|---" + "|---:" * len(columns) + "|"
    for name, size, workload in cells():
        row = measure(f"{name} {size}", workload, CORE)
        values = (size, row.operators, row.program, row.constants, row.program + row.constants)
        values += (row.state, row.arena, row.state + row.arena)
        yield f"| {name} | {' | '.join(f'{v:,}' for v in values)} |"
        print(name, *values, flush=True)


def arenas() -> Iterator[str]:
    """Yield the table of the shipped models."""
    yield ARENAS
    for name in shipped_names():
        graph = load_graph(shipped_folder(name) / GRAPH)
        for kind, core in (
            (CORE, Core(CORE, dsp=True)),
            ("portable", Core("cortex-m3", dsp=False)),
        ):
            code = generate(graph, core)
            above = code.arena_bytes / code.live_bytes - 1
            sizes = f"{code.arena_bytes:,} | {code.live_bytes:,}"
            yield f"| {name} | {kind} | {sizes} | {100 * above:.1f} % |"


def main() -> None:
    """Measure and write."""
    head = HEAD.format(inputs=INPUTS, core=CORE, version=compiler_version())
    write_whole(ROOT / "docs/growth.md", "\n".join((head.rstrip(), *growth(), *arenas())) + "\n")


if __name__ == "__main__":
    main()

"""Writes docs/bench.md, and the figures that the tests hold later code against.

Example: python scripts/bench_table.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from lnn_edge.build.bare import compiler_version
from lnn_edge.cli.bench import INSTRUCTIONS, SIZES, instructions_of, sizes_of
from lnn_edge.device.virtual.bare import CORES
from lnn_edge.files.write import write_whole
from lnn_edge.verify.bench.measure import Row, measure
from lnn_edge.verify.bench.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
HEAD = """# What generated code costs

    make bench

Every figure is made by that command (`lnn-edge bench` prints one core's): each workload goes
through quantization and the generator, is compiled with the firmware's flags
(arm-none-eabi-gcc {version}), runs on an emulated core, gives the simulator's bits, and is counted
by basic blocks. Instructions are retired ones; cycles of a board are more, and not known here.

- operators: the functions of the operators alone, for one decision; of `biquads_12x2` and
  `r_peaks_2` for one frame, of `lstm_w3` for 64 steps. `fc`, `conv`, `biquads`, `stft` and
  `r_peaks` count that operator, the cells all of theirs.
- all calls: pushing, polling and copying as well, of all frames since the decision before.
- decision: the one call that decides. frame: the calls of a frame on which nothing is due.
- largest call: what an interrupt must bear; of a sample: its share of a sample period at the
  board's clock (STM32F746G-DISCO, NUCLEO-F446RE) if every instruction took one cycle.
- code: the operators' functions and the routines that they share; tables: of functions; RAM:
  state, rings and the memory of a step; stack: the deepest that was reached. All in bytes.

The M3 has no DSP instructions: what it runs is the portable C. Weights come from seeds; the shipped
models run on a record that comes with the package (beats) and on generated ones (findings, rhythm).
`tests/verify/bench/` stores these figures; a test fails where one grows by more than 1 % under the
same compiler, and reports it under another. QEMU, which shares no counter with the bench, retires
as many instructions: `pytest -m slow tests/verify/test_bench_on_qemu.py` runs six workloads on its
Cortex-M7 and M4 (mps2-an500, mps2-an386), frames and decisions, within 80 instructions of a run.
"""


COLUMNS = (*INSTRUCTIONS, *SIZES[1:])


def cells(row: Row) -> tuple[str, ...]:
    """Return a row for COLUMNS."""
    return (*instructions_of(row), *sizes_of(row)[1:])


def lines(core: str, rows: list[Row]) -> Iterator[str]:
    """Yield the table of a core."""
    yield f"\n## {core}\n"
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" + "|---:" * (len(COLUMNS) - 1) + "|"
    for row in rows:
        yield f"| {' | '.join(cells(row))} |"


def main() -> None:
    """Measure every workload on every core."""
    version, stored, text = compiler_version(), {}, []
    made = {name: make() for name, make in WORKLOADS.items()}
    for core in CORES:
        rows = []
        for name, workload in made.items():
            rows.append(measure(name, workload, core))
            print(core, *cells(rows[-1]), flush=True)
        stored[core] = {row.name: asdict(row) for row in rows}
        text += lines(core, rows)
    head = HEAD.format(version=version)
    write_whole(ROOT / "docs/bench.md", head + "\n".join(text) + "\n")
    place = ROOT / f"tests/verify/bench/arm-none-eabi-gcc-{version}.json"
    write_whole(place, json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Measures what a sparse wiring saves: flash and instructions of LTC and CfC cells on a board.

Example: python scripts/sparsity.py -o docs/sparsity.md
Every row is a cell of random weights, exported, built and streamed to the virtual board, where each
step is compared with the simulator bit by bit and its instructions are counted.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lnn_edge.build.cmake import build
from lnn_edge.build.project import open_project
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.files.write import write_whole
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.wired_cfc import NO_BACKBONE, WiredCfc
from lnn_edge.nn.cells.wirings import Wiring, auto_ncp, fully_connected, layered, ncp
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.quantize.module import quantize_module
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.verify import verify_signals

UNITS, OUTPUTS = 20, 6
LEVELS = (0.9, 0.75, 0.5, 0.25, 0.1)
DT_S = {"LTC": 1.0, "LTC, 10 ms steps": 0.01, "CfC": 1.0}
STEPS = 12
UNFOLDS = LtcConfig().unfolds
HEAD = """# What sparse wirings save

    python scripts/sparsity.py -o docs/sparsity.md

Cells of {inputs} inputs, 20 neurons and 6 outputs with random weights, exported for {board}, built,
and streamed to the virtual board, where every step equals the simulator bit for bit. Constants and
code are bytes of flash of the model's operators, without the firmware around them; instructions are
exact, of the poll that takes one step. The last column compares with the dense wiring.
"""
TAIL = """## What this says

An LTC cell stores and visits only the synapses that exist, so flash and instructions follow their
number. What does not shrink: the table of the sigmoid (514 bytes), the code, and for each step the
membranes ({unfolds} times each neuron) and the inputs.

A wired CfC cell gains nothing from its masks. They cover ff1 and ff2 only (time_a and time_b, and
the recurrence inside a layer, are dense as published), and a masked weight is a zero in a dense
matrix, stored and multiplied like any other. What the wiring saves against one layer is that each
layer reads only the one before it: constants and instructions, paid for with the code of three
layers in place of one.
"""


@dataclass(frozen=True)
class Row:
    """One cell, measured.

    Attributes:
        wiring: Its name.
        weights: Synapses of an LTC cell, weights of a CfC one that are not masked.
        const_bytes: Constants of its operators.
        code_bytes: Code of its operators.
        instructions: Of one step, median.
        visits: Times that a synapse or weight is used in a step.
    """

    wiring: str
    weights: int
    const_bytes: int
    code_bytes: int
    instructions: int
    visits: int

    @property
    def flash_bytes(self) -> int:
        """Constants and code."""
        return self.const_bytes + self.code_bytes


def measure(cell: nn.Module, inputs: int, dt: float, board: str) -> tuple[int, int, int]:
    """Return bytes of constants, bytes of code and instructions of a step.

    Raises:
        RuntimeError: The board does not compute what the simulator does.
    """
    dtype = "int16" if isinstance(cell, Ltc) else "int8"
    module = Recurrent([cell], result="outputs", dtype=dtype, dt=dt)
    frames = np.random.default_rng(0).normal(0, 1, (4, 100, inputs))
    graph = quantize_module(module, frames, name="cell")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "firmware"
        export(graph, load_board(board), folder)
        size = build(folder).size
        signal = graph.frame.quantize(frames[0, :STEPS]).astype(np.int16)
        result = verify_signals(open_project(folder), "virtual", [Signal("noise", signal)])
    if size is None or result.counts is None or not result.passed:
        raise RuntimeError(f"{result.mismatches} of {result.steps} steps differ on {board}")
    operators = size.operators.values()
    const = sum(o.const_bytes for o in operators)
    return const, sum(o.code_bytes for o in operators), result.counts.median


def wirings(inputs: int, dense: Wiring) -> Iterator[tuple[str, Wiring]]:
    """Give wirings from sparse to dense."""
    for level in LEVELS:
        yield f"AutoNCP, sparsity {level}", ncp(inputs, auto_ncp(UNITS, OUTPUTS, level))
    yield "dense", dense


def unmasked(cell: WiredCfc) -> int:
    """Count the weights of all matrices that no mask sets to zero."""
    masked = sum(2 * int(layer.masked("ff1")[0].count_nonzero()) for layer in cell.layers)
    return masked + sum(
        layer.time_a.weight.numel()
        for layer in cell.layers  # time_b folds into it
    )


def ltc_rows(inputs: int, dt: float, board: str) -> Iterator[Row]:
    """Measure LTC cells."""
    for name, wiring in wirings(inputs, fully_connected(inputs, UNITS, OUTPUTS)):
        torch.manual_seed(0)
        synapses = int(np.abs(wiring.sensory).sum()), int(np.abs(wiring.adjacency).sum())
        figures = measure(Ltc(wiring), inputs, dt, board)
        label = f"{name} ({synapses[0]} + {synapses[1]})"
        yield Row(label, sum(synapses), *figures, synapses[0] + UNFOLDS * synapses[1])


def cfc_rows(inputs: int, dt: float, board: str) -> Iterator[Row]:
    """Measure wired CfC cells, their layers joined densely, and one cell without layers."""
    sizes = tuple(map(len, ncp(inputs, auto_ncp(UNITS, OUTPUTS)).layers))
    for name, wiring in wirings(inputs, layered(inputs, sizes)):
        torch.manual_seed(0)
        cell = WiredCfc(wiring)
        figures = measure(cell, inputs, dt, board)
        yield Row(name, unmasked(cell), *figures, unmasked(cell))
    torch.manual_seed(0)
    whole = Cfc(inputs, UNITS, 0, NO_BACKBONE)
    count = 3 * UNITS * (inputs + UNITS)
    figures = measure(whole, inputs, dt, board)
    yield Row("one layer, not wired", count, *figures, count)


def table(rows: list[Row], what: str) -> str:
    """Return rows as Markdown, compared with the dense cell."""
    dense = next(r for r in rows if r.wiring.startswith("dense"))
    head = f"| wiring | {what} | constants | code | instructions per step | of dense |\n"
    lines = [
        f"| {r.wiring} | {r.weights} | {r.const_bytes} | {r.code_bytes} | {r.instructions} | "
        f"{r.flash_bytes / dense.flash_bytes:.2f} flash, "
        f"{r.instructions / dense.instructions:.2f} instructions |"
        for r in rows
    ]
    return head + "|---|---|---|---|---|---|\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="stm32f746")
    parser.add_argument("--inputs", type=int, default=75, help="as in CCfC and CLTC")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    measured: dict[str, list[Row]] = {}
    for title, dt in DT_S.items():
        rows: Callable[..., Iterator[Row]] = cfc_rows if title == "CfC" else ltc_rows
        measured[title] = []
        for row in rows(given.inputs, dt, given.board):
            print(title, row, flush=True)
            measured[title].append(row)
    write_whole(given.output, document(given, measured))


def document(given: argparse.Namespace, measured: dict[str, list[Row]]) -> str:
    """Return the text of the document."""
    parts = [HEAD.format(board=given.board, inputs=given.inputs)]
    for title, rows in measured.items():
        parts += [f"## {title}\n", table(rows, "weights" if title == "CfC" else "synapses")]
        if title != "CfC":
            parts.append(f"{slope(rows)}\n")
    return "\n".join([*parts, TAIL.format(unfolds=UNFOLDS)])


def slope(rows: list[Row]) -> str:
    """Return what one more synapse costs, between the sparsest and the dense wiring."""
    first, last = rows[0], rows[-1]
    more = last.weights - first.weights
    visits = last.visits - first.visits
    return (
        f"Each synapse: {(last.const_bytes - first.const_bytes) / more:.1f} bytes, and "
        f"{(last.instructions - first.instructions) / visits:.1f} instructions for each time it is "
        "computed (once a step from an input, six times from a neuron)."
    )


if __name__ == "__main__":
    main()

"""Streams over lines that fail: steps that are wrong or lost, fault by fault.

    python -m scripts.fault_table --steps 100000          # the protocol on this machine
    python -m scripts.fault_table --steps 2000 --virtual  # the firmware on the virtual STM32F746

Each fault is that of tests/firmware/test_bad_line.py, with silences of 10 s; "host killed" is a
verification that is killed five times and goes on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lnn_edge.codegen.kernels import HOST, Core
from lnn_edge.device.link import Link
from tests.firmware.programs import compile_board, compile_host, write_model
from tests.support.bad_line import Board, Outcome, line_faults, survive
from tests.support.killed_verify import run_killed
from tests.support.toy import motion, toy_every_graph

HOP, SILENCE_S, EVENTS = 4, 10.0, 3  # frames for a step; so often happens what happens at once
KILLED = "host killed"


def make_board(folder: Path, is_virtual: bool) -> Board:
    """Compile the toy for this machine or for the virtual board."""
    model = write_model(toy_every_graph(), folder, Core("cortex-m7", True) if is_virtual else HOST)
    if not is_virtual:
        return Board([str(compile_host(model, folder, "-O2"))])
    elf = compile_board(model, "stm32f746", folder)
    return Board([sys.executable, "-m", "lnn_edge.device.virtual", str(elf), "--tcp", "0"])


def rows(board: Board, steps: int, only: str) -> Iterator[tuple[str, Outcome]]:
    """Yield each fault with its outcome; the undisturbed stream is what is expected."""
    frames = motion(3, HOP * steps + HOP)
    board.start()
    with Link(board.address) as link:
        link.reset(detail=True)
        expected = [replace(r, cycles=0) for r in link.stream(frames)]
    for fault in line_faults(SILENCE_S, 3 * frames.nbytes // EVENTS):
        if only not in fault.name:
            continue
        yield fault.name, survive(board, fault, frames, expected)


def killed(board: Board, steps: int, folder: Path) -> Outcome:
    """Return what a verification says that was killed five times."""
    board.start()
    kills = [steps // 6 * (i + 1) for i in range(5)]
    result = run_killed(board.address, folder / "journal", HOP * steps + HOP, kills)
    message = f"taken up after {result['resumed_steps']} steps"
    done, expected = int(result["steps"]), steps + 124  # of the second signal
    return Outcome(expected, int(result["mismatches"]), expected - done, len(kills), message)


def as_row(name: str, outcome: Outcome) -> str:
    """One line of the table."""
    shown = (
        name,
        f"{outcome.hits:,}",
        f"{outcome.steps:,}",
        outcome.wrong,
        outcome.lost,
        outcome.message,
    )
    return "| " + " | ".join(map(str, shown)) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--only", default="", help="faults that have this in their name")
    parser.add_argument("--virtual", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        board = make_board(Path(name), arguments.virtual)
        print(
            "| fault | times | steps | wrong | lost | link |\n|---|---|---|---|---|---|", flush=True
        )
        for fault, outcome in rows(board, arguments.steps, arguments.only):
            print(as_row(fault, outcome), flush=True)
        if arguments.only in KILLED:
            print(as_row(KILLED, killed(board, arguments.steps, Path(name))), flush=True)
        board.close()


if __name__ == "__main__":
    main()

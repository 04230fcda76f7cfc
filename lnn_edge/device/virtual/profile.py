"""Retired instructions per function, from block counts; written as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lnn_edge.device.virtual.faults import Fault
from lnn_edge.device.virtual.machine import Machine
from lnn_edge.files.write import write_whole

UNKNOWN = "(no symbol)"


def instructions_by_function(machine: Machine) -> dict[str, int]:
    """Instructions retired in each function, most first; they add up to the total.

    What operators share is counted as the work of each of them.
    """
    counts: dict[str, int] = {}
    for block in machine.counter.blocks():
        if block.instructions:
            name = machine.image.name_at(block.owner or block.address) or UNKNOWN
            counts[name] = counts.get(name, 0) + block.instructions
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def profile(machine: Machine) -> dict[str, Any]:
    """Counts, clocks and the wire's statistics, for JSON."""
    line = machine.line
    return {
        "machine": machine.config.name,
        "instructions": int(machine.counter.state.retired),
        "core_clock_hz": machine.rcc.hclk_hz,
        "virtual_seconds": machine.timeline.seconds(machine.rcc.hclk_hz),
        "usart": {
            "name": machine.config.usart.name,
            "baud": machine.usart.baud(),
            "received": line.received,
            "sent": line.sent,
            "overruns": line.overruns,
        },
        "functions": instructions_by_function(machine),
    }


def write_profile(machine: Machine, path: Path) -> None:
    """Write `profile` as JSON, whole or not at all."""
    _write_json(path, profile(machine))


def write_faults(faults: list[Fault], diagnosis: str | None, path: Path) -> None:
    """Write the faults so far and, when the board stopped, its diagnosis."""
    _write_json(path, {"faults": [f.as_dict() for f in faults], "diagnosis": diagnosis})


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_whole(path, json.dumps(value, indent=2) + "\n")

"""What a state may hold: tensors within limits, each read in its type, and counts of frames."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lnn_edge.files import resources
from lnn_edge.graph.sim.queues import MOST_AHEAD
from tests.support.host_c import SANITIZERS, WARNINGS

MAIN = """
#include <stdio.h>
#include "lnn_state.h"

int main(void)
{
    static const CTYPE values[] = {VALUES};
    static const lnn_run_t run = {.low = LOW, .high = HIGH, .count = 1U};
    for (uint32_t i = 0; i < sizeof values / sizeof values[0]; i++)
    {
        const lnn_limits_t limits = {.size = 1U, .runs = &run, .run_count = 1U, .type = KIND};
        (void) printf("%u", (unsigned) lnn_limits_hold((const uint8_t *) &values[i], &limits, 1U));
    }
    return 0;
}
"""
RING = """
#include <stdio.h>
#include "lnn_state.h"

int main(void)
{
    const lnn_ring_t rings[] = {GIVEN};
    for (uint32_t i = 0; i < sizeof rings / sizeof rings[0]; i++)
    {
        (void) printf("%u", (unsigned) lnn_ring_is_valid(&rings[i]));
    }
    return 0;
}
"""
TYPES = {"int8": (-100, 100), "int16": (-30000, 30000), "uint16": (1, 40000),
         "int32": (-(1 << 30), 1 << 30), "uint32": (1, 1 << 30)}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_a_value_is_held_against_its_limits_in_its_own_type(kind: str, tmp_path: Path) -> None:
    low, high = TYPES[kind]
    words = {
        "CTYPE": f"{kind}_t",
        "VALUES": f"{low - 1}, {low}, {high}, {high + 1}",
        "LOW": f"{low}",
        "HIGH": f"{high}",
        "KIND": f"LNN_{kind.upper()}",
    }
    text = MAIN
    for word, value in words.items():
        text = text.replace(word, value)
    expected = "1110" if low == 1 else "0110"  # 0 is the value at the start of a record
    assert run(text, tmp_path) == expected


def test_a_ring_counts_up_to_where_an_event_may_still_lie_ahead(tmp_path: Path) -> None:
    most = (1 << 32) - 1 - MOST_AHEAD
    text = RING.replace("GIVEN", f"{{{most}U, 1U}}, {{{most + 1}U, 1U}}, {{0U, 2U}}, {{0U, 0U}}")
    assert run(text, tmp_path) == "1001"


def run(text: str, folder: Path) -> str:
    """Compile a program with the runtime and return what it prints."""
    source, program = folder / "main.c", folder / "main"
    source.write_text(text)
    runtime = resources.path("firmware") / "runtime"
    files = [source, *runtime.glob("*.c")]
    command = ["gcc", *WARNINGS, *SANITIZERS, f"-I{runtime}", *map(str, files), "-o", str(program)]
    subprocess.run(command, check=True)
    return subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout

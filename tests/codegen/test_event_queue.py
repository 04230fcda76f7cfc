"""The queue of events: what it refuses by which number, and that it stays in its array."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lnn_edge.files import resources
from tests.support.host_c import SANITIZERS, WARNINGS

STAMPS = (2, 4, 7, 8)
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "lnn_runtime.h"

int main(void)
{
    const uint32_t      given[] = {STAMPS};
    const lnn_trigger_t trigger = {.pre = 1U, .post = 1U, .first_dt = 5U, .dt_max = 9U,
                                   .capacity = sizeof given / sizeof given[0], .ring_length = 16U};
    lnn_events_t        events = {0};
    lnn_counters_t      counters = {0};
    lnn_firing_t        firing;
    uint32_t           *stamps = calloc(trigger.capacity, sizeof *stamps);
    for (uint32_t i = 0; i < trigger.capacity; i++)
    {
        (void) lnn_events_push(&events, stamps, &trigger, &counters, 9U, given[i]);
    }
    const uint32_t refused[] = {9U, 8U, 10U + (1U << 24)}; /* full, not the newest, too far */
    for (uint32_t i = 0; i < 3U; i++)
    {
        (void) printf("%d ", lnn_events_push(&events, stamps, &trigger, &counters, 9U, refused[i]));
    }
    (void) printf("%u ", (unsigned) counters.event_overflows);
    (void) printf("%u", (unsigned) counters.events_rejected);
    while (lnn_events_take(&events, stamps, &trigger, &counters, 9U, &firing) == LNN_OK)
    {
        (void) printf(" %u", (unsigned) firing.stamp);
    }
    free(stamps);
    return 0;
}
"""


def test_a_full_queue_refuses_by_number_and_is_emptied_in_its_array(tmp_path: Path) -> None:
    """Its twin in Python is a list; here one stamp too many would be read from what lies behind."""
    source, program = tmp_path / "main.c", tmp_path / "main"
    source.write_text(MAIN.replace("STAMPS", ", ".join(f"{stamp}U" for stamp in STAMPS)))
    runtime = resources.path("firmware") / "runtime"
    files = [source, *runtime.glob("*.c")]
    command = ["gcc", *WARNINGS, *SANITIZERS, f"-I{runtime}", *map(str, files), "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "-1 -2 -3 1 2 2 4 7 8"), done.stderr

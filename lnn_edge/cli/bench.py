"""`lnn-edge bench`: instructions and bytes of fixed workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, json_option, progress, show_json, table

if TYPE_CHECKING:
    from lnn_edge.verify.bench.measure import Row

INSTRUCTIONS = ("workload", "operators", "all calls", "decision", "frame", "largest call")
HOLDS = ("workload", "kernel of", "holds")
SIZES = ("workload", "of a sample", "code", "tables", "RAM", "stack")


@click.command(name="bench")
@click.argument("workloads", nargs=-1)
@click.option(
    "--core",
    type=click.Choice(["cortex-m7", "cortex-m4", "cortex-m3"]),
    default="cortex-m7",
    show_default=True,
    help="cortex-m3 has no DSP instructions: portable C.",
)
@json_option
def command(workloads: tuple[str, ...], core: str, as_json: bool) -> None:
    """Count the instructions of WORKLOADS [default: all] on an emulated core.

    Each is generated, compiled as firmware is, run and compared with the simulator. Operators:
    their functions alone. All calls: pushing, polling and copying as well, of all frames since the
    decision before. Decision: the call that decides. Frame: one on which nothing is due. Largest
    call: what an interrupt must bear; of a sample: its share of a sample period at the board's
    clock if each instruction took one cycle, which no board has confirmed.

    \b
    Example: lnn-edge bench
    Example: lnn-edge bench cfc_w4 ltc_32 --core cortex-m4 --json
    """
    from dataclasses import asdict

    from lnn_edge.build.bare import compiler_version
    from lnn_edge.errors import UsageError
    from lnn_edge.verify.bench.measure import measure
    from lnn_edge.verify.bench.workloads import WORKLOADS

    names = workloads or tuple(WORKLOADS)
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        known = ", ".join(WORKLOADS)
        raise UsageError(f"there is no workload {unknown[0]!r}; give some of {known}")
    version = compiler_version()
    rows = []
    with progress(as_json) as bar:
        shown = bar.add_task(f"bench on {core}", total=len(names), note="")
        for name in names:
            rows.append(measure(name, WORKLOADS[name](), core))
            bar.advance(shown)
    if as_json:
        found = [asdict(row) for row in rows]
        show_json({"core": core, "compiler": version, "workloads": found})
        return
    title = f"instructions on {core}, arm-none-eabi-gcc {version}"
    console().print(table(title, INSTRUCTIONS, map(instructions_of, rows)))
    console().print(table("largest call of a sample period, bytes", SIZES, map(sizes_of, rows)))
    held = [(r.name, name, ", ".join(ops)) for r in rows for name, ops in r.holds.items()]
    if held:
        console().print(table("operators that one kernel computes", HOLDS, held))


def instructions_of(row: Row) -> tuple[str, ...]:
    """Return a row for INSTRUCTIONS."""
    counts = (row.operators, row.calls, row.decision, row.frame, row.largest_call)
    return row.name, *("-" if n is None else f"{n:,}" for n in counts)


def sizes_of(row: Row) -> tuple[str, ...]:
    """Return a row for SIZES."""
    load = "-" if row.load is None else f"{100 * row.load:.1f} %"
    sizes = (row.code, row.tables, row.state + row.arena, row.stack)
    return row.name, load, *(f"{n:,}" for n in sizes)

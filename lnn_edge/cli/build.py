"""`lnn-edge build`: firmware project -> ELF and size.json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli import FAILED, show_error
from lnn_edge.cli.output import console, json_option, project_argument, show_json, table

if TYPE_CHECKING:
    from lnn_edge.build.size import SizeReport


@click.command(name="build")
@project_argument
@click.option("--max-flash", type=int, help="Budget in bytes.")
@click.option("--max-ram", type=int, help="Budget in bytes, worst-case stack included.")
@json_option
def command(project: Path, max_flash: int | None, max_ram: int | None, as_json: bool) -> None:
    """Compile PROJECT with arm-none-eabi-gcc and measure it; exit code 1 when over budget.

    What is built from the same sources, flags and tools already is only judged by the budget.

    \b
    Example: lnn-edge build firmware --max-flash 40960 --max-ram 16384
    """
    from lnn_edge.build.cmake import OverBudgetError, build
    from lnn_edge.build.size import Limits

    try:
        result = build(project, "board", Limits(max_flash, max_ram))
    except OverBudgetError as error:
        show_error(str(error))
        raise SystemExit(FAILED) from None
    assert result.size is not None
    if as_json:
        show_json(result.size.to_json())
    else:
        show_size(result.size)
        made = f"built, since {result.why}" if result.why else "up to date"
        console().print(f"{result.elf} ({made})")
        console().print(f"next: lnn-edge verify {project} --link {_link(project)}")
    for failure in result.size.budget_failures:
        show_error(f"over budget: {failure}")
    if not result.size.budget_ok:
        raise SystemExit(FAILED)


def _link(project: Path) -> str:
    """Name the best link that needs no board."""
    from lnn_edge.build.project import open_board

    return open_board(project).tools.emulator.split(":")[0] or "host"


def show_size(size: SizeReport) -> None:
    """Print flash, RAM and stack."""
    out = console()
    out.print(
        f"flash {size.flash_bytes} bytes, RAM {size.ram_bytes} bytes, "
        f"worst-case stack {size.stack_bytes} bytes"
    )
    regions = [
        (n, u.used, u.size, f"{100 * u.used / u.size:.1f} %") for n, u in size.regions.items()
    ]
    out.print(table("memory", ("region", "used", "size", ""), regions))
    rows = [(n, o.code_bytes, o.const_bytes, o.stack_bytes) for n, o in size.operators.items()]
    out.print(table("operators", ("operator", "code", "constants", "stack"), rows))

"""`lnn-edge models`: the shipped models, how good they are and what they take."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, entry, json_option, show_json, table
from lnn_edge.errors import UsageError

if TYPE_CHECKING:
    from lnn_edge.files.model_facts import Accuracy, ModelFacts


@click.command(name="models")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the shipped models, or describe one.

    Figures are those of the model's card; flash, RAM and stack are of the whole firmware.

    \b
    Example: lnn-edge models ecg-beats-cfc
    """
    from lnn_edge.files.model_facts import read_facts
    from lnn_edge.files.shipped import shipped_folder, shipped_names

    known = shipped_names()
    if name and name not in known:
        raise UsageError(f"there is no model {name!r}; take one of {', '.join(known)}")
    facts = {n: read_facts(shipped_folder(n)) for n in ([name] if name else known)}
    if as_json:
        show_json([{"name": n, "fits": list(f.fits), **asdict(f)} for n, f in facts.items()])
    elif name:
        _show_one(name, facts[name])
    else:
        _show_all(facts)


def _show_all(facts: dict[str, ModelFacts]) -> None:
    for name, f in facts.items():
        best = f.accuracy[0]
        lines = [f"{best.figure} {best.value:.3f} ({best.dataset}, {best.split})"]
        if f.measured is not None:
            on, m = f.measured.boards[0], f.measured
            lines.append(
                f"{on.flash_bytes:,} bytes of flash, {on.ram_bytes + on.stack_bytes:,} of RAM with "
                f"stack, {m.instructions_with_samples:,} instructions a decision ({on.board})"
            )
            lines.append(f"fits {', '.join(f.fits)}")
        entry(name, f.summary, [*lines, f"{f.licence}; {f.caveat}"])
    click.echo("more of one: lnn-edge models NAME; use one: lnn-edge predict NAME RECORDING")


def _show_one(name: str, f: ModelFacts) -> None:
    out = console()
    out.print(f"{name}: {f.summary}")
    for what, text in (("reads", f.reads), ("decides", f.decides), ("licence", f.licence),
                       ("mind", f.caveat)):  # fmt: skip
        out.print(f"{what}: {text}")
    columns = ("figure", "value", "95 % over patients", "data", "split")
    rows = [(a.figure, a.value, _range(a), a.dataset, a.split) for a in f.accuracy]
    out.print(table("accuracy", columns, rows))
    if f.measured is None:
        out.print("what it takes was not measured")
        return
    body = [(b.board, f"{b.flash_bytes:,}", f"{b.ram_bytes:,}", f"{b.stack_bytes:,}")
            for b in f.measured.boards]  # fmt: skip
    out.print(table("boards that it fits, bytes", ("board", "flash", "RAM", "stack"), body))
    out.print(
        f"instructions of a decision on {f.measured.counted_on}: "
        f"{f.measured.instructions_per_decision:,} alone, "
        f"{f.measured.instructions_with_samples:,} with its samples "
        f"({f.measured.decisions:,} decisions on {f.measured.dataset}, counted exactly)"
    )


def _range(figure: Accuracy) -> str:
    return "" if figure.low is None else f"{figure.low:.2f} to {figure.high:.2f}"

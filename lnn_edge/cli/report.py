"""`lnn-edge report`: what is known of a project, in the terminal and as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.evaluate import shown_or_dash, told_figures
from lnn_edge.cli.output import (
    console,
    force_option,
    json_option,
    project_argument,
    show_json,
    table,
)
from lnn_edge.cli.recordings import wish_options

if TYPE_CHECKING:
    from lnn_edge.report import Report
    from lnn_edge.report.built import BuildFacts
    from lnn_edge.report.links import LinkFacts
    from lnn_edge.tasks.feed import Wish
    from lnn_edge.tasks.metrics.single_label import Evaluation

MOST_OPERATORS = 10  # in the terminal; the page has all


@click.command(name="report")
@project_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="[default: PROJECT/report.html]"
)
@wish_options("Name or WFDB folder [default: the embedded one of its task].", has_records=True)
@force_option
@json_option
def command(
    project: Path,
    output: Path | None,
    wish: Wish,
    force: bool,
    as_json: bool,
) -> None:
    """Summarise PROJECT and write one self-contained HTML page about it.

    The page shows the model on the embedded recordings of its task, or on --data or --dataset:
    the first six are drawn, all count. An earlier report is replaced; any other file only with
    --force.

    \b
    Example: lnn-edge report firmware -o report.html
    Example: lnn-edge report firmware --data walks --label-column activity --records p0,p5
    """
    import lnn_edge as le
    from lnn_edge.report import verdict
    from lnn_edge.tasks.feed import Wish

    path = output or project / "report.html"
    is_empty = wish == Wish(data_dir=wish.data_dir)
    report = le.report(project, None if is_empty else wish, to=path, force=force)
    if as_json:
        judged, of_classes = report.evaluation, _of_classes(report)
        show_json(
            {
                "report": str(path),
                "board": report.project.board.name,
                "model_sha256": report.model_sha256,
                "verdict": verdict(report)[0],
                "links": {x.link: x.mismatches for x in report.links},
                "failures": {x.link: list(x.failures) for x in report.links},
                "warnings": {x.link: list(x.warnings) for x in report.links},
                "trained_on": report.trained_on and report.trained_on.to_json(),
                "accuracy": of_classes and of_classes.accuracy,
                "macro_f1": of_classes and of_classes.macro_f1,
                "value": judged.to_json() if judged and not of_classes else None,
                "built": report.build and report.build.why,
            }
        )
        return
    show_report(report)
    console().print(f"written: {path}")


def show_report(report: Report) -> None:
    """Print the verdict, the links, the memories, the costliest operators and the classes."""
    from lnn_edge.report import verdict
    from lnn_edge.report.words import (
        clock_words,
        cost_sentences,
        link_words,
        start_words,
        step_words,
    )

    out = console()
    if report.build and report.build.why:
        out.print(f"built, since {report.build.why}")
    _, headline, sentences = verdict(report)
    out.print(f"{report.project.graph.name} on {report.project.board.title}: {headline}")
    for sentence in sentences:
        out.print(sentence)
    links = [
        (link_words(x), x.steps, x.mismatches, x.longest_run, x.counts[1] if x.counts else "")
        for x in report.links
    ]
    columns = ("link", "steps", "mismatches", "longest run", "median a step")
    if links:
        out.print(table("verification", columns, links))
    for x in report.links:
        of_step = f" of a step, the {step_words(x)}" if x.counts else ""
        out.print(f"{link_words(x)}: counted{of_step}: {clock_words(x)}")
        clock, causes, flash, free = start_words(x)
        came_up = f"core clock {clock}; started by {causes}; flash {flash}; stack never used {free}"
        out.print(f"{link_words(x)}: {came_up}")
        for sentence in cost_sentences(x):
            out.print(sentence)
    _show_outputs(report)
    if report.build:
        used = report.build.used
        regions = [(r.name, used.get(r.name, 0), r.size) for r in report.project.board.memory]
        out.print(table("memory", ("region", "used", "size"), regions))
    if report.build and report.profiled:
        _show_operators(report.build, report.profiled)
    if report.evaluation:
        if report.trained_on:
            out.print(report.trained_on.sentence)
        judged, unit = _of_classes(report), report.words.unit
        given = report.given or "the embedded recordings"
        title = f"integer model, {report.evaluation.n:,} {unit} of {given}"
        if judged is None:
            out.print(f"{title}: {told_figures(report.evaluation)}")
            return
        rows = [
            (name, f.n, *shown_or_dash(f.se, f.ppv, f.f1)) for name, f in judged.classes.items()
        ]
        out.print(table(title, ("class", unit, "Se", "PPV", "F1"), rows))


def _of_classes(report: Report) -> Evaluation | None:
    """Return the figures of a model that decides for a class."""
    from lnn_edge.tasks.metrics.single_label import Evaluation

    return report.evaluation if isinstance(report.evaluation, Evaluation) else None


def _show_outputs(report: Report) -> None:
    """Print what was seen of each output, where there are several."""
    from lnn_edge.report.words import link_words

    rows = [
        (seen.name, link_words(link), seen.mismatches, seen.error or "not known")
        for link in report.links
        for seen in link.outputs
    ]
    if report.project.graph.heads and rows:
        columns = ("output", "link", "mismatches", "against the float model")
        console().print(table("outputs", columns, rows))


def _show_operators(build: BuildFacts, profiled: LinkFacts) -> None:
    """Print the operators that take the most instructions, and what all of them take."""
    from lnn_edge.report.sections.operators import kernels_of
    from lnn_edge.report.words import operator_sentence

    kernels = kernels_of(build.operators, profiled.per_step)
    counts = sorted(((k.names, k.instructions or 0) for k in kernels), key=lambda row: -row[1])
    whole = sum(count for _, count in counts)
    rows = [(name, f"{n:,.0f}", f"{100 * n / whole:.1f} %") for name, n in counts if n]
    columns = ("operator", "instructions a decision", "of all operators")
    title = f"the costliest of {len(build.operators)} operators, each with all its runs"
    console().print(table(title, columns, rows[:MOST_OPERATORS]))
    console().print(operator_sentence(profiled, {o.function for o in build.operators}))

"""A report as one HTML page that needs nothing else: no network, and no script to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2

from lnn_edge.files import resources
from lnn_edge.report.facts import Report
from lnn_edge.report.markup import Html, prose
from lnn_edge.report.sections import (
    accuracy,
    memory,
    neurons,
    operators,
    outputs,
    provenance,
    recordings,
    summary,
    training,
    values,
    verification,
    worth,
)
from lnn_edge.report.words import counted

GENERATOR = Html('<meta name="generator" content="lnn-edge">')
SECTIONS: tuple[tuple[str, str, Callable[[Report], dict[str, Any] | None]], ...] = (
    ("verification", "Verification", verification.context),
    ("outputs", "Outputs", outputs.context),
    ("accuracy", "Accuracy", accuracy.context),
    ("values", "Errors of values", values.context),
    ("recordings", "Recordings", recordings.context),
    ("neurons", "Liquid neurons", neurons.context),
    ("training", "Training", training.context),
    ("worth", "Float against integer", worth.context),
    ("operators", "Instructions and size of each operator", operators.context),
    ("memory", "Memory", memory.context),
    ("provenance", "Provenance", provenance.context),
)
"""Anchor and template, title, and what the template names; one without it is left out."""


@dataclass(frozen=True)
class Section:
    """A part of the page, and where the contents lead."""

    anchor: str
    title: str
    content: Html


def render(report: Report) -> str:
    """Return the page. Equal reports give equal pages."""
    pages = _environment()
    sections = []
    for anchor, title, context_of in SECTIONS:
        context = context_of(report)
        if context is not None:
            content = Html(pages.get_template(f"{anchor}.html.j2").render(context))
            sections.append(Section(anchor, str(context.get("heading", title)), content))
    moves = any('id="network-data"' in s.content for s in sections if s.anchor == "neurons")
    return pages.get_template("page.html.j2").render(
        title=f"{report.project.graph.name} on {report.project.board.title}",
        generator=GENERATOR,
        style=_text("style.css"),
        script=_text("steps.js") if moves else None,
        summary=summary.context(report),
        sections=sections,
    )


@cache
def _environment() -> jinja2.Environment:
    """Return the templates; what they fill in is escaped unless it is markup."""
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.path("templates") / "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {"count": _count, "counted": counted, "prose": prose, "zip": _zip}
    return pages


def _text(name: str) -> Html:
    return Html((resources.path("templates") / "report" / name).read_text(encoding="utf-8").strip())


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _zip(first: Any, second: Any) -> list[tuple[Any, Any]]:
    return list(zip(first, second, strict=True))

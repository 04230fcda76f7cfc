"""The parts of the vector that every decision gives."""

from __future__ import annotations

from typing import Any

from lnn_edge.report.facts import Report
from lnn_edge.report.words import link_words


def context(report: Report) -> dict[str, Any]:
    """Return a row for each output, and its error on each link."""
    graph = report.project.graph
    rows = []
    for output in graph.outputs:
        seen = [s for link in report.links for s in link.outputs if s.name == output.name]
        rows.append(
            {
                "output": output,
                "classes": ", ".join(graph.classes) if output.kind == "scores" else "",
                "wrong": sum(s.mismatches for s in seen) if seen else None,
            }
        )
    errors = [
        f"{seen.name} on {link_words(link)}, against the float model: {seen.error}."
        for link in report.links
        for seen in link.outputs
        if seen.error
    ]
    return {"rows": rows, "errors": errors}

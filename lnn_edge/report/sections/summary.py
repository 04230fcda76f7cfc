"""The top of the page: what it is, the verdict, and the figures that people look for first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lnn_edge.report.facts import Report
from lnn_edge.report.words import clock_words, kilobytes, step_words, verdict
from lnn_edge.tasks.metrics.value import ValuesEvaluation

Key = tuple[str, str, str]
"""Name, value, remark."""


def context(report: Report) -> dict[str, Any]:
    """Return name, board, verdict and key figures."""
    board = report.project.board
    kind, headline, sentences = verdict(report)
    return {
        "name": report.project.graph.name,
        "subtitle": (
            f"{board.title}, {board.mcu.part}, {board.mcu.cpu} at {board.clock.core_hz / 1e6:g} MHz"
        ),
        "kind": kind,
        "headline": headline,
        "sentences": sentences,
        "keys": list(_keys(report)),
    }


def _keys(report: Report) -> Iterator[Key]:
    if report.links:
        steps = sum(link.steps for link in report.links)
        wrong = sum(link.mismatches for link in report.links)
        links = f"{len(report.links)} link{'s' * (len(report.links) > 1)}"
        yield "mismatches", f"{wrong:,}", f"in {steps:,} steps on {links}"
    if report.build:
        build = report.build
        yield "flash", kilobytes(build.flash_bytes), "code, constants, initial values"
        whole = build.ram_bytes + build.stack_bytes
        yield "RAM", kilobytes(whole), f"worst-case stack of {build.stack_bytes:,} bytes included"
    counted = next((x for x in report.links if x.counts), None)
    if counted and counted.counts:
        remark = f"{clock_words(counted)}: {step_words(counted)}"
        yield "a step", f"{counted.counts[1]:,}", remark
    judged = report.evaluation
    if isinstance(judged, ValuesEvaluation):
        for one in judged.values:
            error = f"{one.mae:.3g} {one.unit}".rstrip()
            yield one.name, error, f"mean absolute error, {one.n:,} decisions"
    elif judged:
        part = f"{100 * judged.accuracy:.1f} %"
        yield f"{report.words.unit} right", part, f"of {judged.n:,} shown below"

"""How good a model of values is: errors, what it says over what is true, and each subject."""

from __future__ import annotations

from typing import Any

import numpy as np

from lnn_edge.report.drawings.scatter import MOST_POINTS, Rule, draw_differences, draw_identity
from lnn_edge.report.facts import Report
from lnn_edge.report.sections.accuracy import validated
from lnn_edge.tasks.metrics.value import ValueEvaluation, ValuesEvaluation

LIMIT = 1.96  # standard deviations that hold 95 % of a normal distribution


def context(report: Report) -> dict[str, Any] | None:
    """Return figures and plots of each value; None for a model of classes or without recordings."""
    judged = report.evaluation
    if not isinstance(judged, ValuesEvaluation):
        return None
    return {
        "words": report.words,
        "validated": validated(report),
        "trained_on": report.trained_on.sentence if report.trained_on else "",
        "recordings": len(report.predictions),
        "people": len({p.recording.patient for p in report.predictions}),
        "values": [_value(report, one) for one in judged.values],
        "absent": judged.absent,
    }


def _value(report: Report, judged: ValueEvaluation) -> dict[str, Any]:
    first = report.predictions[0].recording
    at = first.task.classes.index(judged.name)
    true = np.concatenate([p.labels[:, at] for p in _with_decisions(report)])
    said = np.concatenate([p.scores[:, at] for p in _with_decisions(report)])
    true, said = (v[np.isfinite(true)] for v in (true, said))
    errors = said - true
    bias, reach = float(errors.mean()), LIMIT * float(errors.std())
    rules = [
        Rule(bias + reach, f"+{LIMIT} SD"), Rule(bias, "bias"), Rule(bias - reach, f"-{LIMIT} SD")
    ]  # fmt: skip
    return {
        "judged": judged,
        "rows": list(_rows(judged)),
        "worst": max(f.mae for f in judged.subjects),
        "scatter": draw_identity(f"{judged.name}: model over true", true, said, judged.unit),
        "agreement": draw_differences(
            f"{judged.name}: differences over means", (true + said) / 2, errors, judged.unit, rules
        ),
        "limits": (bias - reach, bias + reach),
        "points": min(len(true), MOST_POINTS),
        "decisions": len(true),
    }


def _with_decisions(report: Report) -> list[Any]:
    return [p for p in report.predictions if len(p.stamps)]


def _rows(judged: ValueEvaluation) -> list[tuple[str, str, str]]:
    """Return name, value and interval of each figure."""
    unit = f" {judged.unit}" if judged.unit else ""
    named = (
        ("mean absolute error", "mae", unit),
        ("root mean square error", "rmse", unit),
        ("R2", "r2", ""),
        ("mean error", "bias", unit),
    )
    rows = []
    for words, key, of in named:
        value, ends = getattr(judged, key), judged.intervals.get(key)
        told = "not known" if value is None else f"{value:.4g}{of}"
        rows.append((words, told, f"{ends[0]:.4g} to {ends[1]:.4g}" if ends else ""))
    return rows

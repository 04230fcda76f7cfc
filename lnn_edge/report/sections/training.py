"""Curves of the training: loss, figures of the recordings held out, learning rate."""

from __future__ import annotations

from typing import Any

from lnn_edge.report.drawings.curves import draw_curves
from lnn_edge.report.facts import Report
from lnn_edge.report.sections.accuracy import FIGURES, figures_of


def context(report: Report) -> dict[str, Any] | None:
    """Return plots; None where no history came along."""
    history = report.held_out.history
    if not history:
        return None
    epochs = [e.epoch for e in history]
    loss: dict[str, list[float | None]] = {"training": [e.loss for e in history]}
    held_out = [e.metrics.get("validation_loss") for e in history]
    if any(v is not None for v in held_out):
        loss["held out"] = held_out
    names = figures_of(history[-1])
    known = {FIGURES[name]: [e.metrics.get(name) for e in history] for name in names}
    rates: dict[str, list[float | None]] = {"learning rate": [e.learning_rate for e in history]}
    plots = [("Loss", draw_curves("Loss over epochs", epochs, loss))]
    if known:
        plots.append(("Figures of the recordings held out",
                      draw_curves("Held-out figures over epochs", epochs, known)))  # fmt: skip
    plots.append(("Learning rate", draw_curves("Learning rate over epochs", epochs, rates)))
    return {"epochs": len(history), "plots": plots, "is_held_out": bool(known)}

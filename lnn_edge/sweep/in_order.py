"""Runs trials one after another, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lnn_edge.sweep.kept import Kept
from lnn_edge.sweep.trial import Trial, run


def run_in_order(trials: Sequence[Trial], kept: Kept, on_trial: Callable[[], None]) -> None:
    """Run trials and keep their outcomes.

    Args:
        trials: Not finished yet.
        kept: Where outcomes go.
        on_trial: Called after each.
    """
    for trial in trials:
        kept.put(trial.key, run(trial, kept.prepared).to_bytes())
        on_trial()

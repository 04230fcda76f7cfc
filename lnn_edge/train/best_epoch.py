"""Which epoch's weights a training keeps, and when it has waited long enough for better ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lnn_edge.errors import UsageError
from lnn_edge.nn.history import Epoch
from lnn_edge.tasks.judge import Figures
from lnn_edge.train.recipe import Training

MAIN = "main"
_ERRORS = ("loss", "mae", "rmse", "nrmse")  # of which less is better


def check_choice(plan: Training, held_out: Sequence[object]) -> None:
    """Refuse to choose an epoch by recordings where none are held out.

    Raises:
        UsageError: The plan does.
    """
    if plan.best_by and not held_out:
        raise UsageError(
            f"best_by is {plan.best_by!r} and no recordings are held out to choose an epoch by; "
            "hold a fold out, --fold 0, or leave it out"
        )


def figure_of(best_by: str, judged: Figures, metrics: Mapping[str, float]) -> str:
    """Return the figure that chooses, as history.csv calls it.

    Args:
        best_by: Of the recipe, not "".
        judged: Of an epoch, on the recordings held out.
        metrics: What history.csv has of it.

    Raises:
        UsageError: There is no such figure.
    """
    name = judged.main[0] if best_by == MAIN else best_by
    if name not in metrics:
        raise UsageError(
            f"best_by is {best_by!r} and must be main or a figure of history.csv: "
            f"{', '.join(metrics)}"
        )
    return name


def is_better(name: str, value: float, than: float) -> bool:
    """Return whether a figure is better than another."""
    is_error = name.split()[0].removeprefix("validation_") in _ERRORS
    return value < than if is_error else value > than


def waited(history: Sequence[Epoch]) -> int:
    """Return the epochs since the one that is kept."""
    return next((age for age, e in enumerate(reversed(history)) if e.is_kept), len(history))

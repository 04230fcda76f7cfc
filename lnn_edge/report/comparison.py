"""Trainings side by side: what they were, which epoch was kept, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn_edge.errors import DataError, UsageError
from lnn_edge.files.write import write_whole
from lnn_edge.nn.history import HISTORY, Epoch, kept_epoch, read_history
from lnn_edge.nn.model_card import CARD, kind_of, read_card
from lnn_edge.report.drawings.curves import KINDS, draw_curves
from lnn_edge.report.markup import Html, element

MOST_DRAWN = len(KINDS)  # runs in one plot
_STYLE = """
svg { background: #ffffff; font: 11px system-ui, "Liberation Sans", sans-serif; }
text { fill: #5b6675; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.rule { stroke: #dde2e8; fill: none; } .curve { fill: none; stroke: #1f5fa8; stroke-width: 1.6; }
.other { stroke: #c7772f; } .third { stroke: #5b6675; } .fourth { stroke: #17703b; }
.fifth { stroke: #5b2a9d; } .sixth { stroke: #b3261e; } .end-point { fill: #ffffff; }
"""


@dataclass(frozen=True)
class Run:
    """One training, finished or not.

    Attributes:
        name: Its folder, as it was given.
        recipe: Name of the model.
        settings: Of the recipe, flat: "training.epochs", "model.hidden_size"; and the seed.
        seed: Of it.
        records: Recordings learned from.
        history: Epoch by epoch.
        chosen_by: The figure that chose the epoch, or "last".
    """

    name: str
    recipe: str
    settings: Mapping[str, object]
    seed: int
    records: int
    history: tuple[Epoch, ...]
    chosen_by: str

    @property
    def kept(self) -> Epoch:
        """The epoch whose weights the model has."""
        return kept_epoch(self.history)


@dataclass(frozen=True)
class Comparison:
    """Runs, in the order they were given."""

    runs: tuple[Run, ...]

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that any run has on recordings held out."""
        return tuple(dict.fromkeys(name for r in self.runs for name in r.kept.metrics))

    @property
    def differences(self) -> dict[str, tuple[object, ...]]:
        """Settings in which the runs differ, a value for each run.

        A card of before lacks what was added since, and that was off: None.
        """
        names = dict.fromkeys(name for r in self.runs for name in r.settings)
        values = {name: tuple(r.settings.get(name) or None for r in self.runs) for name in names}
        return {n: v for n, v in values.items() if any(each != v[0] for each in v[1:])}

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        return {
            "runs": [
                {
                    "run": r.name,
                    "recipe": r.recipe,
                    "seed": r.seed,
                    "records": r.records,
                    "epochs": len(r.history),
                    "kept": r.kept.epoch,
                    "chosen_by": r.chosen_by,
                    "loss": r.kept.loss,
                    "held_out": dict(r.kept.metrics),
                }
                for r in self.runs
            ],
            "differences": {name: list(v) for name, v in self.differences.items()},
        }

    def draw(self, figure: str | None = None) -> str:
        """Return an SVG document: a figure over the epochs, a curve for each run.

        Args:
            figure: "loss", or one of `figures`; None is the loss on recordings held out, or of the
                training where there are none.

        Raises:
            UsageError: No run has it, or there are more than MOST_DRAWN runs.
        """
        chosen = figure or ("validation_loss" if "validation_loss" in self.figures else "loss")
        if chosen not in ("loss", *self.figures):
            raise UsageError(
                f"no run has a figure {chosen!r}; they have {', '.join(('loss', *self.figures))}"
            )
        if len(self.runs) > MOST_DRAWN:
            raise UsageError(f"{len(self.runs)} runs are too many for a plot; give {MOST_DRAWN}")
        last = max(r.history[-1].epoch for r in self.runs)
        epochs = range(1, last + 1)
        curves = {r.name: _curve(r, chosen, epochs) for r in self.runs}
        drawing = draw_curves(f"{chosen} over epochs", epochs, curves)
        style = element("style", {}, Html(_STYLE))
        return str(drawing).replace("><", f">{style}<", 1) + "\n"


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Read what trainings left in their folders.

    Raises:
        UsageError: None is given, or one twice.
        DataError: A folder holds no training, or one of its files is damaged.
    """
    if not folders or len(set(folders)) < len(folders):
        raise UsageError("give the folders of trainings, each once")
    return Comparison(tuple(map(_read, folders)))


def write_plot(comparison: Comparison, path: Path, figure: str | None = None) -> None:
    """Write the plot of a comparison; see Comparison.draw.

    Raises:
        UsageError: The file is to be another kind of picture; see also Comparison.draw.
        OSError: It cannot be written.
    """
    if path.suffix.lower() != ".svg":
        raise UsageError(f"{path}: plots are SVG; give a file that ends in .svg")
    write_whole(path, comparison.draw(figure))


def _read(folder: Path) -> Run:
    card, history = read_card(folder), read_history(folder / HISTORY)
    if card is None or kind_of(card) != "trained":
        raise DataError(
            f"{folder} holds no finished training ({CARD} is missing); train, or leave it out"
        )
    if not history:
        raise DataError(f"{folder} has no {HISTORY}; its training left none, so leave it out")
    recipe: Any = card.get("recipe")
    if not isinstance(recipe, dict):
        raise DataError(f"{folder / CARD} has no recipe; train again")
    result: Any = card.get("result", {})
    chosen = result.get("chosen_by", "last") if isinstance(result, dict) else "last"
    seed, records = card.get("seed", 0), card.get("training_records", ())
    return Run(
        str(folder),
        str(recipe.get("name", "")),
        {k: v for k, v in _flat(recipe) if k != "summary"} | {"seed": seed},
        int(seed),
        len(records),
        history,
        str(chosen),
    )


def _flat(table: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _curve(run: Run, figure: str, epochs: Sequence[int]) -> list[float | None]:
    known = {e.epoch: e.loss if figure == "loss" else e.metrics.get(figure) for e in run.history}
    return [known.get(epoch) for epoch in epochs]

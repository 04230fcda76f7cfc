"""What a sweep found: figures of every setting over all folds, the front, and the best recipe."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import tomli_w

from lnn_edge.errors import UsageError
from lnn_edge.report.drawings.front import Point, draw_front
from lnn_edge.sweep.alike import alike
from lnn_edge.sweep.kept import Kept
from lnn_edge.sweep.outcome import Form, Judged, Outcome
from lnn_edge.sweep.plan import Plan, Planned, pairs
from lnn_edge.tasks.judge import Figures, judge
from lnn_edge.tasks.metrics.value import ValuesEvaluation
from lnn_edge.tasks.task import Task
from lnn_edge.train.best_epoch import is_better

RESULTS, SETTINGS, FIGURES = "results.csv", "settings.csv", "figures.json"
FRONT, BEST = "front.svg", "best.toml"
RESAMPLES = 1000  # of patients, for the intervals in FIGURES


@dataclass(frozen=True)
class SeedResult:
    """One seed of a setting: all folds together.

    Attributes:
        seed: It.
        figures: By floats and by integers; empty where a training failed.
        failure: Why it did.
        alike: Part of the decisions that floats and integers make alike, where that is known.
    """

    seed: int
    figures: Mapping[Form, Figures]
    failure: str = ""
    alike: float | None = None


@dataclass(frozen=True)
class SettingResult:
    """One setting.

    Attributes:
        planned: What it is and takes.
        seeds: What came out; none where it was refused.
    """

    planned: Planned
    seeds: tuple[SeedResult, ...]

    @property
    def note(self) -> str:
        """Why it has no figures; "" where it has."""
        return self.planned.refused or next((s.failure for s in self.seeds if s.failure), "")

    def values(self, form: Form) -> list[float]:
        """Return the main figure of each seed; none where there is a note."""
        return [] if self.note else [s.figures[form].main[1] for s in self.seeds]

    def mean(self, form: Form) -> float:
        """Return the mean over seeds; NaN where there is a note."""
        values = self.values(form)
        return math.fsum(values) / len(values) if values else math.nan


@dataclass(frozen=True)
class SweepResult:
    """All settings, in the order they were asked for."""

    plan: Plan
    settings: tuple[SettingResult, ...]

    @property
    def judged(self) -> tuple[SettingResult, ...]:
        """Those with figures."""
        return tuple(s for s in self.settings if not s.note)

    @cached_property
    def form(self) -> Form:
        """By what settings are compared: integers, unless one of them has none."""
        each = [seed.figures for s in self.judged for seed in s.seeds]
        return "integer" if all("integer" in figures for figures in each) else "float"

    @cached_property
    def main(self) -> str:
        """Name of the figure by which settings are compared."""
        return self.judged[0].seeds[0].figures[self.form].main[0]

    @property
    def best(self) -> SettingResult:
        """The setting of the best mean over seeds; of two the smaller."""
        best, *others = self.judged
        for other in others:
            mine, theirs = (s.mean(self.form) for s in (best, other))
            is_smaller = self.size(other) < self.size(best)
            if is_better(self.main, theirs, mine) or (theirs == mine and is_smaller):
                best = other
        return best

    @property
    def size_name(self) -> str:
        """What is drawn over: flash, or the constants where no compiler told."""
        is_built = all(s.planned.sizes.flash is not None for s in self.settings)
        return "flash" if is_built else "constants"

    def size(self, setting: SettingResult) -> int:
        """Return the bytes that a setting is drawn at."""
        size: int = getattr(setting.planned.sizes, self.size_name)
        return size

    @property
    def front(self) -> tuple[SettingResult, ...]:
        """Settings that no other one beats in both figure and size, by size."""
        found: list[SettingResult] = []
        for setting in sorted(self.judged, key=self._rank):
            mine = setting.mean(self.form)
            if not found or is_better(self.main, mine, found[-1].mean(self.form)):
                found.append(setting)
        return tuple(found)

    def _rank(self, setting: SettingResult) -> tuple[int, float]:
        mean = setting.mean(self.form)
        return self.size(setting), mean if is_better(self.main, 0.0, 1.0) else -mean

    def files(self) -> dict[str, str]:
        """Return what is written, by name; the same for the same outcomes."""
        return {
            RESULTS: _table(self._seed_rows()),
            SETTINGS: _table(self._setting_rows()),
            FIGURES: json.dumps(self.to_json(), indent=1) + "\n",
            FRONT: self.draw(),
            BEST: self.best_recipe(),
        }

    def best_recipe(self) -> str:
        """Return the best setting as a recipe that `train` takes."""
        return tomli_w.dumps(asdict(self.best.planned.recipe))

    def draw(self) -> str:
        """Return an SVG document: the main figure over size, the front a line."""
        on_front = set(map(id, self.front))
        points = [
            Point(
                self.plan.name(s.planned.setting),
                self.size(s),
                s.mean(self.form),
                id(s) in on_front,
            )
            for s in self.judged
        ]
        axes = f"{self.size_name} (bytes)", f"{self.main}, {self.form}"
        return draw_front(f"{axes[1]} over {axes[0]}", points, axes)

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        return {
            "recipe": self.plan.recipe,
            "folds": self.plan.folds,
            "figure": self.main,
            "form": self.form,
            "best": dict(pairs(self.best.planned.setting)),
            "front": [dict(pairs(s.planned.setting)) for s in self.front],
            "settings": [
                {
                    "set": dict(pairs(s.planned.setting)),
                    "sizes": asdict(s.planned.sizes),
                    "note": s.note,
                    "mean": None if s.note else s.mean(self.form),
                    "seeds": [
                        {"seed": seed.seed, "failure": seed.failure, "alike": seed.alike}
                        | {form: figures.to_json() for form, figures in seed.figures.items()}
                        for seed in s.seeds
                    ],
                }
                for s in self.settings
            ],
        }

    def _seed_rows(self) -> Iterator[dict[str, object]]:
        """Yield a row for each seed of each setting."""
        for setting in self.settings:
            before = _about(setting)
            for seed in setting.seeds or (SeedResult(-1, {}),):
                figures = {
                    f"{form} {name}": value
                    for form, judged in seed.figures.items()
                    for name, value in _named(judged).items()
                }
                at = "" if seed.seed < 0 else seed.seed
                note = seed.failure or setting.planned.refused
                yield {**before, "seed": at, **figures, "alike": seed.alike, "note": note}

    def _setting_rows(self) -> Iterator[dict[str, object]]:
        """Yield a row for each setting: mean, worst and best seed."""
        on_front, best = set(map(id, self.front)), self.best
        for s in self.settings:
            values = s.values(self.form)
            spread = {
                f"{self.form} {self.main}": s.mean(self.form) if values else None,
                "lowest": min(values, default=None),
                "highest": max(values, default=None),
            }
            marks = {"front": int(id(s) in on_front), "best": int(s is best)}
            yield {**_about(s), **spread, **marks, "note": s.note}


def collect(plan: Plan, kept: Kept) -> SweepResult:
    """Judge what finished trials left, the folds of a seed together.

    Raises:
        UsageError: Every training failed.
        DataError: A trial's file is damaged.
    """
    settings = tuple(
        SettingResult(
            planned,
            tuple(
                _judged(seed, [kept.get(trial) for trial in trials], plan.task)
                for seed, trials in planned.trials.items()
            ),
        )
        for planned in plan.settings
    )
    result = SweepResult(plan, settings)
    if not result.judged:
        why = next(s.note for s in settings if s.seeds)
        raise UsageError(f"every training failed, the first because {why}")
    return result


def _judged(seed: int, folds: Sequence[Outcome], task: Task) -> SeedResult:
    failure = next((o.failure for o in folds if o.failure), "")
    if failure:
        return SeedResult(seed, {}, failure)
    figures = {form: _together([o.forms[form] for o in folds], task) for form in folds[0].forms}
    return SeedResult(seed, figures, alike=alike(folds, task))


def _together(parts: Sequence[Judged], task: Task) -> Figures:
    sequences = [s for part in parts for s in part.sequences]
    scores = [v for part in parts for v in part.scores]
    return judge(sequences, scores, task.classes, task, RESAMPLES)


def _about(setting: SettingResult) -> dict[str, object]:
    return {**dict(pairs(setting.planned.setting)), **asdict(setting.planned.sizes)}


def _named(figures: Figures) -> dict[str, float | None]:
    """Return figures by name: those of the history, and F1 of each class."""
    if isinstance(figures, ValuesEvaluation):
        return figures.history
    return figures.history | {f"{name} f1": f.f1 for name, f in figures.classes.items()}


def _table(rows: Iterator[dict[str, object]]) -> str:
    """Return CSV; floats are written so that they read back exactly."""
    all_rows = list(rows)
    names = list(dict.fromkeys(name for row in all_rows for name in row if name != "note"))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, "note"])
    for row in all_rows:
        values = (row.get(name) for name in (*names, "note"))
        writer.writerow(["" if v is None else v for v in values])
    return out.getvalue()

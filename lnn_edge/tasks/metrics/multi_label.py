"""Scores and findings of whole records -> figures per finding, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.graph.sim.predict import DecisionSequence

INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class FindingFigures:
    """Figures of one finding; None where records with it, or without it, are missing.

    Attributes:
        n: Records in which it is known.
        present: Records that have it.
        se: Sensitivity.
        ppv: Positive predictive value, 0 where nothing was found.
        f1: Their harmonic mean.
        auroc: Area under the receiver operating characteristic, which needs no threshold.
        average_precision: Area under precision over recall.
    """

    n: int
    present: int
    se: float | None
    ppv: float | None
    f1: float | None
    auroc: float | None
    average_precision: float | None

    @property
    def is_judged(self) -> bool:
        """Whether there are records with the finding and records without."""
        return self.auroc is not None


@dataclass(frozen=True)
class FindingsEvaluation:
    """Figures over all records.

    Attributes:
        n: Records.
        accuracy: Part of the known findings that is right.
        macro_f1: Mean F1 of the findings that can be judged.
        macro_auroc: Mean AUROC of those.
        main_classes: The findings that can be judged.
        absent_classes: The others: no record has them, or each does.
        classes: Figures by finding.
        intervals: 95 % bootstrap intervals over patients by figure name, empty unless asked for.
    """

    n: int
    accuracy: float
    macro_f1: float
    macro_auroc: float
    main_classes: tuple[str, ...]
    absent_classes: tuple[str, ...]
    classes: dict[str, FindingFigures]
    intervals: dict[str, tuple[float, float]]

    @property
    def main_f1(self) -> float:
        """The main figure."""
        return self.macro_f1

    @property
    def main(self) -> tuple[str, float]:
        """Name and value of the figure that is watched."""
        return "main_f1", self.main_f1

    @property
    def history(self) -> dict[str, float | None]:
        """What the history of a training keeps."""
        return {
            "accuracy": self.accuracy,
            "main_f1": self.main_f1,
            "macro_f1": self.macro_f1,
            "macro_auroc": self.macro_auroc,
        }

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        return asdict(self)


def evaluate_findings(
    sequences: Sequence[DecisionSequence],
    scores: Sequence[np.ndarray],
    classes: Sequence[str],
    resamples: int = 0,
) -> FindingsEvaluation:
    """Compare what a model finds in each record with what is known of it.

    A record's score is the mean over its decisions; a finding is present where that is above 0
    (a probability above 1/2). A record without a decision, too short, is left out.

    Args:
        sequences: Decisions of each record, labels (D, classes) in 1, 0 and -1 for unknown.
        scores: (D, classes) of each record, before the sigmoid.
        classes: Names.
        resamples: Bootstrap samples of patients for the intervals.

    Raises:
        DataError: No finding can be judged.
    """
    pairs = [(s, v) for s, v in zip(sequences, scores, strict=True) if len(v)]
    if not pairs:
        raise DataError("no record is long enough for a decision; give longer ones")
    found = np.array([values.mean(0) for _, values in pairs])
    known = np.array([s.labels[0] for s, _ in pairs])
    patients = np.array([s.patient for s, _ in pairs])
    figures = {c: _figures(found[:, i], known[:, i]) for i, c in enumerate(classes)}
    judged = {c: f for c, f in figures.items() if f.is_judged}
    if not judged:
        raise DataError(
            f"no record with and none without one of {', '.join(classes)}; nothing to evaluate"
        )
    inside = known >= 0
    return FindingsEvaluation(
        len(pairs),
        float(((found > 0) == (known == 1))[inside].mean()),
        _mean([f.f1 for f in judged.values()]),
        _mean([f.auroc for f in judged.values()]),
        tuple(judged),
        tuple(c for c in classes if c not in judged),
        figures,
        _intervals(found, known, patients, classes, resamples),
    )


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([v for v in values if v is not None]))


def _figures(score: np.ndarray, known: np.ndarray) -> FindingFigures:
    from sklearn.metrics import (  # takes a second, which other tasks need not pay
        average_precision_score,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    inside = known >= 0
    true, score = known[inside], score[inside]
    present = int(true.sum())
    if not 0 < present < len(true):
        return FindingFigures(len(true), present, None, None, None, None, None)
    ppv, se, f1, _ = precision_recall_fscore_support(
        true, score > 0, average="binary", zero_division=0.0
    )
    area, precision = roc_auc_score(true, score), average_precision_score(true, score)
    values = (float(v) for v in (se, ppv, f1, area, precision))
    return FindingFigures(len(true), present, *values)


def _intervals(
    found: np.ndarray,
    known: np.ndarray,
    patients: np.ndarray,
    classes: Sequence[str],
    resamples: int,
) -> dict[str, tuple[float, float]]:
    """Return intervals of figures over patients drawn with replacement.

    A sample without, or with nothing but, a finding says nothing of it and is not counted.
    """
    rng = np.random.default_rng(0)
    rows_of = [np.flatnonzero(patients == p) for p in dict.fromkeys(patients.tolist())]
    samples: dict[str, list[float]] = {}
    for _ in range(resamples):
        picks = rng.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[i] for i in picks])
        figures = [_figures(found[rows, i], known[rows, i]) for i in range(len(classes))]
        for name, f in zip(classes, figures, strict=True):
            for key in ("se", "ppv", "f1", "auroc", "average_precision"):
                if f.is_judged:
                    samples.setdefault(f"{name} {key}", []).append(getattr(f, key))
        judged = [f for f in figures if f.is_judged]
        if judged:
            samples.setdefault("macro_f1", []).append(_mean([f.f1 for f in judged]))
            samples.setdefault("macro_auroc", []).append(_mean([f.auroc for f in judged]))
    return {name: _interval(values) for name, values in samples.items()}


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)

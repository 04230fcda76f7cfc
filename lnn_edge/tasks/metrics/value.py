"""Estimated and true values -> errors, per subject and per record, with intervals over subjects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from lnn_edge.errors import DataError
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.tasks.metrics.single_label import INTERVAL


@dataclass(frozen=True)
class ValueFigures:
    """Errors of some decisions, in the unit of the value but for R2.

    Attributes:
        n: Decisions.
        mae: Mean absolute error.
        rmse: Root of the mean squared error.
        r2: 1 - sum (y' - y)^2 / sum (y - mean y)^2; None where y does not vary.
        bias: Mean of y' - y.
    """

    n: int
    mae: float
    rmse: float
    r2: float | None
    bias: float


@dataclass(frozen=True)
class NamedFigures:
    """Errors on one recording or subject."""

    name: str
    patient: str
    n: int
    mae: float
    rmse: float
    r2: float | None
    bias: float


@dataclass(frozen=True)
class ValueEvaluation:
    """Errors of one value over all decisions that have a true one.

    Attributes:
        name: Of the value.
        unit: Of it; "" for a number without one.
        n: Decisions.
        mae: Mean absolute error.
        rmse: Root of the mean squared error.
        r2: Coefficient of determination; None where the true value does not vary.
        bias: Mean error.
        spread: Standard deviation of the true values: the rmse of always saying their mean.
        intervals: 95 % bootstrap intervals over subjects by figure, empty unless asked for.
        subjects: Errors on each subject.
        records: Errors on each recording.
    """

    name: str
    unit: str
    n: int
    mae: float
    rmse: float
    r2: float | None
    bias: float
    spread: float
    intervals: dict[str, tuple[float, float]]
    subjects: tuple[NamedFigures, ...]
    records: tuple[NamedFigures, ...]


@dataclass(frozen=True)
class ValuesEvaluation:
    """Errors of each value.

    Attributes:
        values: Of each that is known of any decision.
        absent: Names of the others.
    """

    values: tuple[ValueEvaluation, ...]
    absent: tuple[str, ...]

    @property
    def n(self) -> int:
        """Decisions with any true value, at least."""
        return max(value.n for value in self.values)

    def to_json(self) -> dict[str, object]:
        """Return JSON values: of one value its own, of several by name."""
        if len(self.values) == 1 and not self.absent:
            return asdict(self.values[0])
        each = {value.name: asdict(value) for value in self.values}
        return {"nrmse": self.nrmse, "values": each, "absent": list(self.absent)}

    @property
    def nrmse(self) -> float | None:
        """Mean of rmse / spread over values that vary: 1 is to say their mean always."""
        parts = [v.rmse / v.spread for v in self.values if v.spread]
        return math.fsum(parts) / len(parts) if parts else None

    @property
    def main(self) -> tuple[str, float]:
        """Name and value of the figure that is watched."""
        if len(self.values) == 1 or self.nrmse is None:
            return "mae", self.values[0].mae
        return "nrmse", self.nrmse

    @property
    def history(self) -> dict[str, float | None]:
        """What the history of a training keeps."""
        if len(self.values) == 1:
            (one,) = self.values
            return {"mae": one.mae, "rmse": one.rmse, "r2": one.r2}
        return {"nrmse": self.nrmse, **{f"rmse {v.name}": v.rmse for v in self.values}}


def evaluate_values(
    sequences: Sequence[DecisionSequence],
    values: Sequence[np.ndarray],
    names: Sequence[str],
    units: Sequence[str] = (),
    resamples: int = 0,
) -> ValuesEvaluation:
    """Compare estimated values with true ones.

    Args:
        sequences: Decisions with labels (D, V) float64; NaN is not judged.
        values: (D, V) of each, in their units.
        names: Of the values.
        units: Of them; () where they have none.
        resamples: Bootstrap samples of subjects for the intervals.

    Raises:
        DataError: No decision has a true value.
    """
    found, absent = [], []
    for at, (name, unit) in enumerate(zip(names, units or ("",) * len(names), strict=True)):
        mine = [replace(s, labels=s.labels[:, at]) for s in sequences]
        judged = _evaluate(mine, [v[:, at] for v in values], name, unit, resamples)
        if judged is None:
            absent.append(name)
        else:
            found.append(judged)
    if not found:
        raise DataError(f"no decision has a value of {', '.join(names)}; nothing to evaluate")
    return ValuesEvaluation(tuple(found), tuple(absent))


def _evaluate(
    sequences: Sequence[DecisionSequence],
    values: Sequence[np.ndarray],
    name: str,
    unit: str,
    resamples: int,
) -> ValueEvaluation | None:
    """Return the errors of one value, labels and values (D,); None where no label is known."""
    known = [np.isfinite(s.labels) for s in sequences]
    true = [s.labels[k] for s, k in zip(sequences, known, strict=True)]
    every = np.concatenate([*true, np.zeros(0)])
    if not every.size:
        return None
    centre = float(every.mean())
    sums = np.array(
        [_sums(t - centre, v[k] - t) for t, v, k in zip(true, values, known, strict=True)]
    )
    people = sorted({s.patient for s in sequences})
    by_person = np.array(
        [sum(row for row, s in zip(sums, sequences, strict=True) if s.patient == p) for p in people]
    )
    whole = _figures(sums.sum(0))
    return ValueEvaluation(
        name,
        unit,
        **asdict(whole),
        spread=float(every.std()),
        intervals=_intervals(by_person, resamples),
        subjects=_named(zip(people, people, by_person, strict=True)),
        records=_named((s.name, s.patient, row) for s, row in zip(sequences, sums, strict=True)),
    )


def _sums(true: np.ndarray, error: np.ndarray) -> list[float]:
    """Return n and the sums of y, y^2, e, |e| and e^2."""
    parts = (true, true**2, error, np.abs(error), error**2)
    return [float(len(true)), *(float(part.sum()) for part in parts)]


def _figures(sums: np.ndarray) -> ValueFigures:
    n, y, yy, e, absolute, ee = sums.tolist()
    varied = yy - y * y / n
    r2 = 1 - ee / varied if varied > 1e-12 * max(yy, 1e-300) else None
    return ValueFigures(int(n), absolute / n, (ee / n) ** 0.5, r2, e / n)


def _named(rows: Iterable[tuple[str, str, np.ndarray]]) -> tuple[NamedFigures, ...]:
    """Return the figures of those that have any decision."""
    return tuple(
        NamedFigures(name, patient, **asdict(_figures(sums)))
        for name, patient, sums in rows
        if sums[0]
    )


def _intervals(sums: np.ndarray, resamples: int) -> dict[str, tuple[float, float]]:
    """Return intervals of figures over subjects drawn with replacement."""
    if not resamples:
        return {}
    rng = np.random.default_rng(0)
    picks = rng.integers(len(sums), size=(resamples, len(sums)))
    drawn = [_figures(total) for total in sums[picks].sum(1) if total[0]]
    found: dict[str, tuple[float, float]] = {}
    for key in ("mae", "rmse", "r2", "bias"):
        told = [v for f in drawn if (v := getattr(f, key)) is not None]
        if told:
            low, high = np.percentile(told, INTERVAL)
            found[key] = float(low), float(high)
    return found

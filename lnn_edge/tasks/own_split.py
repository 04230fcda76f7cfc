"""Own recordings parted by who was recorded, or by their folders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lnn_edge.errors import DataError
from lnn_edge.tasks.own_records import OwnData, OwnFacts

FOLD_COUNT = 5
TEST, VALIDATION = "test", "validation"
By = Literal["subject", "folder"]


@dataclass(frozen=True)
class Parts:
    """Recordings to learn from, and those held out to watch."""

    training: OwnData
    held_out: OwnData


def divide(own: OwnData, by: By, fold: int | None) -> Parts:
    """Return what to learn from and what to hold out.

    By subject: every FOLD_COUNT-th subject is held out in a fold; None learns from all. Records of
    a published test part are never learned from. By folder: those in a folder `validation` are
    held out, those in `test` left.

    Raises:
        DataError: There is no such fold or too few subjects, nothing is left to learn from, or one
            subject is on both sides.
    """
    place = {f.name: f.place if by == "folder" else f.part for f in own.facts}
    learned = [f for f in own.facts if place[f.name] != TEST]
    if by == "folder":
        held = {f.name for f in learned if place[f.name] == VALIDATION}
    else:
        held = _of_fold(learned, fold)
    training = own.take(lambda f: place[f.name] != TEST and f.name not in held)
    if not training.facts:
        raise DataError("no recording is left to learn from; choose another split")
    learned_names = {f.name for f in training.facts}
    check_leaks(training.facts, [f for f in own.facts if f.name not in learned_names])
    return Parts(training, own.take(lambda f: f.name in held))


def _of_fold(facts: Sequence[OwnFacts], fold: int | None) -> set[str]:
    if fold is None:
        return set()
    subjects = sorted({f.subject for f in facts})
    count = min(FOLD_COUNT, len(subjects))
    if count < 2 or not 0 <= fold < count:
        raise DataError(
            f"there is no fold {fold} of {len(subjects)} subjects; take 0 to {max(count - 1, 0)}, "
            "of two subjects or more"
        )
    held = set(subjects[fold::count])
    return {f.name for f in facts if f.subject in held}


def check_leaks(training: Sequence[OwnFacts], others: Sequence[OwnFacts]) -> None:
    """Refuse a subject, or a recording under two names, on both sides of a split.

    Raises:
        DataError: There is one.
    """
    subjects = {f.subject: f.name for f in training}
    signals = {f.digest: f.name for f in training}
    for other in others:
        if other.subject in subjects:
            raise DataError(
                f"subject {other.subject} is on both sides of the split, in {other.name} and in "
                f"{subjects[other.subject]}; figures would say nothing of other people: split by "
                "subject"
            )
        if other.digest in signals:
            raise DataError(
                f"{other.name} and {signals[other.digest]} hold the same signal and are on both "
                "sides of the split; delete one of them"
            )


def counted(parts: Parts) -> str:
    """Say how many recordings, subjects and minutes are on each side."""
    said = []
    for name, own in (("training", parts.training), ("held out", parts.held_out)):
        minutes = math.fsum(f.duration_s for f in own.facts) / 60
        people = len({f.subject for f in own.facts})
        said.append(f"{name}: {len(own.facts)} of {people} subjects, {minutes:,.1f} minutes")
    return "; ".join(said)

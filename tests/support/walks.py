"""Labelled motion for the small graphs that fire on frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.support.toy import motion


@dataclass(frozen=True, eq=False)
class Walk:
    """Random frames of three axes; what is right by turns of 20 frames."""

    name: str
    frames: np.ndarray
    patient: str = "p"
    classes: tuple[str, ...] = ("still", "walk", "run")

    @property
    def events(self) -> np.ndarray:
        return np.zeros(0, np.int64)

    def labels_at(self, stamps: np.ndarray) -> np.ndarray:
        return stamps // 20 % len(self.classes)

    targets_at = labels_at


def walks(count: int = 2, frames: int = 90) -> list[Walk]:
    return [Walk(f"walk{i}", motion(i, frames)) for i in range(count)]

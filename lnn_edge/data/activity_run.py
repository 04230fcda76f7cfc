"""One continuous recording of what a person does, and the contract that models expect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE_HZ = 50
CLASSES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
UNITS = ("g",) * 3 + ("rad/s",) * 3
ACC_STEPS_PER_G = 720.0
GYRO_STEPS_PER_RAD_S = 1 / 0.00030543
SCALES = (1 / ACC_STEPS_PER_G,) * 3 + (1 / GYRO_STEPS_PER_RAD_S,) * 3
WINDOW = 128  # samples of an official window, 2.56 s, half of it shared with the next one
SETTLING = 32  # samples after a change that no decision learns from
NOT_SCORED = -1  # transitions between postures, and samples outside any activity


@dataclass(frozen=True, eq=False)
class ActivityRun:
    """One continuous recording of a person with the phone at the waist.

    Attributes:
        name: "run" and its number.
        subject: Number of the person, 1 to 30.
        frames: (N, 6) int16, sensor steps in the order of CHANNELS; physical units are
            frames * SCALES: g (gravity included) and rad/s.
        labels: (N,) int8 index into CLASSES of every sample, or NOT_SCORED.
        window_starts: (W,) int64 first samples of the official windows of the six activities.
        window_labels: (W,) int8 indices into CLASSES.
    """

    name: str
    subject: int
    frames: np.ndarray
    labels: np.ndarray
    window_starts: np.ndarray
    window_labels: np.ndarray

    @property
    def patient(self) -> str:
        """Who was recorded."""
        return f"subject{self.subject:02d}"

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels mean."""
        return CLASSES

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the channels."""
        return CHANNELS

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.frames) / RATE_HZ

    @property
    def events(self) -> np.ndarray:
        """None: frames decide."""
        return np.zeros(0, np.int64)

    def labels_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the labels by which decisions at ascending stamps are judged, int64.

        The last decision at or before the end of an official window stands for that window; a
        decision that stands for none is NOT_SCORED.
        """
        labels = np.full(len(stamps), NOT_SCORED, np.int64)
        last = np.searchsorted(stamps, self.window_starts + WINDOW - 1, side="right") - 1
        inside = last >= 0
        inside[inside] = stamps[last[inside]] >= self.window_starts[inside]
        labels[last[inside]] = self.window_labels[inside]
        return labels

    def targets_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the activity at stamps, int64; NOT_SCORED within SETTLING samples of a change."""
        earlier = self.labels[np.maximum(stamps - SETTLING, 0)]
        now = self.labels[stamps].astype(np.int64)
        return np.where(earlier == now, now, NOT_SCORED)

    def count(self) -> dict[str, int]:
        """Count the official windows per class."""
        return {c: int((self.window_labels == i).sum()) for i, c in enumerate(CLASSES)}

"""One 12-lead ECG with findings on the whole of it, and the contract that models expect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn_edge.errors import DataError

RATE_HZ = 500
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
GAIN = 1000.0  # steps per mV
CLASSES = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
PRESENT, ABSENT, UNKNOWN = 1, 0, -1


@dataclass(frozen=True, eq=False)
class DiagnosisRecord:
    """One ECG of twelve leads.

    Attributes:
        name: Name of the recording.
        patient: Who was recorded.
        frames: (N, 12) int16 in steps of a microvolt, 500 Hz, in the order of LEADS.
        findings: (6,) int8 over CLASSES: PRESENT, ABSENT, or UNKNOWN where it was not looked for.
    """

    name: str
    patient: str
    frames: np.ndarray
    findings: np.ndarray

    def __post_init__(self) -> None:
        """Check shapes and values.

        Raises:
            DataError: They do not fit.
        """
        if self.frames.dtype != np.int16 or self.frames.shape[1:] != (len(LEADS),):
            raise DataError(
                f"record {self.name}: samples must be int16 (N, {len(LEADS)}), not "
                f"{self.frames.dtype} {self.frames.shape}"
            )
        known = np.isin(self.findings, (PRESENT, ABSENT, UNKNOWN)).all()
        if self.findings.shape != (len(CLASSES),) or not known:
            raise DataError(
                f"record {self.name}: findings must be {len(CLASSES)} of 1 (present), 0 "
                f"(absent) and -1 (unknown), not {self.findings.tolist()}"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """What the findings mean."""
        return CLASSES

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the channels."""
        return LEADS

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.frames) / RATE_HZ

    @property
    def events(self) -> np.ndarray:
        """None: frames decide."""
        return np.zeros(0, np.int64)

    def labels_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the findings at stamps, (D, 6) int64: those of the record."""
        return np.tile(self.findings.astype(np.int64), (len(stamps), 1))

    def targets_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the findings to learn, which are those to be judged by."""
        return self.labels_at(stamps)

    def count(self) -> dict[str, int]:
        """Return 1 for each finding that is present."""
        return {c: int(f == PRESENT) for c, f in zip(CLASSES, self.findings, strict=True)}

"""12-lead ECGs with findings on the whole of them: what the data sets of them share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lnn_edge.data.record import Channel, Record

RATE_HZ = 500
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
GAIN = 1000.0  # steps per mV
FINDINGS = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
_CHANNELS = tuple(Channel(name, "mV", GAIN) for name in LEADS)


def ecg(name: str, subject: str, frames: np.ndarray, findings: Mapping[str, bool | None]) -> Record:
    """Return a record.

    Args:
        name: Of the record.
        subject: Who was recorded.
        frames: (N, 12) int16 in steps of a microvolt, 500 Hz, in the order of LEADS.
        findings: Whether each is there; None where nothing tells.

    Raises:
        DataError: The frames do not fit.
    """
    return Record(
        name,
        subject,
        frames,
        float(RATE_HZ),
        _CHANNELS,
        labels=tuple(f for f, there in findings.items() if there),
        unknown=tuple(f for f, there in findings.items() if there is None),
    )

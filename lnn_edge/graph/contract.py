"""What a user of a model's inputs and outputs must know, as the metadata of its graph say it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from lnn_edge.errors import GraphError
from lnn_edge.files import tables
from lnn_edge.files.names import check_text
from lnn_edge.graph.fixed import RANGES

_LIMITS: dict[str, tuple[float, float]] = {
    "sample_rate_hz": (1e-3, 1e6),
    "adc_gain": (1e-9, 1e9),
    "adc_zero": RANGES["int16"],
    "dt": (1e-9, 1e9),
}
# Of tasks that come with the package graphs tell the name alone, of others all in `task_file`.
_MULTI_LABEL = ("findings",)
_EVENTS = {"beats": "R peak"}


@dataclass(frozen=True)
class Contract:
    """The part of the metadata that has a meaning. None and empty: not recorded.

    Attributes:
        classes: Names of the scores; none where no output is scores.
        task: Name of what the classes are of.
        task_file: The task as a document, of one that its name does not tell.
        sample_rate_hz: Frames a second.
        leads: Names of the channels of a frame.
        units: Their units; those of the training data where they are not recorded.
        adc_gain: Steps per mV of every channel.
        adc_zero: Sample that means 0 mV.
        dt: Elapsed time between frames in seconds, constant, or "input": each frame's last channel.
        unlearned: Classes of which no training data told, so that their scores mean nothing.
        calibration_records: Names of the recordings that the ranges were taken from.
    """

    classes: tuple[str, ...] = ()
    task: str | None = None
    task_file: dict[str, object] | None = None
    sample_rate_hz: float | None = None
    leads: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    adc_gain: float | None = None
    adc_zero: int = 0
    dt: float | Literal["input"] | None = None
    unlearned: tuple[str, ...] | None = None
    calibration_records: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what does not depend on the graph."""
        for key, (low, high) in _LIMITS.items():
            value = getattr(self, key)
            if isinstance(value, (int, float)) and not low <= value <= high:
                raise GraphError(f"metadata: {key} must be {low:g} to {high:g}, not {value:g}")
        if len(set(self.classes)) != len(self.classes):
            raise GraphError(f"metadata: two of the classes {', '.join(self.classes)} are alike")
        strange = set(self.unlearned or ()) - set(self.classes)
        if strange:
            raise GraphError(f"metadata: unlearned {min(strange)!r} is none of the classes")

    @property
    def is_multi_label(self) -> bool:
        """Whether every class is judged by itself, or else exactly one is decided for."""
        if self.task_file is None:
            return self.task in _MULTI_LABEL
        return self._told("labels", "kind") == "multi-label"

    @property
    def event(self) -> str:
        """What a model that decides on events waits for."""
        if self.task_file is None:
            return _EVENTS.get(self.task or "", "event")
        return str(self._told("words", "event") or "event")

    def _told(self, table: str, key: str) -> object:
        found = (self.task_file or {}).get(table)
        return found.get(key) if isinstance(found, Mapping) else None


def contract_of(metadata: object) -> Contract:
    """Return the contract in a graph's metadata.

    Raises:
        GraphError: They are no JSON object, or a key has a wrong type or value.
    """
    if not isinstance(metadata, Mapping):
        raise GraphError(f"metadata must be an object, not a {type(metadata).__name__}")
    _check_json("metadata", metadata)
    known = {f.name for f in fields(Contract)}
    values = {k: v for k, v in metadata.items() if k in known}
    return tables.build(Contract, values, "metadata", GraphError)


def _check_json(where: str, value: object) -> None:
    """Refuse anything but JSON, and text that could not be shown on one line."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            check_text(f"{where}: key", key)
            _check_json(f"{where}: {key}", inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_json(where, inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise GraphError(f"{where} must be a finite number, not {value}")
    elif value is not None and not isinstance(value, (bool, int, float)):
        check_text(where, value)

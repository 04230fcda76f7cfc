"""What a finished trial leaves: labels and scores of all that was held out, as one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np

from lnn_edge.files.archives import archive_of, members_of
from lnn_edge.files.arrays import array_of, npy_of
from lnn_edge.graph.sim.predict import DecisionSequence

Form = Literal["float", "integer", "float beside", "integer beside"]
"""By what is judged; "beside": on what is held out of the data set beside the recipe's own."""
LARGEST_BYTES = 1 << 30
_FACTS = "outcome.json"
_ARRAYS = ("stamps", "labels", "scores")


@dataclass(frozen=True, eq=False)
class Judged:
    """Decisions with their labels, and scores.

    Attributes:
        sequences: Of each recording; no values.
        scores: (D, classes) of each.
    """

    sequences: tuple[DecisionSequence, ...]
    scores: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, sequences: Sequence[DecisionSequence], scores: Sequence[np.ndarray]) -> Judged:
        """Return decisions without what they were made from."""
        bare = (DecisionSequence(s.name, s.patient, s.stamps, s.labels, {}) for s in sequences)
        return cls(tuple(bare), tuple(scores))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All recordings one after another."""
        columns = ([s.stamps for s in self.sequences], [s.labels for s in self.sequences])
        parts = zip(_ARRAYS, (*columns, self.scores), strict=True)
        return {name: np.concatenate(those) for name, those in parts}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a trial.

    Attributes:
        forms: Judged by floats and by integers; empty where it failed.
        failure: Why these settings cannot be trained, or "".
    """

    forms: Mapping[Form, Judged] = field(default_factory=dict)
    failure: str = ""

    def to_bytes(self) -> bytes:
        """Return an archive, the same for the same outcome."""
        records = {
            form: [(s.name, s.patient, len(s.stamps)) for s in judged.sequences]
            for form, judged in self.forms.items()
        }
        facts = json.dumps({"failure": self.failure, "records": records})
        arrays = {
            f"{form}/{name}.npy": npy_of(array)
            for form, judged in self.forms.items()
            for name, array in judged.arrays.items()
        }
        return archive_of({_FACTS: facts.encode(), **arrays})


def outcome_of(data: bytes) -> Outcome:
    """Return the outcome in an archive.

    Raises:
        ValueError: It is damaged.
    """
    members = members_of(data, LARGEST_BYTES)
    try:
        facts = json.loads(members[_FACTS])
        forms = {
            cast(Form, form): _judged(
                [(str(name), str(patient), int(count)) for name, patient, count in records],
                [array_of(members[f"{form}/{name}.npy"]) for name in _ARRAYS],
            )
            for form, records in facts["records"].items()
        }
        return Outcome(forms, str(facts["failure"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _judged(records: list[tuple[str, str, int]], arrays: list[np.ndarray]) -> Judged:
    counts = [count for _, _, count in records]
    if any(len(array) != sum(counts) for array in arrays):
        raise ValueError("its arrays are not as long as its recordings")
    ends = np.cumsum(counts)[:-1]
    rows = zip(records, *(np.split(array, ends) for array in arrays), strict=True)
    found = [
        (DecisionSequence(name, patient, stamps, labels, {}), scores)
        for (name, patient, _), stamps, labels, scores in rows
    ]
    return Judged(tuple(s for s, _ in found), tuple(v for _, v in found))

"""What the tests of sweeps share: four people who walk and rest, and a network of a second."""

from __future__ import annotations

from pathlib import Path

from lnn_edge.data.readers.reader import Hints
from lnn_edge.sweep.plan import Asked
from lnn_edge.sweep.trial import Recordings
from lnn_edge.tasks.own_data import Source
from tests.cli.test_own_data import write_walks

HINTS = Hints(label_column="what", subject_column="who")
COLUMNS = ("--label-column", "what", "--subject-column", "who")
SMALL = (
    "filters=[8,8,8]",
    "embedding_size=12",
    "model.dropout=0.0",
    "training.epochs=12",
    "training.batch_size=4",
    "training.average_decay=0.5",
    "training.learning_rate=0.02",
)


def asked(walks: Path, *choices: str) -> Asked:
    """Return a sweep over two folds, of one seed."""
    given = Recordings(Source(walks, HINTS))
    return Asked("har-cfc", given, (*SMALL, *choices), folds=2)


__all__ = ["COLUMNS", "HINTS", "SMALL", "asked", "write_walks"]

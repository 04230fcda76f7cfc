"""The folder of a sweep: a file for each finished trial, named by its hash, and their inputs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.errors import DataError
from lnn_edge.files.read import read_whole
from lnn_edge.files.write import OWN, write_whole
from lnn_edge.sweep.outcome import LARGEST_BYTES, Outcome, outcome_of
from lnn_edge.sweep.trial import Trial

FOLDER = "trials"  # in that of the sweep
PREPARED = f"{OWN}-prepared"  # the same


@dataclass(frozen=True)
class Kept:
    """The folder of a sweep, as the place of its finished trials."""

    folder: Path

    @property
    def prepared(self) -> Path:
        """Where the inputs of networks lie while trials run."""
        return self.folder.absolute() / PREPARED

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Have a folder for inputs; once trials are finished it is deleted, by an error not."""
        self.prepared.mkdir(exist_ok=True)
        yield
        shutil.rmtree(self.prepared, ignore_errors=True)

    def path(self, key: str) -> Path:
        """Return where the trial of a key lies once it is finished."""
        return self.folder / FOLDER / f"{key}.npz"

    def has(self, trial: Trial) -> bool:
        """Return whether a trial is finished."""
        return self.path(trial.key).is_file()

    def put(self, key: str, data: bytes) -> None:
        """Write the outcome of a trial, whole or not at all."""
        path = self.path(key)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, data)

    def get(self, trial: Trial) -> Outcome:
        """Read the outcome of a finished trial.

        Raises:
            DataError: Its file is damaged.
        """
        path = self.path(trial.key)
        try:
            return outcome_of(read_whole(path, LARGEST_BYTES))
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}); delete it, and sweep again") from None

"""What a training saw after each epoch: `history.csv` beside its model. No torch here."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.errors import DataError
from lnn_edge.files.read import read_whole

HISTORY = "history.csv"
LARGEST_BYTES = 1 << 22
_ALWAYS = ("epoch", "loss", "learning_rate")


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    Attributes:
        epoch: Epochs done, from 1 on.
        loss: Mean loss of its steps.
        learning_rate: At its end.
        metrics: Of the averaged weights on the recordings held out: `validation_loss` and figures
            between 0 and 1; empty without such recordings.
    """

    epoch: int
    loss: float
    learning_rate: float
    metrics: Mapping[str, float]


def history_csv(epochs: Sequence[Epoch]) -> str:
    """Return a line per epoch under a head; floats are written so that they read back exactly."""
    names = list(dict.fromkeys(name for e in epochs for name in e.metrics))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_ALWAYS, *names])
    for e in epochs:
        metrics = (repr(e.metrics[name]) if name in e.metrics else "" for name in names)
        writer.writerow([e.epoch, repr(e.loss), repr(e.learning_rate), *metrics])
    return out.getvalue()


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Read a history; one that is not there is empty.

    Raises:
        DataError: It is damaged.
    """
    try:
        lines = read_whole(path, LARGEST_BYTES).decode().splitlines()
        return tuple(map(_epoch, csv.DictReader(lines, strict=True)))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}); delete it, or train again"
        ) from None


def _epoch(row: dict[str, str]) -> Epoch:
    """Return a row; a ValueError, TypeError or KeyError where it is not one of finite numbers."""
    numbers = {name: float(value) for name, value in row.items() if value != ""}
    strange = [name for name, value in numbers.items() if not math.isfinite(value)]
    if strange:
        raise ValueError(f"{strange[0]} is no finite number")
    epoch, loss, rate = (numbers.pop(name) for name in _ALWAYS)
    return Epoch(int(epoch), loss, rate, numbers)

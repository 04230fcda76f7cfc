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
from lnn_edge.files.reason import reason_of

HISTORY = "history.csv"
LARGEST_BYTES = 1 << 22
_ALWAYS = ("epoch", "loss", "learning_rate")
_KEPT = "kept"


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    Attributes:
        epoch: Epochs done, from 1 on.
        loss: Mean loss of its steps.
        learning_rate: At its end.
        metrics: Of the averaged weights on the recordings held out: `validation_loss` and figures
            of the task; empty without such recordings.
        is_kept: Whether the model has the weights of this epoch, chosen among all of them.
    """

    epoch: int
    loss: float
    learning_rate: float
    metrics: Mapping[str, float]
    is_kept: bool = False


def kept_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """Return the epoch whose weights the model has: the chosen one, or else the last."""
    return next((e for e in epochs if e.is_kept), epochs[-1])


def history_csv(epochs: Sequence[Epoch]) -> str:
    """Return a line per epoch under a head; floats are written so that they read back exactly."""
    names = list(dict.fromkeys(name for e in epochs for name in e.metrics))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    is_chosen = any(e.is_kept for e in epochs)
    writer.writerow([*_ALWAYS, *names, *([_KEPT] if is_chosen else [])])
    for e in epochs:
        metrics = (repr(e.metrics[name]) if name in e.metrics else "" for name in names)
        kept = [int(e.is_kept)] if is_chosen else []
        writer.writerow([e.epoch, repr(e.loss), repr(e.learning_rate), *metrics, *kept])
    return out.getvalue()


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Read a history; one that is not there is empty.

    Raises:
        DataError: It is damaged.
    """
    try:
        lines = read_whole(path, LARGEST_BYTES).decode().splitlines()
        return tuple(map(_epoch, csv.DictReader(lines, strict=True)))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f"{path} is damaged ({reason_of(error)}); delete it, or train again"
        ) from None


def _epoch(row: dict[str, str]) -> Epoch:
    """Return a row; a ValueError or TypeError where it is not one of finite numbers."""
    numbers = {name: float(value) for name, value in row.items() if value != ""}
    strange = [name for name, value in numbers.items() if not math.isfinite(value)]
    if strange:
        raise ValueError(f"{strange[0]} is no finite number")
    missing = [name for name in _ALWAYS if name not in numbers]
    if missing:
        raise ValueError(f"an epoch has no {missing[0]}")
    epoch, loss, rate = (numbers.pop(name) for name in _ALWAYS)
    is_kept = bool(numbers.pop(_KEPT, 0))
    return Epoch(int(epoch), loss, rate, numbers, is_kept)

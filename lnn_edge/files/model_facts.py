"""What a shipped model is for, how good it is and what it takes: facts.toml beside its graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lnn_edge.errors import DataError
from lnn_edge.files import tables
from lnn_edge.files.read import read_toml

FACTS = "facts.toml"
FORMAT = 1


@dataclass(frozen=True)
class Accuracy:
    """One figure.

    Attributes:
        figure: What it is.
        value: Between 0 and 1.
        low: Lower bound of its 95 % interval over patients.
        high: Upper bound.
        dataset: Over which recordings.
        split: Which of them, and how the model came to see the others only.
    """

    figure: str
    value: float
    dataset: str
    split: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class OnBoard:
    """What the whole firmware takes on a board that it fits.

    Attributes:
        board: Its name.
        flash_bytes: Code, constants and initial values.
        ram_bytes: Variables and the model.
        stack_bytes: Worst case.
    """

    board: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class Measured:
    """What scripts/measure_models.py measured.

    Attributes:
        graph_sha256: Of the graph.
        compiler: That built it.
        counted_on: Board whose instructions were counted, exactly, by emulation.
        dataset: Recordings that it was fed.
        decisions: How many of them.
        instructions_per_decision: Mean of the decision alone.
        instructions_with_samples: The same with the samples since the decision before.
        boards: Those that it fits; the first is the one that figures are quoted of.
    """

    graph_sha256: str
    compiler: str
    counted_on: str
    dataset: str
    decisions: int
    instructions_per_decision: int
    instructions_with_samples: int
    boards: tuple[OnBoard, ...]


@dataclass(frozen=True)
class ModelFacts:
    """The facts of one model.

    Attributes:
        summary: What it is for, in a line.
        reads: What it must be fed.
        decides: What it says, and when.
        licence: Of the model, and of the data that it learned from.
        caveat: What must be known before it is used.
        accuracy: The main figure first.
        measured: What it takes; None before it was measured.
        format: Of the file.
    """

    summary: str
    reads: str
    decides: str
    licence: str
    caveat: str
    accuracy: tuple[Accuracy, ...]
    measured: Measured | None = None
    format: int = FORMAT

    @property
    def fits(self) -> tuple[str, ...]:
        """Names of the boards that it fits."""
        return tuple(b.board for b in self.measured.boards) if self.measured else ()


def read_facts(folder: Path) -> ModelFacts:
    """Read the facts of the model in a folder.

    Raises:
        DataError: They are missing or damaged.
    """
    path = folder / FACTS
    try:
        values = read_toml(path)
    except OSError as error:
        reason = error.strerror
        raise DataError(f"{path} cannot be read ({reason}); install lnn-edge again") from None
    except ValueError as error:
        raise DataError(f"{path} is no TOML ({error}); install lnn-edge again") from None
    return tables.build(ModelFacts, values, str(path), DataError)

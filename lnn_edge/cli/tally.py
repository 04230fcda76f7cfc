"""What `lnn-edge predict` counts, and tells on stderr in the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from lnn_edge.errors import DataError

if TYPE_CHECKING:
    from lnn_edge.data.changes import Changes
    from lnn_edge.tasks.predicted import Predicted


@dataclass
class Tally:
    """Adds up what is told on stderr in the end."""

    recordings: int = 0
    decisions: int = 0
    undecided: int = 0
    unclassifiable: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    changes: list[Changes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    named: int = 0

    def add(self, predicted: Predicted) -> None:
        """Count a recording; those refused before it are named now."""
        self.name_refused()
        self.recordings += 1
        self.undecided += not len(predicted.stamps)
        self.decisions += len(predicted.stamps)
        self.counts.update(predicted.counts())
        if predicted.answer.flaws is not None:
            found = int(predicted.is_unclassifiable.sum())
            self.unclassifiable = (self.unclassifiable or 0) + found
        self.changes.append(predicted.changes)

    def refuse(self, name: str, error: DataError) -> None:
        """Keep why a recording cannot be used."""
        self.refused.append(f"{name}: {' '.join(str(error).splitlines())}")

    def name_refused(self) -> None:
        """Print those that were not named yet."""
        for line in self.refused[self.named :]:
            click.echo(f"skipped {line}", err=True)
        self.named = len(self.refused)

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        from lnn_edge.data.changes import together

        judged = {} if self.unclassifiable is None else {"unclassifiable": self.unclassifiable}
        return {
            "recordings": self.recordings,
            "decisions": self.decisions,
            "undecided": self.undecided,
            **judged,
            "classes": dict(self.counts.most_common()),
            "changes": together(self.changes).summary(),
            "refused": self.refused,
        }

    def show(self) -> None:
        """Print it to stderr."""
        from lnn_edge.data.changes import together

        for line in together(self.changes).lines():
            click.echo(line, err=True)
        found = ", ".join(f"{name} {count:,}" for name, count in self.counts.most_common())
        of = f"{self.recordings:,} recordings, {self.decisions:,} decisions"
        click.echo(f"{of}: {found}" if found else of, err=True)
        if self.unclassifiable is not None:
            click.echo(f"{self.unclassifiable:,} decisions are unclassifiable", err=True)
        if self.undecided:
            click.echo(f"{self.undecided:,} recordings are too short for a decision", err=True)

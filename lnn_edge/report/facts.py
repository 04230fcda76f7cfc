"""What a report tells: gathered from a project's files and the integer simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lnn_edge.build.project import Project, open_project
from lnn_edge.build.record import fresh_image
from lnn_edge.graph.file import graph_sha256
from lnn_edge.report.built import BuildFacts, build_facts
from lnn_edge.report.held_out import HeldOut, held_out
from lnn_edge.report.links import LinkFacts, read_links
from lnn_edge.report.played import Played, play
from lnn_edge.report.predictions import (
    MOST_SHOWN,
    Prediction,
    RecordFindings,
    evaluation_of,
    findings_of,
    predict,
)
from lnn_edge.tasks.judge import Figures
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.learned import Overlap, is_invented, learned_by_graph, overlap
from lnn_edge.tasks.registry import task_of
from lnn_edge.tasks.task import Words


@dataclass(frozen=True)
class Report:
    """Everything that a report tells.

    Attributes:
        project: The exported project.
        model_sha256: Hash of its graph.
        predictions: Of the recordings judged; empty where their labels are not the model's.
        evaluation: Figures over them, None without predictions or where they would mean nothing.
        trained_on: Which of the recordings the model learned from; None without recordings.
        findings: Of the recordings, where the model scores findings.
        played: Reference sequences of a model that is shown no recordings.
        held_out: What is known of the model beyond all these.
        links: Verifications of this graph and this build, by name of their link.
        outdated: Links verified with another graph or another build.
        build: None if the project is not built.
        given: Where the recordings are from, if a user named them; "" if the task did.
    """

    project: Project
    model_sha256: str
    predictions: tuple[Prediction, ...]
    evaluation: Figures | None
    trained_on: Overlap | None
    findings: tuple[RecordFindings, ...]
    played: tuple[Played, ...]
    held_out: HeldOut
    links: tuple[LinkFacts, ...]
    outdated: tuple[str, ...]
    build: BuildFacts | None
    given: str = ""

    @property
    def shown(self) -> tuple[Prediction, ...]:
        """Those that are drawn."""
        return self.predictions[:MOST_SHOWN]

    @property
    def words(self) -> Words:
        """How the model's task speaks; plainly where nothing of a task is shown."""
        task = task_of(self.project.graph.metadata) if self.predictions else None
        words = Words() if task is None else task.words
        return replace(words, choice="", source=f"From {self.given}.") if self.given else words

    @property
    def is_failed(self) -> bool:
        """Whether a verification or a budget failed."""
        over = self.build is not None and bool(self.build.budget_failures)
        return over or any(link.failures for link in self.links)

    @property
    def is_run(self) -> bool:
        """Whether the firmware itself was verified, and not only the model's C on the host."""
        return any(link.kind != "host" for link in self.links)

    @property
    def is_proved(self) -> bool:
        """Whether it is built, within its budgets and bit-exact on every link that was tried."""
        return self.build is not None and self.is_run and not self.is_failed

    @property
    def profiled(self) -> LinkFacts | None:
        """The first verification that counted instructions by function."""
        return next((link for link in self.links if link.functions), None)


def collect(
    folder: Path, recordings: Sequence[Labelled], dataset: str | None = None, given: str = ""
) -> Report:
    """Gather a project's facts and run its model over recordings.

    Args:
        folder: What `lnn-edge export` wrote, at best built and verified.
        recordings: In the model's contract.
        dataset: Where they are from, as of verify.verify_project.
        given: See Report.

    Raises:
        UsageError: The folder is no export, or one of its files is damaged.
    """
    project = open_project(folder)
    graph = project.graph
    digest = graph_sha256(graph)
    built = build_facts(project)  # first: this makes a stale build fresh
    images = {preset: fresh_image(folder, preset) for preset in ("host", "board")}
    predictions = predict(graph, recordings)
    is_empty = dataset is not None and is_invented(dataset, graph)
    links = read_links(folder)
    learned = learned_by_graph(graph, project.floats)

    def is_current(link: LinkFacts) -> bool:
        image = images["host" if link.kind == "host" else "board"]
        return link.model_sha256 == digest and link.firmware_sha256 == image is not None

    return Report(
        project,
        digest,
        predictions,
        None if is_empty else evaluation_of(graph, predictions),
        None if dataset is None else overlap(learned, dataset, recordings),
        findings_of(predictions),
        () if predictions else play(graph),
        held_out(project.floats, graph),
        tuple(link for link in links if is_current(link)),
        tuple(link.link for link in links if not is_current(link)),
        built,
        given,
    )

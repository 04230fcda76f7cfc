"""What a report tells: gathered from a project's files and the integer simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from lnn_edge.build.cmake import build
from lnn_edge.build.project import Project, open_project
from lnn_edge.build.record import file_sha256, fresh_image, is_built
from lnn_edge.build.size import OperatorSize
from lnn_edge.device.counters import DecisionCost, LargestCall
from lnn_edge.errors import UsageError
from lnn_edge.files.names import shown
from lnn_edge.files.read import read_json
from lnn_edge.graph.fidelity import error_text
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.report.task import task_words
from lnn_edge.tasks.judge import judge
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.learned import Overlap, is_invented, learned_by_graph, overlap
from lnn_edge.tasks.metrics.single_label import Evaluation, integer_scores
from lnn_edge.tasks.recordings import chosen_lead
from lnn_edge.tasks.registry import task_of
from lnn_edge.tasks.task import Words

RESAMPLES = 1000
_EMULATED = ("host", "virtual", "qemu")  # shown first, in this order

Facts = TypeVar("Facts")


@dataclass(frozen=True)
class OutputFacts:
    """What a verification saw of one output.

    Attributes:
        name: Of the output.
        mismatches: Decisions in which any bit of it differs.
        error: Its error against the float model, in words; None if unknown.
    """

    name: str
    mismatches: int
    error: str | None


@dataclass(frozen=True)
class LinkFacts:
    """One verification.

    Attributes:
        link: Name of the runner.
        model_sha256: Graph that was verified.
        firmware_sha256: Image that was verified, None if it is not known.
        records: Recordings streamed.
        steps: Decisions compared.
        mismatches: Decisions that differ in any bit.
        longest_run: Most decisions without a reset between them.
        first_mismatch: Where the first one lies, None without one.
        clock_source: "dwt", "instructions" or "none".
        core_clock_hz: As the device reports it.
        counts: Smallest, median and largest count of a step, None without a counter.
        counts_samples: Whether counts hold what the samples made the model compute.
        failures: One sentence for each thing that failed.
        warnings: One sentence for each thing that must be known and failed nothing.
        decision_cost: What a decision takes, None without a counter.
        largest_call: The most that a sample took, None without a counter.
        functions: Instructions retired in each function over all steps; empty if not counted.
        outputs: What it saw of each output; empty if it was made before outputs had names.
        clock_warnings: Why the device fell back to its slow clock; empty if it did not.
        reset_causes: Why it started last; empty where there is none to tell.
        is_image_good: Whether its flash holds what was built; None if unknown.
        stack_free_bytes: Of its stack, that nothing has written to; None if it does not tell.
    """

    link: str
    model_sha256: str
    firmware_sha256: str | None
    records: tuple[str, ...]
    steps: int
    mismatches: int
    longest_run: int
    first_mismatch: str | None
    clock_source: str
    core_clock_hz: int
    counts: tuple[int, int, int] | None
    counts_samples: bool
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    decision_cost: DecisionCost | None
    largest_call: LargestCall | None
    functions: dict[str, int]
    outputs: tuple[OutputFacts, ...]
    clock_warnings: tuple[str, ...]
    reset_causes: tuple[str, ...]
    is_image_good: bool | None
    stack_free_bytes: int | None

    @property
    def kind(self) -> str:
        """Name of the runner without its port."""
        return self.link.split(":")[0]

    @property
    def is_emulated(self) -> bool:
        """Whether no silicon took part."""
        return self.kind in _EMULATED

    @property
    def is_exact(self) -> bool:
        """Whether every decision was right in every bit."""
        return self.mismatches == 0 and self.steps > 0

    @property
    def per_step(self) -> dict[str, float]:
        """Mean instructions of each function per decision, most first; empty if not counted."""
        most = sorted(self.functions.items(), key=lambda item: (-item[1], item[0]))
        return {name: n / self.steps for name, n in most} if self.steps else {}


@dataclass(frozen=True)
class OperatorFacts:
    """Cost of one operator.

    Attributes:
        name: The operator.
        kind: What it computes.
        kernel: The kernel that computes it.
        function: Its C function.
        macs: Multiply-accumulates a step.
        code_bytes: Its function.
        const_bytes: Its constants.
        stack_bytes: With all it calls.
    """

    name: str
    kind: str
    kernel: str
    function: str
    macs: int
    code_bytes: int
    const_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class BuildFacts:
    """What the build measured.

    Attributes:
        flash_bytes: Image of code, constants and initial values.
        ram_bytes: Variables and the model's context, without the stack.
        stack_bytes: Worst case of the stack.
        sections: Bytes by linked section.
        used: Bytes in use of each memory.
        operators: In execution order.
        stack_path: Functions on the deepest way from reset.
        budget_failures: One sentence for each budget that is exceeded.
        elf_sha256: Hash of firmware.elf.
        compiler: As the compiler signed the ELF, "" if it did not.
        why: Why it was built for this report; None if a fresh build lay there.
    """

    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    sections: dict[str, int]
    used: dict[str, int]
    operators: tuple[OperatorFacts, ...]
    stack_path: tuple[str, ...]
    budget_failures: tuple[str, ...]
    elf_sha256: str
    compiler: str
    why: str | None


@dataclass(frozen=True)
class Prediction:
    """A recording and what the model says of it.

    Attributes:
        recording: The recording.
        decided: Class index by stamp of the decision.
    """

    recording: Labelled
    decided: dict[int, int]


@dataclass(frozen=True)
class RecordFindings:
    """What a model of findings says of a recording.

    Attributes:
        recording: The recording.
        probabilities: Of each class, of the mean score of all decisions.
        known: 1 present, 0 absent, -1 unknown, of each class.
    """

    recording: Labelled
    probabilities: tuple[float, ...]
    known: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """Everything that a report tells.

    Attributes:
        project: The exported project.
        model_sha256: Hash of its graph.
        predictions: Of the recordings shown; empty where their labels are not the model's.
        evaluation: Figures over them, None without predictions or where they would mean nothing.
        trained_on: Which of the recordings shown the model learned from; None without recordings.
        findings: Of the recordings shown, where the model scores findings.
        links: Verifications of this graph and this build, by name of their link.
        outdated: Links verified with another graph or another build.
        build: None if the project is not built.
    """

    project: Project
    model_sha256: str
    predictions: tuple[Prediction, ...]
    evaluation: Evaluation | None
    trained_on: Overlap | None
    findings: tuple[RecordFindings, ...]
    links: tuple[LinkFacts, ...]
    outdated: tuple[str, ...]
    build: BuildFacts | None

    @property
    def words(self) -> Words:
        """How the model's task speaks."""
        return task_words(self.project.graph)

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


def collect(folder: Path, recordings: Sequence[Labelled], dataset: str | None = None) -> Report:
    """Gather a project's facts and run its model over recordings.

    Args:
        folder: What `lnn-edge export` wrote, at best built and verified.
        recordings: In the model's contract.
        dataset: Where they are from, as of verify.verify_project.

    Raises:
        UsageError: The folder is no export, or one of its files is damaged.
    """
    project = open_project(folder)
    graph = project.graph
    digest = graph_sha256(graph)
    built = _build(project)  # first: this makes a stale build fresh
    images = {preset: fresh_image(folder, preset) for preset in ("host", "board")}
    predictions, evaluation = _predict(project, recordings)
    if dataset is not None and is_invented(dataset, graph):
        evaluation = None
    again = f"run `lnn-edge verify {folder}` again"
    links = [_read(path, _link, again) for path in sorted(folder.glob("verify-*.json"))]
    links.sort(key=lambda x: (_EMULATED.index(x.kind) if x.is_emulated else len(_EMULATED), x.link))

    def is_current(link: LinkFacts) -> bool:
        image = images["host" if link.kind == "host" else "board"]
        return link.model_sha256 == digest and link.firmware_sha256 == image is not None

    return Report(
        project,
        digest,
        predictions,
        evaluation,
        None if dataset is None else overlap(learned_by_graph(graph), dataset, recordings),
        _findings(project, recordings),
        tuple(link for link in links if is_current(link)),
        tuple(link.link for link in links if not is_current(link)),
        built,
    )


def _predict(
    project: Project, recordings: Sequence[Labelled]
) -> tuple[tuple[Prediction, ...], Evaluation | None]:
    classes = project.graph.classes
    if not _fits(project, recordings) or _is_multi_label(project):
        return (), None
    sequences, scores = integer_scores(project.graph, recordings)
    predictions = tuple(
        Prediction(r, dict(zip(s.stamps.tolist(), score.argmax(1).tolist(), strict=True)))
        for r, s, score in zip(recordings, sequences, scores, strict=True)
    )
    judged = judge(sequences, scores, classes, task_of(project.graph.metadata), RESAMPLES)
    assert isinstance(judged, Evaluation)  # not of several labels
    return predictions, judged


def _is_multi_label(project: Project) -> bool:
    task = task_of(project.graph.metadata)
    return task is not None and task.is_multi_label


def _fits(project: Project, recordings: Sequence[Labelled]) -> bool:
    """Return whether the recordings have the model's lead, and as labels what it tells apart."""
    classes, lead = project.graph.classes, chosen_lead(project.graph.metadata)
    if lead is not None and any(r.leads[0] != lead for r in recordings):
        return False
    if not classes or not recordings:
        return False
    return all(r.classes[: len(classes)] == classes for r in recordings)


def _findings(project: Project, recordings: Sequence[Labelled]) -> tuple[RecordFindings, ...]:
    graph, decided = project.graph, project.graph.scores
    if not decided or not _fits(project, recordings) or not _is_multi_label(project):
        return ()
    sequences, scores = integer_scores(graph, recordings)
    return tuple(
        RecordFindings(
            r,
            tuple((1 / (1 + np.exp(-decided.dequantize(v.mean(0))))).tolist()),
            tuple(s.labels[0].tolist()),
        )
        for r, s, v in zip(recordings, sequences, scores, strict=True)
        if len(v)
    )


def _read(path: Path, parse: Callable[[Any], Facts], again: str) -> Facts:
    """Parse a JSON file that another command wrote."""
    try:
        return parse(read_json(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(f"{path} is damaged ({type(error).__name__}: {error}); {again}") from None


def _link(document: Any) -> LinkFacts:
    spread = document["instructions_per_step"] or document["cycles_per_step"]
    first = document["first_mismatch"]
    return LinkFacts(
        str(document["link"]),
        str(document["model_sha256"]),
        document.get("firmware_sha256"),
        tuple(document["records"]),
        int(document["steps"]),
        int(document["mismatches"]),
        int(document["longest_run"]),
        first and _place(first),
        str(document["clock_source"]),
        int(document["core_clock_hz"]),
        (int(spread["min"]), int(spread["median"]), int(spread["max"])) if spread else None,
        bool(document["counts_samples"]),
        tuple(document["failures"]),
        tuple(document["warnings"]),
        DecisionCost(**document["decision_cost"]) if document["decision_cost"] else None,
        LargestCall(**document["largest_call"]) if document["largest_call"] else None,
        {name: int(n) for name, n in (document["instructions_by_function"] or {}).items()},
        tuple(map(_output, document.get("outputs", ()))),
        tuple(map(str, document["clock_warnings"])),
        tuple(map(str, document["reset_causes"])),
        {True: True, False: False, None: None}[document["is_image_good"]],
        None if document["stack_free_bytes"] is None else int(document["stack_free_bytes"]),
    )


def _output(document: Any) -> OutputFacts:
    error = document["float_error"]
    words = None if error is None else error_text({key: float(error[key]) for key in error})
    return OutputFacts(str(document["name"]), int(document["mismatches"]), words)


def _place(first: Any) -> str:
    where = f"operator {first['operator']}, " if first["operator"] else ""
    return (
        f"{first['record']}, step {first['step']}: {where}{first['tensor']}[{first['element']}] "
        f"is {first['got']}, expected {first['expected']}"
    )


def _build(project: Project) -> BuildFacts | None:
    """Return what a fresh build measured; a project that was never built is not built here."""
    if not is_built(project.folder, "board"):
        return None
    built = build(project.folder)
    assert built.size is not None  # of a board
    size = built.size
    return BuildFacts(
        size.flash_bytes,
        size.ram_bytes,
        size.stack_bytes,
        size.sections,
        {name: use.used for name, use in size.regions.items()},
        _operators(project, size.operators),
        size.stack.main_path,
        size.budget_failures,
        file_sha256(built.elf),
        _compiler(built.elf),
        built.why,
    )


def _operators(project: Project, sizes: Mapping[str, OperatorSize]) -> tuple[OperatorFacts, ...]:
    exported: Any = project.export["operators"]
    ops = {op.name: (op, runs) for op, runs in project.graph.all_ops}
    unknown = [o["name"] for o in exported if o["name"] not in ops or o["name"] not in sizes]
    if unknown:
        raise UsageError(
            f"{project.folder}/export.json names an operator {shown(repr(unknown[0]))}, which the "
            "graph does not have; run `lnn-edge export` again"
        )
    return tuple(
        OperatorFacts(
            o["name"],
            ops[o["name"]][0].kind,
            o["kernel"],
            o["function"],
            _own_macs(*ops[o["name"]]),
            *astuple(sizes[o["name"]]),
        )
        for o in exported
    )


def _own_macs(op: AbstractOp, runs: int) -> int:
    """Return the multiply-accumulates of an operator in a step; a loop leaves its own to others."""
    return 0 if op.nested else op.macs * runs


def _compiler(elf: Path) -> str:
    """Return what the compiler left in the section .comment."""
    try:
        with elf.open("rb") as stream:
            section = ELFFile(stream).get_section_by_name(".comment")
            signature = section.data() if section is not None else b""
    except ELFError:
        return ""
    return ", ".join(sorted({s.decode("ascii", "replace") for s in signature.split(b"\0") if s}))

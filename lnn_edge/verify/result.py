"""What a verification has found, and its file."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from lnn_edge.device.counters import (
    DecisionCost,
    LargestCall,
    Line,
    WrongCounter,
)
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import write_together
from lnn_edge.graph.output import Output
from lnn_edge.tasks.judge import Figures
from lnn_edge.tasks.learned import Overlap
from lnn_edge.tasks.metrics.value import ValuesEvaluation


@dataclass(frozen=True)
class Mismatch:
    """The first difference.

    Attributes:
        record: Recording.
        step: Decision since its start, from 0.
        stamp: Sample index of the decision, -1 where one side decided less.
        operator: Operator that wrote the tensor, of one inside a loop with its round, from 0:
            "name[3]"; "" where the diagnostic build was not asked.
        tensor: First tensor that differs, or "stamp".
        element: Flat index of its first differing element.
        expected: Value of the simulator.
        got: Value of the device.
    """

    record: str
    step: int
    stamp: int
    operator: str
    tensor: str
    element: int
    expected: int
    got: int


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest count of a step."""

    min: int
    median: int
    max: int


@dataclass(frozen=True)
class OutputCheck:
    """What was seen of one output.

    Attributes:
        output: Where it lies, and what it means.
        mismatches: Decisions in which any bit of it differs.
        float_error: rmse and max_abs of it against the float model, and the range of the
            latter; None without it.
    """

    output: Output
    mismatches: int
    float_error: dict[str, float] | None = None

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        checked = {"mismatches": self.mismatches, "float_error": self.float_error}
        return {**asdict(self.output), **checked}


def _figures(judged: Figures | None) -> dict[str, object]:
    """Return what verify.json says of accuracy: of classes, or of values."""
    of_classes = None if isinstance(judged, ValuesEvaluation) else judged
    return {
        "accuracy": of_classes and of_classes.accuracy,
        "macro_f1": of_classes and of_classes.macro_f1,
        "classes": of_classes and {n: asdict(f) for n, f in of_classes.classes.items()},
        "main_classes": of_classes and list(of_classes.main_classes),
        "absent_classes": of_classes and list(of_classes.absent_classes),
        "value": judged.to_json() if isinstance(judged, ValuesEvaluation) else None,
    }


@dataclass(frozen=True)
class Verification:
    """Outcome of a verification; to_json gives verify.json.

    Attributes:
        link: Name of the runner.
        board: Board that answered.
        model_sha256: Hash of the graph.
        records: Names of the signals streamed.
        steps: Decisions compared.
        longest_run: Most decisions without a reset between them.
        mismatches: Decisions that differ in any bit of probes, outputs or state.
        first_mismatch: Where the first one lies.
        clock_source: "dwt" (cycles of silicon), "instructions" (exact, emulated) or "none".
        core_clock_hz: As the device reports it.
        counts: Per step, in the unit of clock_source.
        judged: Accuracy of the device's decisions, None without labels.
        outputs: What was seen of each output.
        firmware_sha256: Hash of the image that the project's build gave for this link; None where
            it is not what a board on a serial port runs.
        built: Why it was built first; None if a fresh build lay there.
        lead: First lead of the recordings, None for the usual one of the data set.
        resolution_warnings: What a user must know of what the integers hold, a sentence each.
        wrong_counters: Counters of the model that are not the simulator's.
        clock_warnings: Why the board fell back to its slow clock; empty if it did not.
        has_clock: Whether the device can come up on its configured clock at all; QEMU cannot.
        counts_samples: Whether counts hold what the samples made the model compute before it
            decided; if not, the decision alone.
        line: What the serial line went through; None if it was not watched.
        largest_call: The most that one sample made the model compute, None without a counter.
        decision_cost: What a decision takes, with and without its samples, None without a counter.
        functions: Instructions retired in each function of the firmware from the first reset to
            the last answer; None if they are not counted.
        trained_on: Which of the recordings the model learned from; None without a data set.
        is_invented: Whether there is no accuracy because it would mean nothing, see
            learned.is_invented.
        resumed_steps: Decisions that an interrupted run of the same verification left.
        reset_causes: Why the device started last, see Info.
        is_image_good: Whether its flash holds what was built; None if unknown.
        stack_free_bytes: Of its stack, that nothing has written to; None if it does not tell.
    """

    link: str
    board: str
    model_sha256: str
    records: tuple[str, ...]
    steps: int
    longest_run: int
    mismatches: int
    first_mismatch: Mismatch | None
    clock_source: str
    core_clock_hz: int
    counts: Spread | None
    judged: Figures | None
    outputs: tuple[OutputCheck, ...] = ()
    firmware_sha256: str | None = None
    built: str | None = None
    lead: str | None = None
    resolution_warnings: tuple[str, ...] = ()
    wrong_counters: tuple[WrongCounter, ...] = ()
    clock_warnings: tuple[str, ...] = ()
    has_clock: bool = True
    counts_samples: bool = False
    line: Line | None = None
    largest_call: LargestCall | None = None
    decision_cost: DecisionCost | None = None
    functions: dict[str, int] | None = None
    trained_on: Overlap | None = None
    is_invented: bool = False
    resumed_steps: int = 0
    reset_causes: tuple[str, ...] = ()
    is_image_good: bool | None = None
    stack_free_bytes: int | None = None

    @property
    def float_error(self) -> dict[str, float] | None:
        """That of the only output; None without it, and where there are several."""
        return self.outputs[0].float_error if len(self.outputs) == 1 else None

    @property
    def is_exact(self) -> bool:
        """Whether every decision was right in every bit."""
        return self.mismatches == 0 and self.steps > 0

    @property
    def passed(self) -> bool:
        """Whether every bit and counter was right, on the clock that was configured."""
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each thing that fails the verification."""
        said = [c.sentence for c in self.wrong_counters]
        if not self.is_exact:
            said.insert(0, f"{self.mismatches} of {self.steps} steps differ from the simulator")
        if self.is_image_good is False:
            said.append("code or constants in flash are not those that were built: flash it again")
        if self.clock_warnings and self.has_clock:
            said.append(f"{self._slow_clock}: cycles and time are not those of the board")
        return tuple(said)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each thing that must be known and fails nothing."""
        said = list(self.resolution_warnings)
        if self.clock_warnings and not self.has_clock:
            said.append(f"{self._slow_clock}, as always on {self.link}, which has no oscillators")
        if self.line is not None and self.line.sentence is not None:
            said.append(self.line.sentence)
        if any("watchdog" in cause for cause in self.reset_causes):
            said.append(
                "the board was started by its watchdog: its program hung or stopped on a fault"
            )
        return tuple(said)

    @property
    def _slow_clock(self) -> str:
        reasons = ", ".join(self.clock_warnings)
        return f"the core fell back to its slow clock, {self.core_clock_hz / 1e6:g} MHz ({reasons})"

    def to_json(self) -> dict[str, object]:
        """Return the document of verify.json."""
        counts = asdict(self.counts) if self.counts else None
        return {
            "link": self.link,
            "passed": self.passed,
            "failures": list(self.failures),
            "warnings": list(self.warnings),
            "board": self.board,
            "model_sha256": self.model_sha256,
            "records": list(self.records),
            "steps": self.steps,
            "longest_run": self.longest_run,
            "mismatches": self.mismatches,
            "first_mismatch": asdict(self.first_mismatch) if self.first_mismatch else None,
            "clock_source": self.clock_source,
            "core_clock_hz": self.core_clock_hz,
            "instructions_per_step": counts if self.clock_source == "instructions" else None,
            "cycles_per_step": counts if self.clock_source == "dwt" else None,
            "counts_samples": self.counts_samples,
            **_figures(self.judged),
            "trained_on": self.trained_on and self.trained_on.to_json(),
            "is_invented": self.is_invented,
            "float_error": self.float_error,
            "outputs": [checked.to_json() for checked in self.outputs],
            "firmware_sha256": self.firmware_sha256,
            "built": self.built,
            "lead": self.lead,
            "wrong_counters": [asdict(c) for c in self.wrong_counters],
            "clock_warnings": list(self.clock_warnings),
            "line": self.line and asdict(self.line),
            "largest_call": self.largest_call and asdict(self.largest_call),
            "decision_cost": self.decision_cost and asdict(self.decision_cost),
            "instructions_by_function": self.functions,
            "resumed_steps": self.resumed_steps,
            "reset_causes": list(self.reset_causes),
            "is_image_good": self.is_image_good,
            "stack_free_bytes": self.stack_free_bytes,
        }


def write_verification(result: Verification, folder: Path) -> Path:
    """Write a project's verify-LINK.json and, as the newest, verify.json; return the former."""
    text = json.dumps(result.to_json(), indent=1) + "\n"
    name = f"verify-{link_file_name(result.link)}.json"
    with alone_in(folder):
        write_together(folder, {"verify.json": text, name: text}, force=True)
    return folder / name


def link_file_name(link: str) -> str:
    """Return what stands for a link in the names of files."""
    return re.sub("[^a-z0-9]+", "-", link.lower()).strip("-")

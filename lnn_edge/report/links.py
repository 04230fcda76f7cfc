"""What verifications left in a project, read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnn_edge.device.counters import DecisionCost, LargestCall
from lnn_edge.errors import UsageError
from lnn_edge.files.read import read_json
from lnn_edge.graph.fidelity import error_text

_EMULATED = ("host", "virtual", "qemu")  # shown first, in this order


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


def read_links(folder: Path) -> list[LinkFacts]:
    """Return the verifications of a project, emulated ones first.

    Raises:
        UsageError: One of the files is damaged.
    """
    links = [_read(path, folder) for path in sorted(folder.glob("verify-*.json"))]
    return sorted(links, key=lambda x: (_order(x), x.link))


def _order(link: LinkFacts) -> int:
    return _EMULATED.index(link.kind) if link.is_emulated else len(_EMULATED)


def _read(path: Path, folder: Path) -> LinkFacts:
    try:
        return link_of(read_json(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(
            f"{path} is damaged ({type(error).__name__}: {error}); run `lnn-edge verify {folder}` "
            "again"
        ) from None


def link_of(document: Any) -> LinkFacts:
    """Return what a document of `verify` says."""
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

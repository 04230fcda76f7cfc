"""Sentences and figures that the page and the terminal both use."""

from __future__ import annotations

from collections.abc import Collection

from lnn_edge.build.project import Project
from lnn_edge.device.board_info import IMAGE_WORDS
from lnn_edge.report.facts import Report
from lnn_edge.report.links import LinkFacts

GOOD, BAD, OPEN = "good", "bad", "open"
OTHER_FUNCTIONS = 6  # functions that are no operator, named in the profile

LINKS = {
    "host": "host program",
    "virtual": "virtual board",
    "qemu": "QEMU",
    "serial": "board on a serial port",
    "openocd": "board, flashed by OpenOCD",
    "st-flash": "board, flashed by st-flash",
    "msd": "board, flashed as a disk",
}


def kilobytes(size: int) -> str:
    """Return bytes as KB of 1,024."""
    return f"{size / 1024:.1f} KB"


def counted(count: int, plural: str) -> str:
    """Return a number of things: "1 person" of people, "1 recording" of recordings."""
    if count != 1:
        return f"{count:,} {plural}"
    singular = plural.removesuffix("ies") + "y" if plural.endswith("ies") else plural[:-1]
    return "1 person" if plural == "people" else f"1 {singular if plural.endswith('s') else plural}"


def link_words(link: LinkFacts) -> str:
    """Return the words for a link, with its port."""
    kind, _, port = link.link.partition(":")
    return LINKS.get(kind, kind) + (f" ({port})" if port else "")


def clock_words(link: LinkFacts) -> str:
    """Return what was counted. Cycles count as measured on silicon only."""
    if link.counts is None or link.clock_source == "none":
        return "nothing"
    if link.clock_source == "instructions":
        return "instructions, exact, emulated"
    return "cycles, emulated: no measure of time" if link.is_emulated else "cycles, measured (DWT)"


def start_words(link: LinkFacts) -> tuple[str, str, str, str]:
    """Return how a device came up: its clock, its last start, its flash, its stack."""
    clock = f"{link.core_clock_hz / 1e6:g} MHz" if link.core_clock_hz else "none"
    slow = f", fell back: {', '.join(link.clock_warnings)}" if link.clock_warnings else ""
    free = "not known" if link.stack_free_bytes is None else f"{link.stack_free_bytes:,} bytes"
    causes = ", ".join(link.reset_causes) or "not known"
    return clock + slow, causes, IMAGE_WORDS[link.is_image_good], free


def step_words(link: LinkFacts) -> str:
    """Return what the count of a step holds."""
    return "decision and what its samples led to" if link.counts_samples else "decision alone"


def cost_sentences(link: LinkFacts) -> tuple[str, ...]:
    """Return what a decision takes and the largest call, where they were counted."""
    costs = (link.decision_cost, link.largest_call)
    return tuple(f"{link_words(link)}: {cost.sentence}." for cost in costs if cost)


def operator_sentence(link: LinkFacts, functions: Collection[str]) -> str:
    """Return what all operators take of a decision, and what the rest of the firmware does.

    Args:
        link: That counted instructions by function.
        functions: Of the operators.
    """
    steps, cost = link.per_step, link.decision_cost
    inside = sum(n for name, n in steps.items() if name in functions)
    others = [f"{name} {n:,.0f}" for name, n in steps.items() if name not in functions]
    calls = f"; the model's calls, which hold them, {cost.calls:,.0f}" if cost else ""
    return (
        f"Retired instructions on {link_words(link)}, mean of {link.steps:,} decisions. The "
        f"operators take {inside:,.0f} a decision, all their runs since the one before added "
        f"up{calls}; the whole firmware, which also reads requests, sends results and waits, "
        f"{sum(steps.values()):,.0f}. Most beside the operators: "
        f"{', '.join(others[:OTHER_FUNCTIONS])}."
    )


def how_to_count(project: Project) -> str:
    """Return how to learn what each operator takes."""
    if project.board.tools.emulator != "virtual":
        return (
            f"Nothing counts the instructions of each operator for {project.board.name}; export "
            "for stm32f746, which the virtual board stands in for."
        )
    return (
        f"`lnn-edge verify {project.folder.name} --link virtual` counts the instructions of each "
        "operator."
    )


def count_words(link: LinkFacts) -> str:
    """Return smallest, median and largest count of a step."""
    if link.counts is None:
        return "not counted"
    low, median, high = link.counts
    return f"{low:,} / {median:,} / {high:,}"


def time_words(link: LinkFacts) -> str:
    """Return the time of a step, where it was measured on silicon."""
    if link.counts is None or link.is_emulated or link.clock_source != "dwt":
        return "not measured"
    return f"{1e6 * link.counts[1] / link.core_clock_hz:,.0f} µs"


def verdict(report: Report) -> tuple[str, str, tuple[str, ...]]:
    """Return good, bad or open, a headline, and the sentences that bear it out."""
    sentences = (*_exactness(report), _size(report))
    if report.is_failed:
        return BAD, "This firmware does not pass.", sentences
    if report.is_proved:
        return GOOD, "Bit-exact: every step tried gives what the model gives.", sentences
    return OPEN, "This firmware is not proved yet.", sentences


def _exactness(report: Report) -> tuple[str, ...]:
    folder = report.project.folder.name
    lines = []
    for link in report.links:
        exact = f"{link.mismatches:,} mismatches in {link.steps:,} steps"
        said = (*((exact,) if link.is_exact else ()), *link.failures, *link.warnings)
        lines += [f"{link_words(link)}: {sentence}." for sentence in said]
    lines += [
        f"The verification on {name} is of another model or build; repeat it with "
        f"`lnn-edge verify {folder} --link {name}`."
        for name in report.outdated
    ]
    if not report.is_run:
        lines.append(f"The firmware has not run yet; use `lnn-edge verify {folder}`.")
    return tuple(lines)


def _size(report: Report) -> str:
    build, board = report.build, report.project.board
    if build is None:
        return f"Not built yet; run `lnn-edge build {report.project.folder.name}`."
    if build.budget_failures:
        return "Over budget: " + "; ".join(build.budget_failures) + "."
    flash = board.region(board.layout.flash).size
    return (
        f"It takes {kilobytes(build.flash_bytes)} of {kilobytes(flash)} flash and "
        f"{kilobytes(build.ram_bytes)} RAM besides a stack of at most {build.stack_bytes:,} bytes."
    )

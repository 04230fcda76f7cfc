"""`lnn-edge verify`: a device against the simulator, bit by bit, on recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli import FAILED, show_error
from lnn_edge.cli.evaluate import told_figures
from lnn_edge.cli.output import (
    console,
    json_option,
    progress,
    project_argument,
    show_json,
)
from lnn_edge.cli.recordings import check_frames_alone, show_feed, wish_options

if TYPE_CHECKING:
    from contextlib import ExitStack

    from lnn_edge.build.project import Project
    from lnn_edge.tasks.feed import Wish
    from lnn_edge.verify.result import Verification


@click.command(name="verify")
@project_argument
@click.option(
    "--link",
    default="virtual",
    show_default=True,
    help="host, virtual, virtual:pty, "
    "qemu, qemu:MACHINE, serial:PORT, or a way to flash: openocd, st-flash, msd.",
)
@wish_options("Name or WFDB folder [default: the embedded one of its task].", has_records=True)
@click.option(
    "--input",
    "input_path",
    type=click.Path(path_type=Path),
    help="Sequences for a model of values: .npy of (N, T, channels) or (T, channels) "
    "[default: those that the model was quantized on].",
)
@json_option
def command(
    project: Path,
    link: str,
    wish: Wish,
    input_path: Path | None,
    as_json: bool,
) -> None:
    """Stream recordings or sequences to a device that runs PROJECT; compare every bit of its steps.

    Writes PROJECT/verify-LINK.json, and the same as PROJECT/verify.json. Exit code 1 on any
    mismatch, on a counter of the board that is not the simulator's, and on a board that fell back
    to its slow clock.

    \b
    Example: lnn-edge verify firmware --link virtual
    Example: lnn-edge verify firmware --link virtual --input X.npy
    Example: lnn-edge verify firmware --link host --data walks --label-column activity
    """
    from contextlib import ExitStack
    from functools import partial

    from lnn_edge.build.project import open_project
    from lnn_edge.tasks.feed import load_feed
    from lnn_edge.tasks.model_input import takes_recordings
    from lnn_edge.verify.result import write_verification
    from lnn_edge.verify.verify import verify_feed

    check_frames_alone("--input", input_path, wish)
    opened, is_named = open_project(project), wish.own is not None or wish.dataset is not None
    with ExitStack() as until:
        if input_path is not None or not (is_named or takes_recordings(opened.graph)):
            result = _verify_sequences(opened, link, input_path, as_json, until)
        else:
            feed = load_feed(opened.graph.metadata, wish, str(project), opened.graph)
            show_feed(feed, as_json)
            frames = sum(len(r.frames) for r in feed.recordings)
            with progress(as_json) as bar:
                shown = bar.add_task(f"verify on {link}, frames", total=frames, note="")
                taken = partial(bar.advance, shown)
                result = verify_feed(opened, link, feed, taken, until)
        path = write_verification(result, project)
    if as_json:
        show_json(result.to_json())
    else:
        show_verification(result)
        console().print(f"written: {path}")
    if not result.passed:
        show_error("; ".join(result.failures))
        raise SystemExit(FAILED)


def _verify_sequences(
    project: Project, link: str, path: Path | None, as_json: bool, until: ExitStack
) -> Verification:
    """Verify on the sequences of a file, or on those of the reference."""
    from functools import partial

    from lnn_edge.data.npy import load_sequences
    from lnn_edge.verify.sequences import verify_sequences

    frames = None if path is None else load_sequences(path, project.graph.frame.size)
    total = None if frames is None else frames.shape[0] * frames.shape[1]
    with progress(as_json) as bar:
        task = bar.add_task(f"verify on {link}, frames", total=total, note="")
        return verify_sequences(project, link, frames, partial(bar.advance, task), until)


def show_verification(result: Verification) -> None:
    """Print the outcome."""
    from lnn_edge.device.board_info import IMAGE_WORDS
    from lnn_edge.graph.fidelity import error_text

    out = console()
    verdict = "bit-exact" if result.is_exact else "NOT bit-exact"
    out.print(
        f"{verdict} on {result.link} ({result.board}): {result.mismatches} mismatches in "
        f"{result.steps} steps, longest run without a reset {result.longest_run}"
    )
    if result.built:
        runs = "" if result.firmware_sha256 else "; the board runs what was flashed before"
        out.print(f"built, since {result.built}{runs}")
    if result.resumed_steps:
        out.print(f"taken up after {result.resumed_steps} steps of an interrupted run")
    if result.first_mismatch:
        m = result.first_mismatch
        where = f"operator {m.operator}, " if m.operator else ""
        out.print(
            f"first: {m.record}, step {m.step} (sample {m.stamp}): {where}{m.tensor}[{m.element}] "
            f"is {m.got}, expected {m.expected}"
        )
    if result.reset_causes:
        image = IMAGE_WORDS[result.is_image_good]
        free = f", {result.stack_free_bytes} bytes of stack never used" * bool(
            result.stack_free_bytes
        )
        out.print(f"started by {', '.join(result.reset_causes)}; flash {image}{free}")
    for warning in result.warnings:
        out.print(f"warning: {warning}")
    if result.counts:
        unit = "instructions" if result.clock_source == "instructions" else "cycles (measured)"
        c = result.counts
        what = "with what its samples made it compute" if result.counts_samples else "alone"
        out.print(f"{unit} per step, the decision {what}: {c.min} to {c.max}, median {c.median}")
    for cost in (result.decision_cost, result.largest_call):
        if cost:
            out.print(cost.sentence)
    is_several = len(result.outputs) > 1
    for check in result.outputs:
        named = f"output {check.output.name}, " if is_several else ""
        if is_several and check.mismatches:
            out.print(f"{named}{check.mismatches} mismatches")
        if check.float_error:
            out.print(f"{named}against the float model: {error_text(check.float_error)}")
    if result.judged is None and not any(check.float_error for check in result.outputs):
        out.print("against the float model: not known, the project holds none")
    if result.is_invented:
        out.print("no accuracy: the recordings are generated and the model learned from others")
    if result.judged:
        j = result.judged
        out.print(f"{told_figures(j)}, on {j.n} judged")
        if result.trained_on:
            out.print(result.trained_on.sentence)

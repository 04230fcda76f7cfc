"""`lnn-edge quantize`: trained model -> integer graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, force_option, json_option, show_json
from lnn_edge.cli.recordings import check_frames_alone, wish_options

if TYPE_CHECKING:
    from lnn_edge.graph.fidelity import Resolution
    from lnn_edge.graph.qgraph import QGraph
    from lnn_edge.tasks.feed import Wish


@click.command(name="quantize")
@click.argument("folder", type=click.Path(path_type=Path))
@wish_options("Where the training recordings lie now, if not where they lay.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Sequences for an imported model: .npy of (N, T, channels) or (T, channels).",
)
@click.option("--verbose", is_flag=True, help="All operators, not the worst five.")
@force_option
@json_option
def command(
    folder: Path,
    wish: Wish,
    calibration: Path | None,
    verbose: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Calibrate on the model's own training recordings (2,000 at most); write FOLDER/model.qgraph.

    An imported model has none: give --calibration, or leave it out to keep the scales of an ONNX
    model that is quantized already. FOLDER/quantize.json tells what the integers
    hold of time, channels and tensors. Another graph in the folder is replaced only with --force.

    \b
    Example: lnn-edge quantize runs/beats --data-dir data
    Example: lnn-edge quantize policy --calibration X.npy
    """
    from lnn_edge.graph.fidelity import Resolution
    from lnn_edge.graph.file import graph_sha256
    from lnn_edge.quantize.trained import REPORT

    check_frames_alone("--calibration", calibration, wish)
    from lnn_edge.quantize.imported import has_scales, quantize_imported

    if calibration is None and not has_scales(folder):
        from lnn_edge.quantize.trained import quantize_trained

        graph, warning = quantize_trained(folder, wish, force=force)
        if warning:
            click.echo(f"warning: {warning}", err=True)
    else:
        graph = quantize_imported(folder, calibration, force=force)
    ops = graph.ops
    report = json.loads((folder / REPORT).read_text())
    facts = {
        "graph": str(folder / "model.qgraph"),
        "model_sha256": graph_sha256(graph),
        "operators": len(ops),
        "macs": sum(op.macs for op in ops),
        **{key: report[key] for key in ("resolution", "float_error", "warnings")},
    }
    if as_json:
        show_json(facts)
        return
    for warning in report["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    console().print(
        f"{facts['operators']} operators, {facts['macs']} multiply-accumulates: {facts['graph']}"
    )
    _show([Resolution(**row) for row in report["resolution"]], report["float_error"])
    _show_operators(graph, verbose)
    console().print(f"next: lnn-edge export {facts['graph']} --board stm32f746 -o firmware")


def _show_operators(graph: QGraph, verbose: bool) -> None:
    """Print what the integers of operators are worth, as wide as they are."""
    from lnn_edge.graph.summary import summary, worst

    text = summary(graph) if verbose else worst(graph)
    if text:
        click.echo(text if verbose else f"operators furthest from the model:\n{text}")


def _show(resolutions: list[Resolution], float_error: dict[str, float] | None) -> None:
    """Print what the integers hold on the calibration data."""
    from lnn_edge.graph.fidelity import error_text

    out = console()
    for time in (r for r in resolutions if r.name == "dt"):
        out.print(str(time))
    others = [r for r in resolutions if r.name != "dt"]
    if others:
        bits = [r.bits for r in others if r.bits is not None]
        out.print(
            f"{len(others)} channels and tensors: at most {max(r.clipped for r in others):.2%} of "
            f"the values saturate, {max(r.lost for r in others):.2%} become 0; at least "
            f"{min(bits, default=32):.1f} bits of resolution; each one: quantize.json"
        )
    if float_error is not None:
        out.print(f"on the calibration data, against the float model: {error_text(float_error)}")

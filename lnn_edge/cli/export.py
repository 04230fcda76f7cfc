"""`lnn-edge export`: integer graph -> firmware project, C library, ONNX, or TFLite."""

from __future__ import annotations

from pathlib import Path

import click

from lnn_edge.cli.output import console, force_option, json_option, show_json
from lnn_edge.cli.quality import quality_option


@click.command(name="export")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--board", "board_name", help="Name of a board, or its TOML file.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="[default: firmware-BOARD, or FORMAT-MODEL]",
)
@click.option(
    "--format",
    "form",
    default="project",
    show_default=True,
    help="project, library, onnx, onnx-float, onnx-qdq, tflite or a plug-in's.",
)
@click.option("--core", help="Of a library, such as cortex-m4.  [default: any]")
@click.option("--find-beats", is_flag=True, help="Let a model of beats find them itself.")
@quality_option
@force_option
@json_option
def command(
    model: Path | None,
    board_name: str | None,
    output: Path | None,
    form: str,
    core: str | None,
    find_beats: bool,
    quality: tuple[int, int] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write MODEL, or the shipped ECG model, as a project, a C library, ONNX or TFLite.

    MODEL is a model.qgraph, the folder of one, or the name of a shipped model. With --find-beats
    an R-peak detector runs on the samples, and no events are needed from outside. With --quality
    an output more says whether the signal of a decision is flat, saturated or noisy.

    A library is C without hardware for any build system: CMake, PlatformIO, Arduino, Zephyr,
    CMSIS-Pack. It takes --core, not --board; every core gives the same bits.

    ONNX is a model of each stage, with the same bits in onnxruntime, and run.py, which plays
    recordings through them; onnx-float has the network in floating point instead, of a model whose
    weights lie beside its graph, and onnx-qdq QuantizeLinear and DequantizeLinear around its
    layers. None takes a board.

    TFLite has kernels of 16 bits with weights of 8, as files and as arrays for TFLite Micro, and is
    only written where it decides as the integers do in 99 % of 10,000 steps.

    Over an earlier export, unchanged files of lnn-edge are replaced. Your own files stay; one in
    the way is named and nothing is written, unless --force is given.

    \b
    Example: lnn-edge export --board stm32f746 -o firmware
    Example: lnn-edge export ccfc --board stm32f746
    Example: lnn-edge export --format library --core cortex-m4
    Example: lnn-edge export ccfc --format onnx
    Example: lnn-edge export ccfc --format tflite
    """
    from lnn_edge.codegen.exporters import ONNX_FLOAT, PROJECT, TFLITE, export_model
    from lnn_edge.files.packages import need_torch
    from lnn_edge.graph.file import graph_sha256
    from lnn_edge.tasks.beats.additions import Additions
    from lnn_edge.tasks.feed import shown_records

    network = None
    if form == ONNX_FLOAT:
        need_torch()
        from lnn_edge.quantize.float_step import float_network

        network = float_network
    made = export_model(
        model,
        board_name,
        output,
        form=form,
        core=core,
        change=Additions(find_beats, quality).to,
        network=network,
        records=shown_records,
        force=force,
    )
    name = made.board.name if made.board else None
    if as_json:
        digest = graph_sha256(made.graph)
        facts = {"project": str(made.folder), "board": name, "model_sha256": digest}
        show_json(facts)
        return
    target = made.board.title if made.board else f"core {core or 'any'}"
    runtime = "onnxruntime" if form.startswith("onnx") else "TFLite" if form == TFLITE else ""
    target = runtime or target
    console().print(f"{made.graph.name} for {target}: {made.folder}")
    if form == PROJECT:
        console().print(f"next: lnn-edge build {made.folder}")
    elif runtime:
        console().print(f"next: python {made.folder / 'run.py'} RECORD.npy RESULTS.npz")
    elif made.board is None:
        console().print(f"how to build it: {made.folder / 'README.md'}")

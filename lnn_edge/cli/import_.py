"""`lnn-edge import`: a model of another library -> a model folder of ours."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, force_option, json_option, show_json

if TYPE_CHECKING:
    from lnn_edge.nn.cells.cfc import Activation, Mode
    from lnn_edge.nn.cells.ltc import Positivity

MODES = ("default", "no_gate", "pure")
ACTIVATIONS = ("lecun_tanh", "tanh", "relu", "silu", "gelu")


class Elapsed(click.ParamType):  # type: ignore[type-arg]
    """A time in seconds, or "input" (None) where each frame holds it."""

    name = "SECONDS|input"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Return the time, None for input."""
        if value == "input":
            return None
        try:
            return float(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a time in seconds nor input", param, ctx)


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option("--name", help="C prefix [default: FILE's name].")
@click.option("--layers", help="Order of a state dict's layers: a,b,c.")
@click.option(
    "--dt",
    type=Elapsed(),
    default="1.0",
    show_default=True,
    help="Constant elapsed time, or input: the last channel of each frame holds it.",
)
@click.option("--mode", type=click.Choice(MODES), help="default and no_gate look alike.")
@click.option("--activation", type=click.Choice(ACTIVATIONS), help="Of the backbone.")
@click.option(
    "--wiring",
    type=click.Path(path_type=Path),
    help="JSON of the wiring, for Keras weights of a wired or LTC cell.",
)
@click.option("--unfolds", type=click.IntRange(min=1), help="Solver steps of an LTC cell.")
@click.option(
    "--positivity",
    type=click.Choice(("softplus", "clip")),
    help="Of an LTC cell: softplus for LTC of ncps.torch, clip for LTCCell.",
)
@click.option(
    "--hop",
    type=click.IntRange(min=1),
    help="Frames from one window to the next, for a model of Keras or ONNX that reads windows.",
)
@click.option(
    "--time-axis",
    type=click.IntRange(min=0),
    help="Axis of frames of an ONNX model's input, from 0 [default: the free one, or 1].",
)
@force_option
@json_option
def command(
    file: Path,
    output: Path,
    name: str | None,
    layers: str | None,
    dt: float | None,
    mode: Mode | None,
    activation: Activation | None,
    wiring: Path | None,
    unfolds: int | None,
    positivity: Positivity | None,
    hop: int | None,
    time_axis: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Import FILE: a model in ONNX, a state dict of torch, or a model or weights of Keras.

    Torch: ncps CfC and LTC, LSTM and GRU, several of them and a Linear behind, or a training
    checkpoint with such a state dict inside. Keras: a Sequential or Functional model (.keras, .h5
    or the folder of a SavedModel of Keras 2), or the weights of a CfC or LTC of ncps. ONNX: a .onnx
    file of one input, also one quantized with QuantizeLinear and DequantizeLinear, which keeps its
    scales. Writes the
    folder that `lnn-edge quantize` takes next. Nothing in FILE is run. Options say what FILE does
    not tell: a .keras model tells its form, a state dict and .weights.h5 do not. A model with an
    input of a fixed number of frames reads them as a stream; with --hop as windows, each from rest.
    Another model in the folder is replaced only with --force.

    \b
    Example: lnn-edge import policy.pt -o policy --mode default --activation lecun_tanh
    Example: lnn-edge import activity.keras -o activity --hop 64
    Example: lnn-edge import activity.onnx -o activity --hop 64
    Example: lnn-edge import ltc.pt -o policy --unfolds 6 --positivity softplus
    """
    from lnn_edge.nn.imported import save_imported
    from lnn_edge.nn.importer import import_model
    from lnn_edge.nn.ncps import ImportOptions

    order = tuple(layers.split(",")) if layers else ()
    options = ImportOptions(name, order, dt, mode, activation, wiring, unfolds, positivity, hop)
    options = replace(options, time_axis=time_axis)
    model = import_model(file, options)
    save_imported(output, model, force=force)
    facts = {
        "model": str(output),
        "name": model.card.name,
        "layers": [asdict(row) for row in model.card.layers],
        "channels": model.channels,
        "parameters": sum(p.numel() for p in model.module.parameters()),
    }
    if as_json:
        show_json(facts)
        return
    last = ", the last of them dt" if dt is None else ""
    console().print(
        f"{model.card.name}: {model.card.road}, {facts['parameters']} parameters, "
        f"frames of {facts['channels']} channels{last}: {output}\n"
        f"next: lnn-edge quantize {output}{'' if model.card.form.range else ' --calibration X.npy'}"
    )

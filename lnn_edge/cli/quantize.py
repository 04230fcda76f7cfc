"""`lnn-edge quantize`: trained model -> integer graph."""

from __future__ import annotations

from pathlib import Path

import click

from lnn_edge.cli.output import console, data_dir_option, json_option, show_json


@click.command(name="quantize")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dataset", help="Where the training recordings lie now, if not where they lay.")
@data_dir_option
@json_option
def command(folder: Path, dataset: str | None, data_dir: str | None, as_json: bool) -> None:
    """Calibrate on the model's own training recordings and write FOLDER/model.qgraph.

    \b
    Example: lnn-edge quantize runs/beats --data-dir data
    """
    from lnn_edge.data.registry import load_dataset
    from lnn_edge.graphio import graph_sha256
    from lnn_edge.quantize import quantize_folder
    from lnn_edge.trained import load_trained

    trained = load_trained(folder)
    card = trained.card
    source = dataset or card.recipe.dataset
    records = load_dataset(source, data_dir, "all", card.training_records)
    graph = quantize_folder(trained, records, folder / "model.qgraph")
    ops = graph.deciding_stage.ops
    facts = {
        "graph": str(folder / "model.qgraph"),
        "model_sha256": graph_sha256(graph),
        "operators": len(ops),
        "macs": sum(op.macs for op in ops),
    }
    if as_json:
        show_json(facts)
        return
    console().print(
        f"{facts['operators']} operators, {facts['macs']} multiply-accumulates a step: "
        f"{facts['graph']}\nnext: lnn-edge export {facts['graph']} --board stm32f746 -o firmware"
    )

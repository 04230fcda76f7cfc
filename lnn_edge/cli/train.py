"""`lnn-edge train`: recipe and recordings -> trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.leads import lead_option
from lnn_edge.cli.output import (
    console,
    data_dir_option,
    force_option,
    json_option,
    progress,
    show_json,
)

if TYPE_CHECKING:
    from lnn_edge.train.recipe import Preprocessing


@click.command(name="train")
@click.argument("recipe")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option("--dataset", help="Data set instead of the recipe's: a name or a WFDB folder.")
@lead_option
@click.option("--fold", type=int, help="Hold this fold of patients out [default: learn from all].")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, help="Instead of what the recipe says."
)
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option("--compress", is_flag=True, help="A smaller front end, for less than 96 KB of flash.")
@click.option(
    "--preprocessing",
    type=click.Choice(["causal", "whole-record"]),
    help="Front end instead of the recipe's: that of the board, or the published one of ccfc.",
)
@click.option("--device", default="cpu", show_default=True, help="torch device.")
@force_option
@data_dir_option
@json_option
def command(
    recipe: str,
    output: Path,
    dataset: str | None,
    lead: str | None,
    fold: int | None,
    seed: int,
    settings: tuple[str, ...],
    epochs: int | None,
    compress: bool,
    preprocessing: Preprocessing | None,
    device: str,
    force: bool,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Train a network by a built-in recipe or a TOML file.

    An interrupted run goes on when the same command is given again. A finished model in the folder
    is replaced only with --force.

    \b
    Example: lnn-edge train ecg-beats-cfc --data-dir data -o runs/beats
    Example: lnn-edge train har-cfc --set hidden_size=16 --set training.epochs=5 -o runs/small
    Example: lnn-edge train ccfc --compress --data-dir data -o runs/ccfc
    """
    from dataclasses import replace
    from functools import partial

    from lnn_edge.data.registry import find_dataset, load_dataset
    from lnn_edge.train.loop import EpochReport, train
    from lnn_edge.train.recipe import compressed, load_recipe

    plan = load_recipe(recipe, settings)
    plan = replace(
        plan,
        dataset=dataset or plan.dataset,
        preprocessing=preprocessing or plan.preprocessing,
        lead=lead or plan.lead,
    )
    plan = compressed(plan) if compress else plan
    plan = replace(plan, training=replace(plan.training, epochs=epochs or plan.training.epochs))
    split = find_dataset(plan.dataset).training_split if fold is None else "train"
    load = partial(load_dataset, plan.dataset, data_dir, lead=plan.lead or None)
    training = load(split, fold=fold or 0)
    held_out = () if fold is None else load("validation", fold=fold)
    history = []
    with progress(as_json) as bar:
        task = bar.add_task("training", total=plan.training.epochs, note="")

        def on_epoch(report: EpochReport) -> None:
            judged = report.validation
            note = f"loss {report.loss:.3f}"
            note += f", validation F1 {judged.main_f1:.3f}" if judged else ""
            bar.update(task, completed=report.epoch, note=note)
            history.append({"loss": report.loss, "main_f1": judged and judged.main_f1})

        train(
            plan,
            training,
            held_out,
            output,
            seed=seed,
            device=device,
            on_epoch=on_epoch,
            force=force,
        )
    if as_json:
        show_json({"model": str(output), "records": len(training), "epochs": history})
        return
    console().print(f"trained on {len(training)} recordings: {output}/model.safetensors")
    console().print(f"next: lnn-edge quantize {output}")

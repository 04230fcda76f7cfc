"""`lnn-edge train`: recipe and recordings -> trained model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from lnn_edge.cli.own import own_options, source_from

if TYPE_CHECKING:
    from lnn_edge.tasks.own_split import By
    from lnn_edge.train.loop import EpochReport
    from lnn_edge.train.recipe import Preprocessing

LINE_S = 60  # seconds from one line of progress to the next, where no bar shows
_WATCHED = {"main_f1": "F1", "mae": "mean absolute error"}


@click.command(name="train")
@click.argument("recipe")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option("--dataset", help="Data set instead of the recipe's: a name or a WFDB folder.")
@lead_option
@own_options
@click.option("--task", help="Of own recordings: name of a task, or its TOML file.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Of own recordings: TOML lines label = "class".',
)
@click.option(
    "--split",
    type=click.Choice(["subject", "folder"]),
    default="subject",
    show_default=True,
    help="Of own recordings: folds of subjects, or the folders train, validation and test.",
)
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
    data: Path | None,
    channels: tuple[str, ...],
    task: str | None,
    labels: Path | None,
    split: By,
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
    **hints: Any,
) -> None:
    """Train a network by a built-in recipe or a TOML file.

    An interrupted run goes on when the same command is given again. A finished model in the folder
    is replaced only with --force.

    With --data the recordings are yours: the task is --task, or the recipe's where its network was
    made for one frame, or what the recordings suggest. What is resampled, dropped, filled or
    renamed is listed before training and kept in the model's card.

    \b
    Example: lnn-edge train ecg-beats-cfc --data-dir data -o runs/beats
    Example: lnn-edge train har-cfc --set hidden_size=16 --set training.epochs=5 -o runs/small
    Example: lnn-edge train har-cfc --data walks --label-column activity --fold 0 -o runs/walks
    Example: lnn-edge train ccfc --compress --data-dir data -o runs/ccfc
    """
    from lnn_edge.train.loop import train
    from lnn_edge.train.own import Asked
    from lnn_edge.train.plan import adjusted, plan_training

    plan = plan_training(
        adjusted(recipe, settings, epochs, preprocessing, compress=compress),
        source_from(data, channels, hints),
        Asked(task or "", labels, lead or ""),
        dataset=dataset,
        data_dir=data_dir,
        by=split,
        fold=fold,
    )
    for line in () if as_json else plan.told:
        click.echo(line)
    history: list[dict[str, object]] = []
    with progress(as_json) as bar:
        shown = bar.add_task("training", total=plan.recipe.training.epochs, note="")
        tell = _teller(is_quiet=as_json or not bar.disable)

        def on_epoch(report: EpochReport) -> None:
            judged = report.validation
            figure, value = judged.main if judged else ("main_f1", None)
            note = f"loss {report.loss:.3f}"
            note += f", validation {_WATCHED[figure]} {value:.3f}" if judged else ""
            bar.update(shown, completed=report.epoch, note=note)
            if not (history or as_json) and report.epoch > 1:
                bar.console.print(f"resumed after epoch {report.epoch - 1}")
            tell(report, note)
            history.append({"loss": report.loss, figure: value})

        trained = train(
            plan.recipe,
            plan.training,
            plan.held_out,
            output,
            seed=seed,
            device=device,
            on_epoch=on_epoch,
            force=force,
            task=plan.task,
            data=plan.data,
        )
    count, untaught = len(plan.training), list(trained.card.unlearned or ())
    if as_json:
        show_json(
            {"model": str(output), "records": count, "epochs": history, "unlearned": untaught}
            | ({"data": plan.data} if plan.data else {})
        )
        return
    console().print(f"trained on {count} recordings: {output}/model.safetensors")
    if untaught:
        names = ", ".join(untaught)
        console().print(f"no label taught the class {names}; its scores mean nothing")
    console().print(f"next: lnn-edge quantize {output}")


def _teller(*, is_quiet: bool) -> Callable[[EpochReport, str], None]:
    """Return what prints an epoch to stderr if the last line is a minute old."""
    told = [time.monotonic()]

    def tell(report: EpochReport, note: str) -> None:
        if is_quiet or time.monotonic() < told[-1] + LINE_S:
            return
        told.append(time.monotonic())
        click.echo(f"epoch {report.epoch} of {report.epochs}: {note}", err=True)

    return tell

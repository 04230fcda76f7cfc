"""`lnn-edge train`: recipe and recordings -> trained model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lnn_edge.cli.output import (
    console,
    force_option,
    json_option,
    progress,
    show_json,
)
from lnn_edge.cli.recordings import wish_options

if TYPE_CHECKING:
    from lnn_edge.tasks.feed import Wish
    from lnn_edge.tasks.own_split import By
    from lnn_edge.train.loop import EpochReport
    from lnn_edge.train.recipe import Preprocessing

LINE_S = 60  # seconds from one line of progress to the next, where no bar shows
_WATCHED = {"main_f1": "F1", "mae": "mean absolute error", "nrmse": "error over spread"}


@click.command(name="train")
@click.argument("recipe")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@wish_options("Data set instead of the recipe's: a name or a WFDB folder.")
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
@click.option(
    "--best-by",
    metavar="FIGURE",
    help='Keep the epoch that is best on what --fold holds out: "main", or a figure of history.csv '
    "[default: the recipe's; built-in ones keep the last].",
)
@click.option(
    "--patience",
    type=click.IntRange(min=0),
    metavar="N",
    help="End after N epochs without a better one.",
)
@click.option("--tensorboard", is_flag=True, help="Write events to OUTPUT/tensorboard too.")
@click.option("--compress", is_flag=True, help="A smaller front end, for less than 96 KB of flash.")
@click.option(
    "--preprocessing",
    type=click.Choice(["causal", "whole-record"]),
    help="Front end instead of the recipe's: that of the board, or the published one of ccfc.",
)
@click.option("--device", default="cpu", show_default=True, help="torch device.")
@force_option
@json_option
def command(
    recipe: str,
    output: Path,
    wish: Wish,
    task: str | None,
    labels: Path | None,
    split: By,
    fold: int | None,
    seed: int,
    settings: tuple[str, ...],
    epochs: int | None,
    best_by: str | None,
    patience: int | None,
    tensorboard: bool,
    compress: bool,
    preprocessing: Preprocessing | None,
    device: str,
    force: bool,
    as_json: bool,
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
    Example: lnn-edge train har-cfc --data walks --fold 0 --patience 10 -o runs/walks
    Example: lnn-edge train ccfc --compress --data-dir data -o runs/ccfc
    """
    from lnn_edge.quantize.aware import ThroughIntegers
    from lnn_edge.train.loop import train
    from lnn_edge.train.own import Asked
    from lnn_edge.train.plan import adjusted, plan_training
    from lnn_edge.train.tensorboard import event_writer

    plan = plan_training(
        adjusted(
            recipe,
            settings,
            epochs,
            preprocessing,
            compress=compress,
            best_by=best_by,
            patience=patience,
        ),
        wish.own,
        Asked(task or "", labels, wish.lead or ""),
        dataset=wish.dataset,
        data_dir=wish.data_dir,
        by=split,
        fold=fold,
    )
    for line in () if as_json else plan.told:
        click.echo(line)
    history: list[dict[str, object]] = []
    with progress(as_json) as bar, event_writer(output, is_wanted=tensorboard) as write:
        shown = bar.add_task("training", total=plan.recipe.training.epochs, note="")
        tell = _teller(is_quiet=as_json or not bar.disable)

        def on_epoch(report: EpochReport) -> None:
            judged = report.validation
            figure, value = judged.main if judged else ("main_f1", None)
            note = f"loss {report.loss:.3f}"
            note += f", validation {_WATCHED[figure]} {value:.3f}" if judged else ""
            bar.update(shown, completed=report.epoch, note=note)
            tell(report, note)
            write(report.entry)
            history.append({"loss": report.loss, figure: value})

        def on_resume(done: int) -> None:
            if not as_json:
                bar.console.print(f"resumed at epoch {done + 1} of {plan.recipe.training.epochs}")

        trained = train(
            plan.recipe,
            plan.training,
            plan.held_out,
            output,
            seed=seed,
            device=device,
            on_epoch=on_epoch,
            on_resume=on_resume,
            force=force,
            task=plan.task,
            data=plan.data,
            through=ThroughIntegers,
            beside=plan.beside,
        )
    count, untaught = len(plan.training) + len(plan.beside), list(trained.card.unlearned or ())
    if as_json:
        show_json(
            {"model": str(output), "records": count, "epochs": history, "unlearned": untaught}
            | {"result": trained.card.result}
            | ({"data": plan.data} if plan.data else {})
        )
        return
    console().print(f"trained on {count} recordings: {output}/model.safetensors")
    if plan.recipe.training.best_by:
        console().print(_kept(trained.card.result))
    if untaught:
        names = ", ".join(untaught)
        console().print(f"no label taught the class {names}; its scores mean nothing")
    console().print(f"next: lnn-edge quantize {output}")


def _kept(result: Mapping[str, Any]) -> str:
    """Say which epoch's weights are kept."""
    by = result["chosen_by"]
    value = result["held_out"][by]
    return f"kept epoch {result['epoch']} of {result['epochs']} done, the best by {by}: {value:.4g}"


def _teller(*, is_quiet: bool) -> Callable[[EpochReport, str], None]:
    """Return what prints an epoch to stderr if the last line is a minute old."""
    told = [time.monotonic()]

    def tell(report: EpochReport, note: str) -> None:
        if is_quiet or time.monotonic() < told[-1] + LINE_S:
            return
        told.append(time.monotonic())
        click.echo(f"epoch {report.epoch} of {report.epochs}: {note}", err=True)

    return tell

"""`lnn-edge sweep`: one recipe with many settings, judged in folds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnn_edge.cli.output import console, force_option, json_option, progress, show_json, table
from lnn_edge.cli.recordings import wish_options

if TYPE_CHECKING:
    from lnn_edge.sweep.result import SweepResult
    from lnn_edge.tasks.feed import Wish

LINE_S = 60  # seconds from one line of progress to the next, where no bar shows


@click.command(name="sweep")
@click.argument("recipe")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@wish_options("Data set instead of the recipe's.")
@click.option("--task", help="Of own recordings: name of a task, or its TOML file.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Of own recordings: TOML lines label = "class".',
)
@click.option("--folds", type=int, metavar="N", help="The first N of the folds  [default: all].")
@click.option("--seeds", default="0", show_default=True, metavar="N,N", help="With commas.")
@click.option(
    "--set",
    "choices",
    metavar="KEY=VALUE,VALUE",
    multiple=True,
    help="Values to try instead of the recipe's; with several keys every combination.",
)
@click.option("--max-flash", type=int, help="Train no network whose firmware has more bytes.")
@click.option("--max-ram", type=int, help="The same, with its worst-case stack.")
@click.option("--max-instructions", type=int, help="The same, of a decision with its samples.")
@click.option("--board", default="stm32f746", show_default=True, help="Whose firmware is measured.")
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="Ray cluster, auto or HOST:PORT  [default: the cores of this machine].",
)
@force_option
@json_option
def command(
    recipe: str,
    output: Path,
    wish: Wish,
    task: str | None,
    labels: Path | None,
    folds: int | None,
    seeds: str,
    choices: tuple[str, ...],
    max_flash: int | None,
    max_ram: int | None,
    max_instructions: int | None,
    board: str,
    ray_address: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Train RECIPE with every combination of settings, and judge each on recordings held out.

    Every fold of patients or subjects is held out once and trained without; all folds of a seed are
    judged together, by floats and by integers. A network whose firmware is over a limit is not
    trained. With Ray, `pip install 'lnn-edge[sweep]'`, trainings run on all cores, or on a cluster;
    without it one after another, with the same results.

    The folder has results.csv (each seed), settings.csv (means), figures.json (everything),
    front.svg, and best.toml, a recipe for `train`. A finished training is kept there and not
    repeated: give the same command again after an interrupt, or with more seeds or values.

    \b
    Example: lnn-edge sweep ecg-beats-cfc --data-dir data --seeds 0,1,2 -o runs/beats
    Example: lnn-edge sweep har-cfc --folds 2 --set model.hidden_size=8,16,32 -o runs/sizes
    Example: lnn-edge sweep har-cfc --set hidden_size=8,16 --max-flash 32768 -o runs/small
    Example: lnn-edge sweep har-cfc --data walks --label-column activity -o runs/walks
    """
    from lnn_edge.sweep.plan import Asked
    from lnn_edge.sweep.run import engine_for, run_sweep
    from lnn_edge.sweep.sizes import Limits
    from lnn_edge.sweep.trial import Recordings
    from lnn_edge.train.own import Asked as About

    about = About(task or "", labels, wish.lead or "")
    asked = Asked(
        recipe,
        Recordings(wish.own, about, wish.dataset, wish.data_dir),
        choices,
        folds,
        numbers_of(seeds),
        Limits(max_flash, max_ram, max_instructions),
        board,
    )
    engine = engine_for(ray_address)
    with _told(is_quiet=as_json) as (on_step, on_trial):
        found = run_sweep(asked, output, engine, on_step=on_step, on_trial=on_trial, force=force)
    if as_json:
        show_json(found.to_json())
        return
    show_sweep(found, output)


def numbers_of(text: str) -> tuple[int, ...]:
    """Return the numbers between commas.

    Raises:
        UsageError: They are none.
    """
    from lnn_edge.errors import UsageError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--seeds must be numbers with commas, as 0,1,2, not {text}") from None


def show_sweep(found: SweepResult, folder: Path) -> None:
    """Print a line for each setting, best first, and what to do next."""
    form, on_front = found.form, set(map(id, found.front))
    heads = ("setting", f"{found.main}, {form}", "seeds", "flash", "RAM", "instructions", "front")
    rows = (
        (
            found.plan.name(s.planned.setting),
            "-" if s.note else f"{s.mean(form):.4f}",
            "-" if s.note else f"{min(s.values(form)):.4f} to {max(s.values(form)):.4f}",
            *map(
                _count, (s.planned.sizes.flash, s.planned.sizes.ram, s.planned.sizes.instructions)
            ),
            "best" if s is found.best else "yes" if id(s) in on_front else "",
        )
        for s in found.settings
    )
    out, numbers = console(), ", ".join(str(s.seed) for s in found.best.seeds)
    folds = f"folds judged together: {found.plan.folds}"
    title = f"{found.plan.recipe}: mean of the seeds {numbers}; {folds}"
    out.print(table(title, heads, rows))
    for setting in (s for s in found.settings if s.note):
        out.print(f"{found.plan.name(setting.planned.setting)}: {setting.note}")
    out.print(f"written: {folder}/results.csv, settings.csv, figures.json, front.svg")
    out.print(f"next: lnn-edge train {folder}/best.toml")


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


@contextmanager
def _told(*, is_quiet: bool) -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Give what shows steps and finished trials: a bar, or in no terminal a line a minute."""
    last = [-float("inf")]
    with progress(is_quiet) as bar:
        shown = bar.add_task("sweep", total=None, note="")

        def on_step(words: str) -> None:
            bar.update(shown, note=words)

        def on_trial(done: int, count: int) -> None:
            bar.update(shown, completed=done, total=count, note="trainings")
            if bar.disable and not is_quiet and time.monotonic() >= last[-1] + LINE_S:
                last.append(time.monotonic())
                click.echo(f"{done} of {count} trainings are finished", err=True)

        yield on_step, on_trial

"""`lnn-edge demo`: the whole line on embedded data, without a board."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from lnn_edge.cli.evaluate import told_figures
from lnn_edge.cli.output import console, force_option, json_option, progress, show_json

if TYPE_CHECKING:
    from lnn_edge.train.loop import EpochReport

BOARD = "stm32f746"
MAX_FLASH, MAX_RAM = 40 * 1024, 16 * 1024


@dataclass(frozen=True)
class _Task:
    """What a task shows: its recipe, generated data, and which of its test records are streamed."""

    recipe: str
    dataset: str
    streamed: tuple[str, ...]  # few: the line is slow, as a real one


TASKS = {
    "ecg": _Task("ecg-beats-demo", "synthetic", ("s10",)),
    "har": _Task("har-demo", "synthetic-activity", ("p09",)),
}


@click.command(name="demo")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), default=Path("demo"), show_default=True
)
@click.option(
    "--link", type=click.Choice(["virtual", "host"]), default="virtual", show_default=True
)
@click.option("--task", type=click.Choice(list(TASKS)), default="ecg", show_default=True)
@force_option
@json_option
def command(folder: Path, link: str, task: str, force: bool, as_json: bool) -> None:
    """Train on generated data and run it on the virtual board, without a board or a download.

    Task ecg: a beat classifier, and then the shipped model on real ECG. Task har: an activity
    classifier; no real motion is part of lnn-edge, since the licence of the data forbids it. The
    folder is a new one or that of an earlier demo; what you changed there is kept or named.

    \b
    Example: lnn-edge demo --out demo
    """
    from lnn_edge.files.lock import alone_in
    from lnn_edge.files.shipped import shipped_graph
    from lnn_edge.files.write import claim
    from lnn_edge.report import write_report

    steps, chosen = _Steps(as_json), TASKS[task]
    with alone_in(folder, patience_s=0):
        claim(folder, "demo", force=force)
        prove = partial(_prove, link=link, steps=steps, force=force)
        graph = _make_model(chosen, folder, steps, force, as_json)
        made = folder / ("firmware-synthetic" if task == "ecg" else "firmware")
        results = {"synthetic": prove(graph, made, chosen.dataset, chosen.streamed)}
        if task == "ecg":
            results["shipped"] = prove(shipped_graph(), folder / "firmware", "excerpts")
        with steps.step("report"):
            report = write_report(folder / "firmware", folder / "report.html", force=force)
    if as_json:
        show_json({"seconds": steps.seconds, "report": str(report), "verify": results})
        return
    console().print(f"report: {report}")


class _Steps:
    """Says what is being done and how long it took."""

    def __init__(self, as_json: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._out = Console(highlight=False, quiet=as_json)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time a step; the caller may add a remark."""
        remarks: list[str] = []
        begin = time.monotonic()
        yield remarks.append
        seconds = self.seconds[name] = round(time.monotonic() - begin, 1)
        self._out.print(f"{name:<28} {seconds:6.1f} s  {'; '.join(remarks)}")


def _make_model(task: _Task, folder: Path, steps: _Steps, force: bool, as_json: bool) -> Path:
    """Train and quantize the demo recipe on generated recordings; return the graph's path."""
    import lnn_edge as le
    from lnn_edge.build.decide import WORDS
    from lnn_edge.files.lock import alone_in
    from lnn_edge.files.write import OWN, publish
    from lnn_edge.quantize.trained import quantize_trained
    from lnn_edge.tasks.feed import Wish

    data, model, work = str(folder / "data"), folder / "model", folder / f"{OWN}-training"
    with steps.step(f"train on {task.dataset}"), progress(as_json) as bar:
        shown = bar.add_task("training", total=None, note="")

        def on_epoch(report: EpochReport) -> None:
            note = f"loss {report.loss:.3f}"
            bar.update(shown, total=report.epochs, completed=report.epoch, note=note)

        le.train(task.recipe, to=work, data_dir=data, on_epoch=on_epoch, force=True)
    with steps.step("quantize"):
        quantize_trained(work, Wish(data_dir=data), force=True)
        files = {path.name: path.read_bytes() for path in work.iterdir()}
        with alone_in(model):
            publish(model, files, "demo", last="model.toml", force=force)
        shutil.rmtree(work)
    with steps.step("evaluate") as remark:
        graph = model / "model.qgraph"
        verdict = le.evaluate(graph, task.dataset, split="test", data_dir=data)
        if verdict.figures is not None:
            remark(f"{told_figures(verdict.figures)}, on {verdict.figures.n} of the test")
        if verdict.engine is not None:
            remark(f"integers by: {WORDS[verdict.engine]}")
    return graph


def _prove(
    graph_path: Path,
    folder: Path,
    dataset: str,
    records: tuple[str, ...] | None = None,
    *,
    link: str,
    steps: _Steps,
    force: bool,
) -> dict[str, object]:
    """Export, build and verify a graph on all records of a data set, or on some."""
    import lnn_edge as le
    from lnn_edge.errors import VerificationError
    from lnn_edge.tasks.feed import Wish

    with steps.step(f"export and build, {dataset}") as remark:
        project = le.export(graph_path, board=BOARD, to=folder, force=force)
        size = le.build(project, max_flash=MAX_FLASH, max_ram=MAX_RAM).size
        assert size is not None
        remark(f"flash {size.flash_bytes}, RAM {size.ram_bytes} + stack {size.stack_bytes} bytes")
    with steps.step(f"verify on {link}, {dataset}") as remark:
        wish = Wish(dataset, data_dir=str(folder.parent / "data"), names=records)
        result = le.verify(project, link=link, data=wish)
        remark(f"{result.mismatches} mismatches in {result.steps} steps")
    failures = (*result.failures, *size.budget_failures)
    if failures:
        raise VerificationError(f"{folder}: {'; '.join(failures)}")
    return result.to_json()

"""`lnn-edge predict`: what a model says of recordings, or of a live stream; no labels needed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lnn_edge.cli import FAILED
from lnn_edge.cli.hints import hint_options
from lnn_edge.cli.output import force_option, json_option, show_json
from lnn_edge.cli.quality import quality_option
from lnn_edge.cli.recordings import channel_option, channels_from
from lnn_edge.cli.sinks import FILES, LINES, Sink, file_sink, line_sink
from lnn_edge.cli.tally import Tally
from lnn_edge.errors import DataError, UsageError

if TYPE_CHECKING:
    from lnn_edge.data.live import Lost
    from lnn_edge.graph.qgraph import QGraph
    from lnn_edge.tasks.predict import Predictor
    from lnn_edge.tasks.predicted import Predicted

STDIN = "-"
MOST_NAMED = 5  # lost lines


@click.command(name="predict")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File, or folder of files.")
@click.option(
    "--to", type=click.Choice([*LINES, *FILES]), default="csv", show_default=True, help="Form."
)
@click.option("--mean", is_flag=True, help="A row a recording: the mean of its decisions.")
@click.option("--float", "with_float", is_flag=True, help="The float model's scores beside.")
@click.option("--marks", is_flag=True, help="Take beats or events from the recordings' marks.")
@quality_option
@channel_option
@click.option("--lead", metavar="NAME", help="The recordings' channel that is the model's first.")
@click.option("--raw", is_flag=True, help="Of a stream: int16 steps of the model, little-endian.")
@click.option(
    "--start", "start_s", type=click.FloatRange(min=0), default=0.0, help="Of drawings, in s."
)
@hint_options
@force_option
@json_option
def command(
    model: Path,
    paths: tuple[str, ...],
    output: Path | None,
    to: str,
    mean: bool,
    with_float: bool,
    marks: bool,
    quality: tuple[int, int] | None,
    channels: tuple[str, ...],
    lead: str | None,
    raw: bool,
    start_s: float,
    force: bool,
    as_json: bool,
    **hints: Any,
) -> None:
    """Say what MODEL decides on recordings that need no labels.

    MODEL is a model.qgraph, the folder of one, or a shipped model by name. PATH is a file or a
    folder of any format that `data inspect` reads, or - for a live stream on stdin: lines of
    numbers, or --raw. A model of beats finds them itself, unless --marks or --annotator names
    them. A row per decision: recording, sample, time, class and scores (log odds), or values;
    with --mean a row per recording, as findings are judged. With --quality columns say what is
    wrong with the signal: of the decision, where it is unclassifiable, and of each channel.

    A recording that cannot be used is named, and the others go on; the exit code is then 1.

    \b
    Example: lnn-edge predict ecg-beats-cfc holter.edf --lead II -o beats.csv
    """
    from lnn_edge.files.shipped import graph_path
    from lnn_edge.graph.file import load_graph
    from lnn_edge.tasks.beats.additions import Additions
    from lnn_edge.tasks.predict import Predictor

    to = "json" if as_json and to in LINES else to
    graph = Additions(quality=quality).to(load_graph(graph_path(model)))
    marks = marks or hints["annotator"] is not None
    predictor = Predictor.of(graph, _channels(graph, channels, lead), marks=marks)
    is_stream = STDIN in paths
    if is_stream and (len(paths) > 1 or with_float or marks or mean or to in FILES):
        raise UsageError("a stream goes alone, to lines, without --float, --marks and --mean")
    beside = _beside(model, predictor.graph) if with_float else None
    with ExitStack() as stack:
        sink = _sink(stack, predictor, to, output, with_float, start_s, force)
        if is_stream:
            failed = _live(predictor, hints["rate_hz"], sink, raw=raw) > 0
        else:
            found = _predict(predictor, paths, hints, beside, sink, mean=mean)
            failed = bool(found.refused)
    if not is_stream and not as_json:
        found.show()
    elif to in FILES:
        show_json(found.document())
    raise SystemExit(FAILED if failed else 0)


def _predict(
    predictor: Predictor,
    paths: tuple[str, ...],
    hints: Mapping[str, Any],
    beside: Callable[[Predicted], Predicted] | None,
    sink: Sink,
    *,
    mean: bool,
) -> Tally:
    """Predict on the recordings at all paths."""
    from lnn_edge.data.open_records import find_together, read_records
    from lnn_edge.data.readers.reader import Hints

    found, there = Tally(), find_together([Path(path) for path in paths], Hints(**hints))
    records = read_records(there, found.refuse)
    for predicted in predictor.run(records, found.refuse, may_overwrite=True):
        found.add(predicted)
        told = beside(predicted) if beside else predicted
        sink(told.mean() if mean else told)
    if not found.recordings:
        raise DataError(_none(found.refused))
    found.name_refused()
    return found


def _none(refused: list[str]) -> str:
    if len(refused) == 1:
        return refused[0]
    first = next(iter(refused), "there is none")
    return f"no recording of {len(refused)} can be used; the first: {first}"


def _channels(graph: QGraph, texts: tuple[str, ...], lead: str | None) -> dict[str, str]:
    channels = channels_from(texts)
    if lead is not None:
        if not graph.contract.leads:
            raise UsageError("the model names no leads; leave --lead out")
        channels[graph.contract.leads[0]] = lead
    return channels


def _sink(
    stack: ExitStack,
    predictor: Predictor,
    to: str,
    output: Path | None,
    with_float: bool,
    start_s: float,
    force: bool,
) -> Sink:
    from lnn_edge.graph.stage import EventTrigger
    from lnn_edge.tasks.predicted import Answer

    answer = Answer.of(predictor.graph)
    if to in LINES:
        return stack.enter_context(
            line_sink(to, answer, output, with_floats=with_float, force=force)
        )
    events = isinstance(predictor.graph.deciding_trigger, EventTrigger)
    return file_sink(to, answer, output, events=events, start_s=start_s, force=force)


def _beside(model: Path, graph: QGraph) -> Callable[[Predicted], Predicted]:
    from lnn_edge.train.predict import FloatModel

    if not model.is_dir():
        raise UsageError(f"--float needs the folder of a trained model, and {model} is none")
    return FloatModel(model, graph).beside


def _live(predictor: Predictor, rate_hz: float | None, sink: Sink, *, raw: bool) -> int:
    """Predict on stdin until it ends; return how many frames were lost."""
    from lnn_edge.data.live import Lost
    from lnn_edge.tasks.live import live_frames, predict_live

    graph = predictor.graph
    frames = live_frames(graph, sys.stdin.buffer, rate_hz, predictor.channels, raw=raw)
    lost: list[Lost] = []

    def watched() -> Iterator[Any]:
        for item in frames:
            if isinstance(item, Lost):
                lost.append(item)
                if len(lost) <= MOST_NAMED:
                    click.echo(f"line {item.number} is lost: {item.reason}", err=True)
            yield item

    with suppress(KeyboardInterrupt):  # how a user ends a stream
        for predicted in predict_live(graph, watched()):
            sink(predicted)
    if len(lost) > MOST_NAMED:
        click.echo(f"{len(lost):,} lines were lost", err=True)
    return len(lost)

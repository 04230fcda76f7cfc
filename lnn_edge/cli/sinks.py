"""Where `lnn-edge predict` puts what a model says: lines of CSV or JSON, or files in a folder."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lnn_edge.errors import UsageError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import growing, write_together

if TYPE_CHECKING:
    from lnn_edge.tasks.predicted import Answer, Predicted

LINES = ("csv", "json")
FILES = ("wfdb", "svg")
SUFFIX = "lnn"  # of annotation files: the annotator
_STRANGE = re.compile(r"[^\w.\-/ ]")
Sink = Callable[["Predicted"], None]


@contextmanager
def line_sink(kind: str, answer: Answer, to: Path | None, *, with_floats: bool,
              force: bool) -> Iterator[Sink]:  # fmt: skip
    """Yield what writes rows to stdout, or to a file that is there, whole, in the end.

    Args:
        kind: One of LINES.
        answer: Of the model.
        to: The file; None is stdout.
        with_floats: Whether there are outputs of the float model beside.
        force: Whether to replace a file.
    """
    if to is None:
        yield _lines(kind, sys.stdout, answer, with_floats=with_floats)
        return
    with growing(to, force=force) as out:
        yield _lines(kind, out, answer, with_floats=with_floats)


def _lines(kind: str, out: TextIO, answer: Answer, *, with_floats: bool) -> Sink:
    from lnn_edge.tasks.predicted import documents, header, rows

    writer = csv.writer(out, lineterminator="\n")
    ahead = [header(answer, with_floats=with_floats)]  # not before there is something below it

    def take(predicted: Predicted) -> None:
        if kind == "csv":
            writer.writerows(chain(ahead, rows(predicted)))
            ahead.clear()
        else:
            out.writelines(json.dumps(d) + "\n" for d in documents(predicted))
        out.flush()  # a stream shows its decisions as they fall

    return take


def file_sink(
    kind: str, answer: Answer, to: Path | None, *, events: bool, start_s: float, force: bool
) -> Sink:
    """Return what writes a file for each recording.

    Args:
        kind: One of FILES.
        answer: Of the model.
        to: The folder.
        events: Whether the model decides on events.
        start_s: Where drawings begin.
        force: Whether to replace files.

    Raises:
        UsageError: There is no folder to write to, or the model has nothing to annotate.
    """
    if to is None:
        raise UsageError(f"--to {kind} writes a file for each recording; give their folder with -o")
    if kind == "wfdb":
        if not answer.classes:
            raise UsageError("the model tells values, which are no annotations; take --to csv")
        return partial(_write, to, SUFFIX, _annotations, force)
    from lnn_edge.report.strips import draw_predicted

    return partial(
        _write, to, "svg", partial(draw_predicted, events=events, start_s=start_s), force
    )


def _write(
    folder: Path,
    suffix: str,
    make: Callable[[Predicted], str | bytes],
    force: bool,
    predicted: Predicted,
) -> None:
    content = make(predicted)
    parts = [p for p in predicted.name.split("/") if p.strip(".")]  # a name may come from a file
    name = _STRANGE.sub("_", "/".join(parts)) or "recording"
    with alone_in(folder):
        write_together(folder, {f"{name}.{suffix}": content}, force=force)


def _annotations(predicted: Predicted) -> bytes:
    """Return a WFDB annotation file: beats by their symbols, all else as notes.

    Unclassifiable ones are beats of the symbol for that.
    """
    from lnn_edge.data.annotation_file import BEAT_SYMBOLS, UNCLASSIFIABLE
    from lnn_edge.data.wfdb_writer import NOTE, annotation_bytes

    said = predicted.classes
    is_beat = all(name in BEAT_SYMBOLS.values() for name in predicted.answer.classes)
    symbols = said if is_beat else [NOTE] * len(said)
    flawed = predicted.is_unclassifiable.tolist()
    symbols = [UNCLASSIFIABLE if bad else s for s, bad in zip(symbols, flawed, strict=True)]
    notes = [""] * len(said) if is_beat else said
    return annotation_bytes(predicted.samples, symbols, notes, predicted.fed.own_rate_hz)

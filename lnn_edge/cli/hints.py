"""Options for facts about recordings that their files do not contain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])
_COLUMNS = {
    "time": "of times",
    "label": "of labels",
    "subject": "that says who",
    "record": "that says which recording",
}
HINTS = ("rate_hz", "annotator", "intervals", *(f"{name}_column" for name in _COLUMNS))
"""Names of the options."""


def hint_options(function: Function) -> Function:
    """Add --rate, --annotator, --intervals and --time-column, --label-column ..."""
    for name, what in reversed(_COLUMNS.items()):
        text = f"Column {what} [default: found by its name]."
        function = click.option(f"--{name}-column", metavar="NAME", help=text)(function)
    kind = click.Path(path_type=Path, exists=True, dir_okay=False)
    text = "A second file: start, end and label of intervals [default: NAME.intervals.csv]."
    function = click.option("--intervals", type=kind, metavar="FILE", help=text)(function)
    text = "Suffix of the annotation files of WFDB records [default: atr, or what is there]."
    function = click.option("--annotator", metavar="SUFFIX", help=text)(function)
    number = click.FloatRange(min=0, min_open=True)
    text = "Samples per second, of files that do not tell."
    return click.option("--rate", "rate_hz", type=number, metavar="HZ", help=text)(function)

"""The option that lets a model of beats judge the signal."""

from __future__ import annotations

import re

import click


def _rails(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(-?\d+),(-?\d+)", text)
    if found is None:
        raise click.BadParameter(f"must be two samples such as 0,2047, not {text!r}")
    return int(found[1]), int(found[2])


quality_option = click.option(
    "--quality",
    metavar="LOW,HIGH",
    callback=_rails,
    help="Let a model of beats judge the signal too; the samples at which the ADC saturates.",
)

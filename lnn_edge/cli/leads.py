"""--lead: which lead of an ECG a model is fed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def lead_option(function: Function) -> Function:
    """Add --lead."""
    text = "Lead of an ECG with beats that comes first [default: the model's, or MLII]."
    return click.option("--lead", metavar="NAME", help=text)(function)

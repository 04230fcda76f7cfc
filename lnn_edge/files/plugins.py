"""What other packages add: entry points by group and name, loaded when they are asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from lnn_edge.errors import UsageError


def plugin_names(group: str) -> dict[str, str]:
    """Return the names that packages offer in a group, and which package each is of."""
    return {e.name: _package(e) for e in sorted(entry_points(group=group), key=lambda e: e.name)}


def load_plugin(group: str, name: str, kind: type) -> Any:
    """Return what a package offers under a name; None if none does.

    Args:
        group: Such as lnn_edge.runners.
        name: Of the entry point.
        kind: What it must be an instance of.

    Raises:
        UsageError: It cannot be loaded, or is something else.
    """
    for entry in entry_points(group=group, name=name):
        try:
            found = entry.load()
        except Exception as error:  # whatever a stranger's module raises
            raise UsageError(
                f"{_package(entry)} offers {name!r} in {group} and it cannot be loaded "
                f"({type(error).__name__}: {error}); mend or uninstall that package"
            ) from None
        if not isinstance(found, kind):
            raise UsageError(
                f"{_package(entry)} offers {name!r} in {group}, a {type(found).__name__}; it must "
                f"be a {kind.__name__}"
            )
        return found
    return None


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module

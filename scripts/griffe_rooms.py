"""Lets the site document functions that a room of the same name hides, such as quantize."""

from __future__ import annotations

from typing import Any

from griffe import Extension

PACKAGE, PREFIX = "lnn_edge", "call_"


class Functions(Extension):
    """Keeps each function of the package, under a key that no room has."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Any] = {}

    def on_function_instance(self, *, func: Any, **_: Any) -> None:
        """Remember a function of the package itself."""
        if func.parent.path == PACKAGE:
            self._found[f"{PREFIX}{func.name}"] = func

    def on_package(self, *, pkg: Any, **_: Any) -> None:
        """Add what was remembered."""
        if pkg.path == PACKAGE:
            for key, func in self._found.items():
                pkg.set_member(key, func)

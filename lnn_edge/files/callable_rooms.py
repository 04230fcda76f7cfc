"""Lets a room be called that has the name of a function of the library (docs/adr/0015)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def make_callable(package: str, *functions: Callable[..., Any]) -> None:
    """Make rooms of a package callable: importing one then hides no function of its name.

    Args:
        package: Name of the module in which the functions stand.
        functions: Each has the name of a room.
    """
    known = {f"{package}.{function.__name__}": function for function in functions}

    class Room(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return known[self.__name__](*args, **kwargs)

    class Package(ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            if isinstance(value, ModuleType) and value.__name__ in known:
                value.__class__ = Room
            super().__setattr__(name, value)

    sys.modules[package].__class__ = Package

"""Mappings (from TOML) -> frozen dataclasses: every key known, every type right."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast

from lnn_edge.errors import LnnEdgeError
from lnn_edge.files.names import shown

T = TypeVar("T")
_LARGEST = 1 << 1000  # of the integers that a float holds, nearly


def build(cls: type[T], values: Any, where: str, error: type[LnnEdgeError]) -> T:
    """Return cls(**values), nested dataclasses and tuples included.

    Args:
        cls: A dataclass.
        values: Mapping of its fields; those with a default may lack.
        where: What is being read, for messages.
        error: Class of error to raise.

    Raises:
        LnnEdgeError: Of class `error`; an unknown or missing key or a wrong type, named.
    """
    if not isinstance(values, Mapping):
        raise error(f"{where} must be a table, not {shown(repr(values))}")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise error(f"{where}: unknown key {shown(repr(unknown[0]))}; known are {', '.join(known)}")
    needed = [f.name for f in known.values() if f.default is f.default_factory is MISSING]
    missing = sorted(set(needed) - values.keys())
    if missing:
        raise error(f"{where}: key {missing[0]!r} is missing")
    hints = hints_of(cast(type, cls))
    converted = {k: convert(hints[k], v, f"{where}: {k}", error) for k, v in values.items()}
    return cls(**converted)


@cache
def hints_of(cls: type) -> Mapping[str, Any]:
    """Return the types that the fields of a class ask for; they are the same in every file."""
    return typing.get_type_hints(cls)


def convert(hint: Any, value: Any, where: str, error: type[LnnEdgeError]) -> Any:
    """Return a value as the type that is asked for: see build.

    Raises:
        LnnEdgeError: Of class `error`; the value has another type.
    """
    if type(value) is hint:  # most values of most files
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, hint):
        return value
    if is_dataclass(hint):
        return build(typing.cast(type, hint), value, where, error)
    if origin is tuple and isinstance(value, (list, tuple)):
        if Ellipsis in arguments or len(arguments) == len(value):
            return tuple(convert(arguments[0], v, where, error) for v in value)
    if origin is Literal and value in arguments:
        return value
    if origin is dict and isinstance(value, Mapping):
        of_key, of_value = arguments
        return {
            convert(of_key, k, where, error): convert(of_value, v, f"{where}: {shown(k)}", error)
            for k, v in value.items()
        }
    if origin in (Union, types.UnionType):
        for argument in arguments:
            with suppress(error):
                return convert(argument, value, where, error)
    if hint in (object, Any):
        return value
    if hint is float and type(value) is int and abs(value) < _LARGEST:
        return float(value)
    raise error(f"{where} must be {_name(hint)}, not {shown(repr(value))}")


def _name(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        names = ("None" if a is types.NoneType else _name(a) for a in arguments)
        return " | ".join(names)
    return str(arguments if origin is Literal else getattr(hint, "__name__", hint))

"""The gate between data and generated text: C, linker scripts, CMake.

What a template says itself is code. What it fills in is code only if it is an integer or a C name,
or if a filter here made it harmless; anything else is refused. So a filter that was forgotten lets
nothing through, and shows at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.filters import do_indent

from lnn_edge.errors import GraphError
from lnn_edge.files.names import shown

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9_./+=-]+")  # one argument of CMake, of a linker and of a shell

_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


class Code(str):
    """Text that is code already; what is joined to it or put into it passes the gate."""

    def __add__(self, other: object) -> Code:
        """Join."""
        return Code(str(self) + str(gate(other)))

    def __mod__(self, values: object) -> Code:
        """Format."""
        parts = values if isinstance(values, tuple) else (values,)
        return Code(str(self) % tuple(p if type(p) is int else gate(p) for p in parts))


def gate(value: object) -> Code:
    """Return a value as code.

    Raises:
        GraphError: It is no code, no integer and no C name.
    """
    if isinstance(value, Code):
        return value
    if isinstance(value, jinja2.Undefined):  # an "if" without its "else"
        return Code(str(value))
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return Code(int(value))
    if isinstance(value, str) and _NAME.fullmatch(value):
        return Code(value)
    raise GraphError(f"{shown(repr(value))} cannot stand in generated code; rename it")


def comment(value: object) -> Code:
    """Return text of one line for inside a comment, which it can neither end nor continue.

    Good in C, where it is no trigraph either, in linker scripts, and behind the # of CMake.
    """
    text = "".join(c if c.isprintable() and c != "\\" else "|" for c in str(value))
    return Code(re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", text))


def quoted(value: str) -> Code:
    """Return a string literal of C."""
    raw = map(chr, value.encode())
    text = "".join(c if _WORD.fullmatch(c) or c == " " else f"\\{ord(c):03o}" for c in raw)
    return Code(f'"{text}"')


def real(value: float) -> Code:
    """Return a literal of C of type float.

    Raises:
        GraphError: It is not finite, or no normal number of that type.
    """
    if not _SMALLEST <= abs(value) <= _LARGEST:
        raise GraphError(f"{value} is no number that a float of C holds; scale it")
    return Code(f"{value:.9e}F")


def words(values: Iterable[str]) -> Code:
    """Return arguments of CMake, unquoted.

    Raises:
        GraphError: One holds what CMake, a linker or a shell would take for more than a word.
    """
    values = list(values)
    for value in values:
        if not _WORD.fullmatch(value):
            raise GraphError(f"{shown(value)!r} is no plain word for CMake; rename it")
    return Code(" ".join(values))


def _hexadecimal(value: int, digits: int = 0) -> Code:
    return Code(f"0x{value:0{digits}X}")


def _indent(text: Code, width: int, first: bool = False) -> Code:
    return Code(do_indent(str(gate(text)), width, first))


def _trim(text: Code) -> Code:
    return Code(gate(text).strip())


def _join(values: Iterable[object], between: Code) -> Code:
    return Code(between.join(map(gate, values)))


class _Generator(CodeGenerator):
    """Marks the strings that a template itself holds as code."""

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:
        """Write a constant."""
        value = node.as_const(frame.eval_ctx)
        if isinstance(value, str):
            self.write(f"environment.code({value!r})")
        else:
            super().visit_Const(node, frame)


class Templates(jinja2.Environment):
    """Templates of code, whose every filled-in value passes the gate.

    Args:
        folder: Where they lie.
        filters: More filters; they return Code.
    """

    code_generator_class = _Generator
    code = Code

    def __init__(self, folder: Path, **filters: Any) -> None:
        super().__init__(
            loader=jinja2.FileSystemLoader(folder),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
            finalize=gate,
        )
        self.filters.update(comment=comment, quoted=quoted, real=real, words=words)
        self.filters.update(hex=_hexadecimal, indent=_indent, trim=_trim, join=_join, **filters)

    @staticmethod
    def concat(parts: Iterable[str]) -> Code:
        """Return rendered parts as one: what macros and templates give is code."""
        return Code("".join(parts))

"""Which names a model and its parts may have, and what of a text may be printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lnn_edge.errors import GraphError

LONGEST_NAME = 63
LONGEST_TEXT = 255
LONGEST_SHOWN = 80  # of what is wrong, in an error

# Words of C and C++: generated headers serve both.
KEYWORDS = frozenset(
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char class co_await "
    "co_return co_yield compl concept const const_cast consteval constexpr constinit continue "
    "decltype default delete do double dynamic_cast else enum explicit export extern false float "
    "for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator "
    "or or_eq private protected public register reinterpret_cast requires restrict return short "
    "signed sizeof static static_assert static_cast struct switch template this thread_local throw "
    "true try typedef typeid typename typeof union unsigned using virtual void volatile while xor "
    "xor_eq".split()
)
# What C keeps for itself, for types, and for macros of <stdint.h> and of the runtime.
_RESERVED = re.compile(r"_.*|.*__.*|.*_t|(lnn|LNN)_.*|U?INT.*_(C|MIN|MAX)|NULL|EOF|errno|assert")
# Their X.h would be taken for a header of C, of the firmware or of a CubeMX project.
_FILES = frozenset(
    "assert complex ctype errno fenv inttypes iso646 limits locale main math model_binding setjmp "
    "signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath "
    "threads time uchar wchar wctype".split()
)
# In a path, of CMake, Ninja or the Tcl of OpenOCD.
_ACTIVE = frozenset('";<>[]\\|')


def listed(names: Sequence[str], most: int) -> str:
    """Return names, of many the first and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def name_fault(name: object) -> str | None:
    """Say why a name can be none in C and C++; None where it can."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return "is not a C identifier"
    if len(name) > LONGEST_NAME:
        return f"has more than {LONGEST_NAME} characters"
    is_kept = name in KEYWORDS or _RESERVED.fullmatch(name)
    return "is not a C identifier of your own: C or C++ keeps it" if is_kept else None


def model_name_fault(name: object) -> str | None:
    """Say why a name can be no prefix of C symbols and files; None where it can."""
    fault = name_fault(name)
    return "is that of a header of C or of a project" if not fault and name in _FILES else fault


def check_name(what: str, name: object) -> None:
    """Raise GraphError unless a name can be one in C."""
    _raise(f"{what} name", name, name_fault(name))


def check_model_name(what: str, name: object) -> None:
    """Raise GraphError unless a name can be the prefix of C symbols and files."""
    _raise(f"{what} name", name, model_name_fault(name))


def check_text(what: str, text: object) -> None:
    """Raise GraphError unless this is printable text on one line."""
    fault = f"is not printable text on one line of at most {LONGEST_TEXT} characters"
    _raise(what, text, None if is_text(text) else fault)


def is_text(text: object) -> bool:
    """Return whether this is printable text on one line."""
    return isinstance(text, str) and len(text) <= LONGEST_TEXT and text.isprintable()


def active_character(path: Path, more: str = "") -> str | None:
    """Return a character of a path that CMake, Ninja or Tcl takes for a command, or one of more."""
    return next((c for c in str(path) if c in _ACTIVE or c in more or not c.isprintable()), None)


def shown(value: object, longest: int = LONGEST_SHOWN) -> str:
    """Return a value for an error: printable, on one line, and not too long."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= longest else f"{text[:longest]}..."


def _raise(what: str, value: object, fault: str | None) -> None:
    if fault is not None:
        raise GraphError(f"{what} {shown(repr(value))} {fault}; rename it")

"""The bytes of a protocol buffer -> its fields, one after the other. No meaning of ONNX here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

Field = tuple[int, "int | float | memoryview"]
"""Number of a field, and its value: an integer, a float of 4 bytes, or bytes."""
MOST_FIELDS = 400_000
"""Of a file: half a second of reading, and some hundred bytes each once they are read."""
_LONGEST = 10  # bytes of an integer


class Damaged(ValueError):
    """Bytes that are no message."""


@dataclass
class Budget:
    """How many fields of a file may still be read."""

    left: int = MOST_FIELDS

    def take(self, count: int = 1) -> None:
        """Count fields.

        Raises:
            Damaged: There are too many.
        """
        self.left -= count
        if self.left < 0:
            raise Damaged(f"it has more than {MOST_FIELDS:,} fields")


def fields(raw: memoryview, budget: Budget) -> Iterator[Field]:
    """Yield the fields of a message.

    Args:
        raw: Its bytes.
        budget: Of the file.

    Raises:
        Damaged: They end too early, are of an unknown form, or are too many.
    """
    at, end = 0, len(raw)
    while at < end:
        budget.take()
        key, at = _varint(raw, at)
        number, form = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise Damaged(f"a field has number {number}")
        value: int | float | memoryview
        if form == 0:
            value, at = _varint(raw, at)
        elif form == 2:
            size, at = _varint(raw, at)
            value, at = raw[at : at + size], at + size
        elif form == 5:
            value, at = _float(raw, at), at + 4
        elif form == 1:
            value, at = 0.0, at + 8  # a double: no field that is read is one
        else:
            raise Damaged(f"a field has form {form}")
        if at > end:
            raise Damaged("a field ends behind the file")
        yield number, value


def integers(value: int | float | memoryview, budget: Budget) -> Iterator[int]:
    """Yield the signed integers of a repeated field, packed or one alone."""
    if isinstance(value, int):
        yield signed(value)
        return
    raw, at = message(value), 0
    while at < len(raw):
        budget.take()
        found, at = _varint(raw, at)
        yield signed(found)


def signed(value: int | float | memoryview) -> int:
    """Return an integer of 64 bits as it is meant.

    Raises:
        Damaged: It is no integer.
    """
    if not isinstance(value, int):
        raise Damaged("a field that must be an integer is none")
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def message(value: int | float | memoryview) -> memoryview:
    """Return bytes.

    Raises:
        Damaged: The field holds none.
    """
    if not isinstance(value, memoryview):
        raise Damaged("a field that must hold bytes does not")
    return value


def text(value: int | float | memoryview) -> str:
    """Return a text.

    Raises:
        Damaged: It is none.
    """
    try:
        return message(value).tobytes().decode()
    except UnicodeDecodeError:
        raise Damaged("a name is no text") from None


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    """Return an integer and the place behind it."""
    value = shift = 0
    for index in range(at, min(at + _LONGEST, len(raw))):
        byte = raw[index]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, index + 1
        shift += 7
    raise Damaged("an integer does not end")


def _float(raw: memoryview, at: int) -> float:
    if at + 4 > len(raw):
        raise Damaged("a field ends behind the file")
    value: float = struct.unpack_from("<f", raw, at)[0]
    return value

"""Messages of protobuf -> their fields by number, without a schema; damage is a ValueError."""

from __future__ import annotations

from collections.abc import Iterator

Field = int | bytes
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MOST_BITS = 64


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place behind it."""
    value = 0
    for shift in range(0, _MOST_BITS, 7):
        if at >= len(data):
            raise ValueError("a number is cut off")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("a number has more than 64 bits")


def fields(data: bytes) -> Iterator[tuple[int, Field]]:
    """Yield number and value of each field of a message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind, value = key & 7, b""
        if kind == _VARINT:
            number, at = varint(data, at)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            size, at = varint(data, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"a field has the unknown kind {kind}")
        value, at = data[at : at + size], at + size
        if len(value) != size:
            raise ValueError("a field is cut off")
        yield key >> 3, value


def texts(data: bytes, number: int) -> list[bytes]:
    """Return the fields of a number that are bytes."""
    return [value for found, value in fields(data) if found == number and isinstance(value, bytes)]


def numbers(data: bytes, number: int) -> list[int]:
    """Return the fields of a number that are integers."""
    return [value for found, value in fields(data) if found == number and isinstance(value, int)]

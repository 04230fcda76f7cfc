"""Arrays in the bytes of a .npy file, which may be untrusted, and back."""

from __future__ import annotations

import ast
import io
import math
import mmap
import re

import numpy as np

NPY = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # bytes; numpy's own limit
_REAL = re.compile(r"[<>=|]?[fiu][1248]")
_PLAIN = re.compile(r"[<>=|]?([fiu][1248]|b1|[SU]\d{1,6})")


class StrangeTypeError(ValueError):
    """An array holds something else than numbers, or than numbers and text."""


def array_of(data: bytes | mmap.mmap, *, with_text: bool = False) -> np.ndarray:
    """Return the array of numbers in the bytes of a .npy file; it shares their memory.

    Args:
        data: The file, in memory or mapped.
        with_text: Whether it may hold text or truth values too.

    Raises:
        StrangeTypeError: It holds Python objects, records or something else.
        ValueError: The bytes are no array, or not exactly as long as its header says.
    """
    version, size = data[6:8], 2 if data[6:7] == b"\x01" else 4
    if data[:6] != NPY or version not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ValueError("it does not begin as one")
    length = int.from_bytes(data[8 : 8 + size], "little")
    start = 8 + size + length
    if length > _LONGEST_HEADER or start > len(data):
        raise ValueError("its header is longer than the file or 10,000 bytes")
    dtype, shape, in_columns = _header(data[8 + size : start], _PLAIN if with_text else _REAL)
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"{len(data) - start} bytes are no {dtype} of shape {shape}")
    array = np.frombuffer(data, dtype, offset=start)
    return array.reshape(shape, order="F" if in_columns else "C")


def npy_of(array: np.ndarray) -> bytes:
    """Return the bytes of a .npy file, the same for the same array."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0))
    return buffer.getvalue()


def _header(text: bytes, types: re.Pattern[str]) -> tuple[np.dtype, tuple[int, ...], bool]:
    try:
        plain = text.decode("latin-1").replace("L", "")  # Python 2 wrote sizes such as 6L
        values = ast.literal_eval(plain.strip())
        descr, shape, in_columns = (values[k] for k in ("descr", "shape", "fortran_order"))
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise ValueError("its header is damaged") from None
    if not isinstance(descr, str) or not types.fullmatch(descr) or descr[-2:] == "f1":
        raise StrangeTypeError("it must hold real numbers")
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 1 << 31 for n in shape):
        raise ValueError("its shape is damaged")
    if len(shape) > 16:
        raise ValueError("it has more than 16 axes")
    return np.dtype(descr), shape, bool(in_columns)

"""Recognises firmware of protocol versions 1 and 2, whose frames end in a CRC of 16 bits."""

from __future__ import annotations

import binascii
import struct

from cobs import cobs

from lnn_edge.device.protocol import Kind

_VERSION = 2


def old_hello() -> bytes:
    """Return the block of a HELLO as version 2 wrote it."""
    body = bytes([Kind.HELLO, 0, _VERSION])
    block: bytes = cobs.encode(body + struct.pack("<H", _crc(body)))
    return b"\0" + block + b"\0"


def is_old_answer(received: bytes) -> bool:
    """Whether a block among the bytes received answers that HELLO."""
    return any(map(_answers, received.split(b"\0")))


def _answers(block: bytes) -> bool:
    try:
        raw: bytes = cobs.decode(block)
    except cobs.DecodeError:
        return False
    is_reply = raw[:1] in (bytes([Kind.INFO]), bytes([Kind.ERROR]))
    return is_reply and struct.pack("<H", _crc(raw[:-2])) == raw[-2:]


def _crc(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: crc(b"123456789") = 0x29B1."""
    return binascii.crc_hqx(data, 0xFFFF)

"""Frames of the wire protocol: a byte stream cut into typed, numbered, checked payloads.

Knows nothing of what a payload means. The contract is docs/protocol.md.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

from lnn_edge.errors import LinkError

MAX_PAYLOAD = 1024  # bytes of a request, docs/protocol.md
LARGEST_REPLY = 8192  # bytes: a result with the state of a large model
_HEAD_BYTES, _CRC_BYTES = 2, 4  # type, seq; crc
_OVERHEAD = _HEAD_BYTES + _CRC_BYTES
# COBS adds one byte for each started run of 254.
MAX_BLOCK = LARGEST_REPLY + _OVERHEAD + (LARGEST_REPLY + _OVERHEAD) // 254 + 1


@dataclass(frozen=True)
class Frame:
    """One frame: type byte, sequence number 0..255, payload of 0..LARGEST_REPLY bytes."""

    kind: int
    seq: int
    payload: bytes = b""


def encode_frame(frame: Frame) -> bytes:
    """Return the COBS block of a frame with its terminating zero.

    Raises:
        LinkError: The payload is longer than MAX_PAYLOAD.
    """
    if len(frame.payload) > MAX_PAYLOAD:
        raise LinkError(
            f"a payload of {len(frame.payload)} bytes does not fit a frame;"
            f" send at most {MAX_PAYLOAD}"
        )
    body = bytes((frame.kind, frame.seq)) + frame.payload
    block: bytes = cobs.encode(body + struct.pack("<I", zlib.crc32(body)))
    return block + b"\0"


class FrameDecoder:
    """Cuts a byte stream into frames; drops and counts what is not one.

    Attributes:
        bad_frames: Blocks dropped because of COBS, length or CRC.
    """

    def __init__(self) -> None:
        """Start between two blocks."""
        self.bad_frames = 0
        self._block = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes, in any cut, and return the frames they complete."""
        found: list[Frame] = []
        *complete, rest = data.split(b"\0")
        for part in complete:
            self._append(part)
            frame = self._finish()
            if frame is not None:
                found.append(frame)
        self._append(rest)
        return found

    def _append(self, part: bytes) -> None:
        # One byte past the limit is enough to know that the block is too long.
        self._block += part[: MAX_BLOCK + 1 - len(self._block)]

    def _finish(self) -> Frame | None:
        block, self._block = bytes(self._block), bytearray()
        if not block:
            return None
        frame = _parse_block(block)
        self.bad_frames += frame is None
        return frame


def _parse_block(block: bytes) -> Frame | None:
    """Frame of one COBS block, or None if it is damaged."""
    if len(block) > MAX_BLOCK:
        return None
    try:
        raw = cobs.decode(block)
    except cobs.DecodeError:
        return None
    if not _OVERHEAD <= len(raw) <= LARGEST_REPLY + _OVERHEAD:
        return None
    body, crc = raw[:-_CRC_BYTES], raw[-_CRC_BYTES:]
    if struct.pack("<I", zlib.crc32(body)) != crc:
        return None
    return Frame(body[0], body[1], body[2:])

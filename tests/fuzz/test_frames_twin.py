"""Frames by the firmware's C and by the host's Python: alike of any stream, whole and damaged."""

from __future__ import annotations

import ctypes
import random
import struct
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cobs import cobs

from lnn_edge.device.framing import (
    LARGEST_REPLY,
    MAX_BLOCK,
    MAX_PAYLOAD,
    Frame,
    FrameDecoder,
    encode_frame,
)
from lnn_edge.files import resources
from tests.fuzz.harness import HERE
from tests.support.host_c import WARNINGS
from tests.support.places import SUPPORT

STREAMS = 4_000
CRC_BYTES = 4


@dataclass(frozen=True)
class Firmware:
    """The functions of decode.c; the buffers fit the longest stream of this test."""

    library: ctypes.CDLL

    def decode(self, stream: bytes) -> tuple[list[Frame], int]:
        bodies = ctypes.create_string_buffer(len(stream) + 1)
        lengths, bad = (ctypes.c_uint32 * (len(stream) + 1))(), ctypes.c_uint32()
        count = self.library.decode_stream(stream, len(stream), bodies, lengths, ctypes.byref(bad))
        frames, at = [], 0
        for length in lengths[:count]:
            body = bodies.raw[at : at + length - CRC_BYTES]
            frames.append(Frame(body[0], body[1], body[2:]))
            at += length
        return frames, bad.value

    def encode(self, frame: Frame) -> bytes:
        body = bytes((frame.kind, frame.seq)) + frame.payload
        buffer = ctypes.create_string_buffer(body, len(body) + CRC_BYTES)
        block = ctypes.create_string_buffer(MAX_BLOCK + 2)
        length = self.library.encode_body(buffer, len(body), block)
        return block.raw[:length]


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    """Compile it for frames as long as the host takes them."""
    folder, home = tmp_path_factory.mktemp("frames"), resources.path("firmware")
    binding = f"#include <stdint.h>\n#define LNN_MODEL_MAX_PAYLOAD {LARGEST_REPLY}U\n"
    (folder / "model_binding.h").write_text(binding)
    places = (folder, SUPPORT / "c", home / "include", home / "runtime")
    sources = (HERE / "decode.c", home / "src/frame.c", *(home / "runtime").glob("*.c"))
    program = folder / "frames.so"
    command = ["gcc", *WARNINGS, "-shared", "-fPIC", *(f"-I{p}" for p in places)]
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True)
    return Firmware(ctypes.CDLL(str(program)))


def host(stream: bytes) -> tuple[list[Frame], int]:
    decoder = FrameDecoder()
    return decoder.feed(stream), decoder.bad_frames


def a_frame(rng: random.Random) -> Frame:
    """Payloads of all lengths, many around that of a group of COBS, with few zeros or none."""
    length = rng.choice((rng.randrange(9), rng.randrange(245, 262), rng.randrange(MAX_PAYLOAD + 1)))
    plain = rng.choice((b"", b"\0", bytes(3), b"\xff"))
    payload = bytes(rng.randrange(1, 256) for _ in range(length))
    at = rng.randrange(length + 1)
    return Frame(
        rng.randrange(256), rng.randrange(256), (payload[:at] + plain + payload[at:])[:length]
    )


def cut(rng: random.Random, block: bytes) -> bytes:
    return block[: rng.randrange(len(block))]


def flip(rng: random.Random, block: bytes) -> bytes:
    at = rng.randrange(len(block))
    return block[:at] + bytes([block[at] ^ 1 << rng.randrange(8)]) + block[at + 1 :]


def drop(rng: random.Random, block: bytes) -> bytes:
    at = rng.randrange(len(block))
    return block[:at] + block[at + 1 :]


def noise(rng: random.Random, _: bytes) -> bytes:
    return rng.randbytes(rng.randrange(40))


def keep(_: random.Random, block: bytes) -> bytes:
    return block


HARMS: tuple[Callable[[random.Random, bytes], bytes], ...] = (keep, keep, flip, drop, cut, noise)


def test_both_write_a_frame_alike(firmware):
    rng = random.Random(1)
    for _ in range(500):
        frame = a_frame(rng)
        assert firmware.encode(frame) == encode_frame(frame)


def test_both_read_a_stream_alike(firmware):
    rng = random.Random(2)
    good = bad = 0
    for _ in range(STREAMS):
        blocks = (encode_frame(a_frame(rng)) for _ in range(rng.randrange(1, 5)))
        stream = b"".join(rng.choice(HARMS)(rng, block) for block in blocks)
        found = host(stream)
        assert firmware.decode(stream) == found, stream.hex()
        good, bad = good + len(found[0]), bad + found[1]
    assert min(good, bad) > STREAMS // 4


@pytest.mark.parametrize("over", [-1, 0, 1, 300])
@pytest.mark.parametrize("byte", [b"\x01", b"\0"])
def test_both_end_at_the_longest_frame(firmware, over, byte):
    """Written here: neither writes one that it would not take."""
    frame = Frame(0x83, 7, byte * (LARGEST_REPLY + over))
    body = bytes((frame.kind, frame.seq)) + frame.payload
    block = cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"
    expected = ([frame], 0) if over <= 0 else ([], 1)
    assert firmware.decode(block) == host(block) == expected

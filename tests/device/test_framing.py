import zlib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lnn_edge.device.framing import (
    LARGEST_REPLY,
    MAX_BLOCK,
    MAX_PAYLOAD,
    Frame,
    FrameDecoder,
    encode_frame,
)
from lnn_edge.errors import LinkError

# Derandomized: a CRC lets one damaged frame in 2^32 pass, which is no failure.
steady = settings(derandomize=True, deadline=None)

frames = st.builds(
    Frame,
    kind=st.integers(0, 255),
    seq=st.integers(0, 255),
    payload=st.binary(max_size=MAX_PAYLOAD),
)


def crc32_bit_by_bit(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def decode(stream: bytes) -> list[Frame]:
    return FrameDecoder().feed(stream)


def test_the_shift_register_has_the_published_check_value():
    assert crc32_bit_by_bit(b"123456789") == 0xCBF43926


def test_hello_is_the_bytes_of_the_specification():
    # Body 01 00 01 and its CRC, low byte first; COBS replaces the zero by distances.
    crc = crc32_bit_by_bit(b"\x01\x00\x03").to_bytes(4, "little")
    assert 0 not in crc
    assert encode_frame(Frame(1, 0, b"\x03")) == bytes([2, 1, 6, 3, *crc, 0])


@given(st.lists(frames, max_size=5), st.lists(st.integers(1, 400)))
def test_frames_survive_any_cut_of_the_stream(sent, cuts):
    stream = b"".join(map(encode_frame, sent))
    decoder, got, at = FrameDecoder(), [], 0
    for cut in [*cuts, len(stream) + 1]:
        got += decoder.feed(stream[at : at + cut])
        at += cut
    assert got == sent
    assert decoder.bad_frames == 0


@given(frames)
def test_only_the_end_of_a_block_is_zero_and_no_block_is_longer_than_said(frame):
    block = encode_frame(frame)
    assert block.index(0) == len(block) - 1
    assert len(block) - 1 <= MAX_BLOCK


@steady
@given(frames, frames, frames, st.data())
def test_a_damaged_byte_costs_one_frame_and_the_next_is_found(before, damaged, after, data):
    block = bytearray(encode_frame(damaged))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 255))
    stream = encode_frame(before) + bytes(block) + b"\0" + encode_frame(after)
    assert decode(stream) == [before, after]


@steady
@given(frames, frames, st.data())
def test_a_truncated_frame_is_dropped_and_the_next_is_found(cut, after, data):
    block = encode_frame(cut)
    kept = block[: data.draw(st.integers(0, len(block) - 2))]
    assert decode(kept + b"\0" + encode_frame(after)) == [after]


@steady
@given(frames, frames, st.binary(min_size=1, max_size=40), st.data())
def test_inserted_bytes_cost_one_frame(hit, after, noise, data):
    block = encode_frame(hit)
    at = data.draw(st.integers(1, len(block) - 2))
    stream = block[:at] + noise + block[at:] + b"\0" + encode_frame(after)
    assume(hit not in decode(stream[: -len(encode_frame(after))]))  # zeros before it harm nothing
    assert decode(stream) == [after]


@steady
@given(st.binary(max_size=2000), frames)
def test_a_frame_after_any_garbage_is_found(garbage, frame):
    assert decode(garbage + b"\0" + encode_frame(frame))[-1] == frame


def test_dropped_blocks_are_counted_and_empty_ones_are_not():
    decoder = FrameDecoder()
    decoder.feed(b"\0\0\0\x05abc\0\x03ab\0\0")
    assert decoder.bad_frames == 2


def test_a_block_without_end_takes_no_memory_and_the_decoder_recovers():
    decoder = FrameDecoder()
    for _ in range(100):
        assert decoder.feed(b"\x01" * 10_000) == []
    frame = Frame(3, 4, b"five")
    assert decoder.feed(b"\0" + encode_frame(frame)) == [frame]
    assert decoder.bad_frames == 1


def test_a_payload_that_fits_no_frame_is_refused():
    with pytest.raises(LinkError, match=f"{MAX_PAYLOAD + 1} bytes does not fit"):
        encode_frame(Frame(3, 0, bytes(MAX_PAYLOAD + 1)))


def test_a_body_beyond_the_limit_is_dropped_even_with_a_good_crc():
    from cobs import cobs

    body = bytes([3, 0]) + b"x" * (LARGEST_REPLY + 1)
    block = cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"
    assert decode(block) == []

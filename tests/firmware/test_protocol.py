"""The firmware's protocol as the host's program, under sanitizers, on every kind of bad line."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cobs import cobs

from lnn_edge.device.framing import MAX_PAYLOAD, Frame, encode_frame
from lnn_edge.device.protocol import PROTOCOL_VERSION, Data, ErrorCode, Kind, Results
from lnn_edge.graph.file import graph_sha256
from lnn_edge.graph.sim.stream import BLOB_HEAD_BYTES, Stream
from tests.firmware.programs import compile_host, write_model, write_toy
from tests.firmware.wire import Wire, connect, run_host
from tests.support.toy import toy_every_graph, toy_graph

CHANNELS, FRAME_BYTES = 2, 4
UNTOLD = (ErrorCode.BAD_SEQUENCE, ErrorCode.NO_SESSION)  # they come without a text


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    return compile_host(write_toy(folder), folder)


@pytest.fixture(scope="module")
def address(program) -> Iterator[str]:
    with run_host(program) as address:
        yield address


@pytest.fixture
def wire(address) -> Iterator[Wire]:
    """A session with the board, of which HELLO was request 0 and RESET request 1."""
    with connect(address) as wire:
        wire.send(b"\0")
        wire.hello(0)
        assert wire.ask(Kind.RESET, 1, b"\0").kind == Kind.ACK
        yield wire


def samples(count: int, seed: int = 0) -> bytes:
    values = np.random.default_rng(seed).integers(-900, 900, (count, CHANNELS))
    return values.astype("<i2").tobytes()


def data(first: int, count: int, *stamps: int) -> bytes:
    return Data(first, count, stamps, samples(count)).encode()


def frames_done(wire: Wire, seq: int) -> int:
    """Frames that the model has taken since RESET, from its state (docs/graph.md)."""
    info = wire.hello(seq - 1)
    at = struct.pack("<HH", BLOB_HEAD_BYTES + info.state_prefix_bytes, 4)
    (count,) = struct.unpack("<I", wire.ask(Kind.GET_STATE, seq, at).payload[2:])
    return int(count)


def refusal(frame: Frame) -> ErrorCode:
    assert frame.kind == Kind.ERROR
    assert frame.payload[2:].isascii()
    assert len(frame.payload) > 2 or frame.payload[0] in UNTOLD
    return ErrorCode(frame.payload[0])


def test_hello_says_what_runs(wire):
    info = wire.hello(9)
    assert info.model_name == "toy"
    assert info.board_name == "host"
    assert info.model_sha256.hex() == graph_sha256(toy_graph())
    size = info.record_layout(True).size
    assert (info.channels, info.outputs) == (2, 3)
    assert info.max_payload == MAX_PAYLOAD - (MAX_PAYLOAD - 4) % size  # whole results
    assert info.detail_supported
    assert not info.trace


def test_hello_of_another_version_is_refused(wire):
    assert refusal(wire.ask(Kind.HELLO, 5, b"\2")) == ErrorCode.UNSUPPORTED


@pytest.mark.parametrize("position", range(13))
def test_a_corrupted_byte_drops_the_frame(wire, position):
    before = wire.stats(2)
    block = bytearray(encode_frame(Frame(Kind.GET_STATE, 3, b"\0\0\x04\0")))
    assert len(block) == 12
    if position < 11:
        block[position] ^= 0x55 if block[position] != 0x55 else 0x33
    elif position == 11:
        block = bytearray(cobs.encode(b"\x04\3\0\0\4\0" + struct.pack("<I", 1)) + b"\0")
    else:
        block = bytearray(b"\xff" * 5 + b"\0")
    wire.send(bytes(block))
    assert wire.receive(0.05) is None
    after = wire.stats(3)
    assert after.bad_frames == before.bad_frames + 1
    assert after.sequence_errors == before.sequence_errors


def test_a_truncated_frame_is_dropped_and_the_next_one_answered(wire):
    block = encode_frame(Frame(Kind.DATA, 2, data(0, 100)))
    for cut in (1, 3, 200, len(block) - 2):
        wire.send(block[:cut] + b"\0")
    assert wire.receive(0.05) is None
    reply = wire.ask(Kind.DATA, 2, data(0, 100))
    assert reply.kind == Kind.RESULTS
    assert struct.unpack_from("<H", reply.payload)[0] == 100


def test_a_frame_longer_than_allowed_is_dropped_whole(wire):
    before, most = wire.stats(2).bad_frames, wire.hello(2).max_payload
    for length in (most + 1, 5000):
        body = bytes([Kind.STATS, 3]) + bytes(range(1, 251)) * 20
        body = body[: length + 2]
        wire.send(cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0")
    assert wire.receive(0.05) is None
    assert wire.stats(3).bad_frames == before + 2


def test_empty_blocks_are_no_frames(wire):
    before = wire.stats(2).bad_frames
    wire.send(b"\0" * 50)
    assert wire.stats(3).bad_frames == before


def test_a_duplicate_is_answered_again_and_not_processed_again(wire):
    first = wire.ask(Kind.DATA, 2, data(0, 150, 60, 100))
    again = wire.ask(Kind.DATA, 2, data(0, 150, 60, 100))
    assert first == again
    assert len(first.payload) > 4  # decisions
    assert frames_done(wire, 3) == 150
    stats = wire.stats(4)
    assert stats.events_rejected == 0
    assert stats.duplicates >= 1


def test_a_refused_request_is_repeated_as_refused(wire):
    bad = struct.pack("<HH", 0, 0xFFFF)
    first = wire.ask(Kind.GET_STATE, 2, bad)
    assert refusal(first) == ErrorCode.BAD_ARGUMENT
    assert wire.ask(Kind.GET_STATE, 2, bad) == first
    assert wire.ask(Kind.STATS, 3).kind == Kind.STATS_REPLY


def test_reordered_requests_are_refused_until_the_right_one_comes(wire):
    early = wire.ask(Kind.DATA, 3, data(100, 100))
    assert refusal(early) == ErrorCode.BAD_SEQUENCE
    assert early.payload[1] == 2  # what it expects
    assert wire.ask(Kind.DATA, 2, data(0, 100)).kind == Kind.RESULTS
    assert wire.ask(Kind.DATA, 3, data(100, 100)).kind == Kind.RESULTS
    late = wire.ask(Kind.DATA, 2, data(0, 100))
    assert refusal(late) == ErrorCode.BAD_SEQUENCE
    assert frames_done(wire, 4) == 200


def test_the_same_number_with_other_content_is_no_duplicate(wire):
    assert wire.ask(Kind.DATA, 2, data(0, 10)).kind == Kind.RESULTS
    assert refusal(wire.ask(Kind.DATA, 2, data(10, 10))) == ErrorCode.BAD_SEQUENCE


def test_sequence_numbers_wrap(wire):
    wire.hello(254)
    for seq in (255, 0, 1):
        assert wire.ask(Kind.STATS, seq).seq == seq


def test_unknown_types_and_wrong_lengths_are_refused(wire):
    most = wire.hello(1).max_payload
    cases = [
        (0x00, b"", ErrorCode.UNKNOWN_TYPE),
        (0x09, b"", ErrorCode.UNKNOWN_TYPE),
        (0x80, b"", ErrorCode.UNKNOWN_TYPE),
        (0xFF, bytes(most), ErrorCode.UNKNOWN_TYPE),
        (Kind.RESET, b"", ErrorCode.BAD_LENGTH),
        (Kind.RESET, b"\2", ErrorCode.BAD_ARGUMENT),
        (Kind.STATS, b"\0", ErrorCode.BAD_LENGTH),
        (Kind.DATA, bytes(7), ErrorCode.BAD_LENGTH),
        (Kind.SET_STATE, b"\0", ErrorCode.BAD_LENGTH),
        (Kind.TRACE, bytes(4), ErrorCode.UNSUPPORTED),
        (Kind.BAUD, bytes(4), ErrorCode.BAD_ARGUMENT),
    ]
    for seq, (kind, payload, code) in enumerate(cases, start=2):
        assert refusal(wire.ask(kind, seq, payload)) == code, (kind, payload)


def test_data_that_contradicts_itself_is_refused_and_changes_nothing(wire):
    cases = [
        struct.pack("<IHBB", 0, 3, 0, 0) + samples(2),  # fewer samples than it says
        struct.pack("<IHBB", 0, 0xFFFF, 255, 0),
        data(0, 10, 5, 4),  # stamps descend
        data(0, 10, 10),  # beyond the last frame
        data(0, 0, 0),  # an event without frames
        data(0xFFFFFFFF, 1),  # behind what was processed
    ]
    for seq, payload in enumerate(cases, start=2):
        code = refusal(wire.ask(Kind.DATA, seq, payload))
        assert code in (ErrorCode.BAD_LENGTH, ErrorCode.BAD_ARGUMENT), payload
    reply = wire.ask(Kind.DATA, 2 + len(cases), data(0, 10))
    assert reply.kind == Kind.RESULTS
    stats = wire.stats(3 + len(cases))
    assert (stats.frames_skipped, stats.events_rejected) == (0, 0)


def test_a_gap_is_told_to_the_model_once_frames_follow_it(wire):
    wire.ask(Kind.DATA, 2, data(0, 10))
    assert wire.ask(Kind.DATA, 3, data(500, 0)).kind == Kind.RESULTS
    assert wire.stats(4).frames_skipped == 0
    wire.ask(Kind.DATA, 5, data(500, 1))
    assert wire.stats(6).frames_skipped == 490


def test_a_full_reply_says_that_there_is_more(wire):
    info = wire.hello(1)
    wire.ask(Kind.RESET, 2, b"\1")
    layout = info.record_layout(True)
    fitting = (MAX_PAYLOAD - 4) // layout.size
    stamps, seq, first, records, full = list(range(30, 30 + 12 * 30, 12)), 3, 0, [], 0
    raw = samples(500, 3)
    while first < 500 or full:
        count = min(120, 500 - first)
        due = [t for t in stamps if t < first + count] if count else []
        part = raw[FRAME_BYTES * first : FRAME_BYTES * (first + count)]
        reply = wire.ask(Kind.DATA, seq % 256, Data(first, count, tuple(due), part).encode())
        assert reply.kind == Kind.RESULTS
        results = Results.decode(reply.payload, layout)
        assert len(results.records) <= fitting
        full = results.more
        records += results.records
        first, seq = first + results.consumed, seq + 1
        stamps = [t for t in stamps if t >= first] if results.consumed else stamps
    assert [r.stamp for r in records] == list(range(30, 30 + 12 * 30, 12))


def test_state_is_read_and_written_in_parts(wire):
    wire.ask(Kind.DATA, 2, data(0, 200, 60, 120))
    total = wire.hello(2).state_bytes
    whole = wire.ask(Kind.GET_STATE, 3, struct.pack("<HH", 0, total)).payload[2:]
    assert len(whole) == total
    wire.ask(Kind.RESET, 4, b"\0")
    for seq, at in enumerate(range(0, total, 100), start=5):
        part = struct.pack("<H", at) + whole[at : at + 100]
        assert wire.ask(Kind.SET_STATE, seq, part).kind == Kind.ACK
    again = wire.ask(Kind.GET_STATE, 50, struct.pack("<HH", 0, total))
    assert refusal(again) == ErrorCode.BAD_SEQUENCE
    expected = again.payload[1]
    again = wire.ask(Kind.GET_STATE, expected, struct.pack("<HH", 0, total))
    assert again.payload[2:] == whole
    beyond = struct.pack("<HH", total - 1, 2)
    assert refusal(wire.ask(Kind.GET_STATE, expected + 1, beyond)) == ErrorCode.BAD_ARGUMENT
    beyond = struct.pack("<H", total) + b"\0"
    assert refusal(wire.ask(Kind.SET_STATE, expected + 2, beyond)) == ErrorCode.BAD_ARGUMENT


def test_a_state_is_read_up_to_its_last_byte_and_to_the_last_of_a_frame(wire):
    info = wire.hello(1)
    total, most = info.state_bytes, min(info.state_bytes, info.max_payload - 2)
    reads = [(0, most), (total - most, most), (total - 1, 1), (total, 0)]
    refused = [(0, most + 1), (total - most + 1, most), (total, 1), (total + 1, 0)]
    for seq, (offset, length) in enumerate(reads, start=2):
        reply = wire.ask(Kind.GET_STATE, seq, struct.pack("<HH", offset, length))
        assert reply.kind == Kind.STATE, (offset, length)
        assert reply.payload[:2] == struct.pack("<H", offset)
        assert len(reply.payload) == 2 + length
    for seq, (offset, length) in enumerate(refused, start=2 + len(reads)):
        reply = wire.ask(Kind.GET_STATE, seq, struct.pack("<HH", offset, length))
        assert refusal(reply) == ErrorCode.BAD_ARGUMENT, (offset, length)


def test_a_state_that_is_longer_than_a_frame_is_read_by_whole_frames(tmp_path):
    """A reply takes what INFO tells, less the offset, and not one byte more."""
    graph = toy_every_graph(ring_length=400)
    with run_host(compile_host(write_model(graph, tmp_path), tmp_path)) as address:
        with connect(address) as wire:
            info = wire.hello(0)
            total, most = info.state_bytes, info.max_payload - 2
            assert total > 2 * MAX_PAYLOAD
            for seq, (offset, length) in enumerate([(0, most), (total - most, most)], start=1):
                reply = wire.ask(Kind.GET_STATE, seq, struct.pack("<HH", offset, length))
                assert (reply.kind, len(reply.payload)) == (Kind.STATE, info.max_payload)
            for seq, length in enumerate(range(most + 1, most + 6), start=3):
                reply = wire.ask(Kind.GET_STATE, seq, struct.pack("<HH", 0, length))
                assert refusal(reply) == ErrorCode.BAD_ARGUMENT, length


def test_a_board_that_was_not_reset_is_in_the_state_of_reset(program):
    with run_host(program) as address, connect(address) as wire:
        whole = struct.pack("<HH", 0, wire.hello(0).state_bytes)
        started = wire.ask(Kind.GET_STATE, 1, whole).payload
        wire.ask(Kind.RESET, 2, b"\0")
        assert wire.ask(Kind.GET_STATE, 3, whole).payload == started


def test_a_trace_is_read_from_any_byte_of_it(tmp_path):
    graph = toy_every_graph(first=6)
    stream = Stream(graph)
    for frame in np.random.default_rng(1).integers(-900, 900, (6, graph.frame.size)):
        stream.push_frame(frame)
    ready = b"\0\0" + stream.state_blob()
    model = write_model(graph, tmp_path, trace=True)
    with run_host(compile_host(model, tmp_path)) as address, connect(address) as wire:
        wire.hello(0)
        parts = []
        for seq, offset in ((1, 0), (3, 1), (5, 4)):
            assert wire.ask(Kind.SET_STATE, seq, ready).kind == Kind.ACK
            reply = wire.ask(Kind.TRACE, seq + 1, struct.pack("<HH", 0, offset))
            assert reply.kind == Kind.TRACED
            parts.append(reply.payload[2:])
        assert parts[1:] == [parts[0][1:], parts[0][4:]]
        assert len(parts[0]) > 8


def test_a_half_set_state_holds_up_what_needs_a_whole_one(wire):
    total = wire.hello(2).state_bytes
    whole = wire.ask(Kind.GET_STATE, 3, struct.pack("<HH", 0, total)).payload[2:]
    assert wire.ask(Kind.SET_STATE, 4, b"\0\0" + whole[:100]).kind == Kind.ACK
    held = [(Kind.DATA, data(0, 1)), (Kind.GET_STATE, b"\0" * 4)]
    for seq, (kind, payload) in enumerate(held, 5):
        reply = wire.ask(kind, seq, payload)
        assert refusal(reply) == ErrorCode.BAD_ARGUMENT
        assert b"the rest of a state has to come first" in reply.payload
    for seq, at in ((7, 99), (8, 101), (9, total)):
        reply = wire.ask(Kind.SET_STATE, seq, struct.pack("<H", at) + whole[at : at + 9] + b"x")
        assert b"parts of a state follow one another" in reply.payload
    assert wire.ask(Kind.SET_STATE, 10, struct.pack("<H", 100) + whole[100:]).kind == Kind.ACK
    assert wire.ask(Kind.DATA, 11, data(0, 1)).kind == Kind.RESULTS


def test_a_damaged_state_resets_the_model(wire):
    wire.ask(Kind.DATA, 2, data(0, 200, 60, 120))
    total = wire.hello(2).state_bytes
    whole = wire.ask(Kind.GET_STATE, 3, struct.pack("<HH", 0, total)).payload[2:]
    damaged = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
    reply = wire.ask(Kind.SET_STATE, 4, b"\0\0" + damaged)
    assert b"not a state of this model" in reply.payload
    wire.ask(Kind.RESET, 5, b"\0")
    fresh = wire.ask(Kind.GET_STATE, 6, struct.pack("<HH", 0, total)).payload[2:]
    wire.ask(Kind.DATA, 7, data(0, 50))
    wire.ask(Kind.SET_STATE, 8, b"\0\0" + damaged)
    assert wire.ask(Kind.GET_STATE, 9, struct.pack("<HH", 0, total)).payload[2:] == fresh


def test_a_state_of_another_model_leaves_this_one_alone(wire):
    wire.ask(Kind.DATA, 2, data(0, 50))
    total = wire.hello(2).state_bytes
    whole = wire.ask(Kind.GET_STATE, 3, struct.pack("<HH", 0, total)).payload[2:]
    for seq, at in enumerate((0, 3, 4, 11, 12), start=4):  # magic, version, hash, length
        other = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        assert b"not a state" in wire.ask(Kind.SET_STATE, seq, b"\0\0" + other).payload
    assert b"not a state" in wire.ask(Kind.SET_STATE, 9, b"\0\0" + whole[:15]).payload
    assert wire.ask(Kind.GET_STATE, 10, struct.pack("<HH", 0, total)).payload[2:] == whole


def test_a_new_client_takes_over_after_the_last_one_left(program):
    with run_host(program) as address:
        with connect(address) as first:
            first.hello(0)
            first.send(encode_frame(Frame(Kind.DATA, 1, data(0, 50)))[:40])  # leaves in the middle
        with connect(address) as second:
            second.send(b"\0")
            second.hello(0)
            assert second.stats(1).bad_frames >= 1


def test_requests_before_the_first_hello_are_refused(program):
    with run_host(program) as address, connect(address) as wire:
        for kind, payload in ((Kind.STATS, b""), (Kind.DATA, data(0, 1)), (Kind.RESET, b"\0")):
            assert refusal(wire.ask(kind, 0, payload)) == ErrorCode.NO_SESSION
        wire.hello(0)
        assert wire.stats(1).sequence_errors == 3


@pytest.mark.parametrize("seed", range(4))
def test_any_noise_leaves_a_board_that_answers(address, seed):
    """Valid requests are cut, joined, repeated and damaged at random; no sanitizer may speak."""
    rng = random.Random(seed)
    with connect(address) as wire:
        for _ in range(60):
            wire.send(b"".join(_noise(rng) for _ in range(8)))
            while wire.receive(0.002) is not None:
                pass
        wire.send(b"\0\0")
        while wire.receive(0.2) is not None:
            pass
        wire.hello(0)
        assert wire.ask(Kind.RESET, 1, b"\0").kind == Kind.ACK
        assert wire.ask(Kind.DATA, 2, data(0, 100, 50)).kind == Kind.RESULTS


def _noise(rng: random.Random) -> bytes:
    kinds = [1, 2, 3, 3, 3, 4, 5, 6, 7, 8, rng.randrange(9, 256)]
    frames, events = rng.randrange(60), rng.randrange(4)
    payloads = [
        rng.randbytes(rng.randrange(MAX_PAYLOAD)),
        rng.randbytes(rng.randrange(9)),
        struct.pack("<IHBB", rng.randrange(4000), frames, events, 0)
        + b"".join(struct.pack("<I", rng.randrange(4000)) for _ in range(events))
        + rng.randbytes(FRAME_BYTES * frames),
    ]
    seq = rng.randrange(255)
    # So that most requests are in order.
    opening = encode_frame(Frame(Kind.HELLO, seq, bytes([PROTOCOL_VERSION])))
    block = encode_frame(Frame(rng.choice(kinds), seq + 1, rng.choice(payloads)))
    place = rng.randrange(len(block))
    damaged = block[:place] + rng.randbytes(1) + block[place + 1 :]
    forms = (block, block, block + block, damaged, block[:place], rng.randbytes(3000))
    return b"\0" + opening + rng.choice(forms)

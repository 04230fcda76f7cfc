import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn_edge.device.board_info import Info
from lnn_edge.device.protocol import (
    Data,
    Error,
    Fault,
    RecordLayout,
    ResultRecord,
    Results,
    State,
    Stats,
    Trace,
)
from lnn_edge.errors import LinkError

u8, u16, u32 = st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
i16 = st.integers(-0x8000, 0x7FFF)
ARM_PIDR = bytes.fromhex("02b03b0004000000")  # DWT of a Cortex-M7 (DDI 0489, table of DWT PIDRs)

INFO = Info(
    protocol=3,
    firmware=(1, 2, 3),
    flags=0x10,
    core_clock_hz=216_000_000,
    baud=115_200,
    reset_cause=0x14000000,
    channels=2,
    outputs=300,
    detail_supported=True,
    trace=False,
    state_bytes=3000,
    state_prefix_bytes=120,
    probe_bytes=40,
    max_payload=512,
    dwt_pidr=ARM_PIDR,
    model_sha256=bytes(range(32)),
    model_name="ecg-beats-cfc",
    board_name="stm32f746g-disco",
)


@st.composite
def results(draw):
    layout = RecordLayout(draw(st.integers(0, 8)), draw(st.integers(0, 9)), draw(st.integers(0, 9)))
    record = st.builds(
        ResultRecord,
        u32,
        u32,
        st.tuples(*[i16] * layout.outputs),
        st.binary(min_size=layout.probe_bytes, max_size=layout.probe_bytes),
        st.binary(min_size=layout.state_bytes, max_size=layout.state_bytes),
    )
    records = draw(st.lists(record, max_size=6))
    return layout, Results(draw(u16), tuple(records), draw(st.booleans()))


@given(results())
def test_results_survive_the_wire(case):
    layout, sent = case
    assert Results.decode(sent.encode(), layout) == sent


@given(u32, u16, st.lists(u32, max_size=5).map(tuple), st.binary(max_size=40))
def test_data_survives_the_wire(first, frames, stamps, samples):
    sent = Data(first, frames, stamps, samples)
    assert Data.decode(sent.encode()) == sent


@given(
    st.lists(u32, min_size=16, max_size=16),
    st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=2),
    st.lists(u32, min_size=10, max_size=10),
)
def test_counters_and_faults_survive_the_wire(counters, sums, registers):
    assert Stats.decode(Stats(*counters, *sums).encode()) == Stats(*counters, *sums)
    assert Fault.decode(Fault(*registers).encode()) == Fault(*registers)


@given(u16, st.binary(max_size=510), u8, u8, st.text(st.characters(max_codepoint=126), max_size=60))
def test_parts_and_errors_survive_the_wire(offset, data, code, seq, text):
    assert State.decode(State(offset, data).encode()) == State(offset, data)
    assert Trace.decode(Trace(offset, data).encode()) == Trace(offset, data)
    assert Error.decode(Error(code, seq, text).encode()) == Error(code, seq, text)


def test_info_survives_the_wire():
    assert Info.decode(INFO.encode()) == INFO


def test_data_lies_as_the_specification_says():
    payload = Data(0x01020304, 2, (7, 8), b"\xff\xff\x00\x00").encode()
    assert payload == bytes.fromhex("04030201 0200 02 00 07000000 08000000 ffff 0000")


def test_results_lie_as_the_specification_says():
    payload = bytes.fromhex("0300 01 01 0a000000 64000000 feff 0700 aabb cc")
    got = Results.decode(payload, RecordLayout(outputs=2, probe_bytes=2, state_bytes=1))
    record = ResultRecord(10, 100, (-2, 7), b"\xaa\xbb", b"\xcc")
    assert got == Results(3, (record,), more=True)


def test_info_lies_as_the_specification_says():
    payload = INFO.encode()
    assert len(payload) == 26 + 8 + 8 + 32 * 3
    assert payload[:8] == bytes([3, 1, 2, 3, 0x10, 0, 0, 0])
    assert payload[8:12] == (216_000_000).to_bytes(4, "little")
    assert payload[16:26] == bytes.fromhex("00000014 0200 2c01 0100")
    assert payload[26:34] == bytes.fromhex("b80b 7800 2800 0002")
    assert payload[74:106].rstrip(b"\0") == b"ecg-beats-cfc"


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        (lambda p: Data.decode(p), b"\0" * 7),
        (lambda p: Data.decode(p), b"\0" * 6 + b"\x02\0" + b"\0" * 7),
        (lambda p: Results.decode(p, RecordLayout(2)), b"\0" * 3),
        (lambda p: Results.decode(p, RecordLayout(2)), b"\0\0\x01\0" + b"\0" * 11),
        (lambda p: Results.decode(p, RecordLayout(2)), b"\0\0\x01\0" + b"\0" * 13),
        (lambda p: State.decode(p), b"\0"),
        (lambda p: Trace.decode(p), b""),
        (lambda p: Stats.decode(p), b"\0" * 79),
        (lambda p: Stats.decode(p), b"\0" * 52),
        (lambda p: Error.decode(p), b"\x01"),
        (lambda p: Fault.decode(p), b"\0" * 41),
        (lambda p: Info.decode(p), INFO.encode()[:-1]),
        (lambda p: Info.decode(p), b""),
    ],
)
def test_a_payload_of_wrong_length_is_named(decode, payload):
    with pytest.raises(LinkError, match=r"must have .* bytes, not"):
        decode(payload)


def test_another_protocol_version_is_named():
    with pytest.raises(LinkError, match="protocol version 4, this tool version 3"):
        Info.decode(b"\x04" + INFO.encode()[1:] + b"more")


@pytest.mark.parametrize(
    ("flags", "pidr", "source"),
    [
        (0x10, ARM_PIDR, "dwt"),
        (0x00, ARM_PIDR, "none"),  # the counter does not run
        (0x10, bytes(8), "none"),
        (0x10, b"\x02\xb0\x3b\x00\x05\x00\x00\x00", "instructions"),  # another continuation code
        (0x10, b"virtual!", "instructions"),
    ],
)
def test_cycles_are_called_so_only_when_arm_made_the_counter(flags, pidr, source):
    assert dataclasses.replace(INFO, flags=flags, dwt_pidr=pidr).clock_source == source


def test_clock_trouble_is_put_in_words():
    assert INFO.clock_warnings == ()
    texts = dataclasses.replace(INFO, flags=0b1010).clock_warnings
    assert [word in text for word, text in zip(("PLL", "switch"), texts, strict=True)] == [True] * 2


def test_an_error_is_described_with_its_name():
    assert Error(4, 7, "first").describe() == "BAD_ARGUMENT: first"
    assert Error(99, 7, "").describe() == "error 99"

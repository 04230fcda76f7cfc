import contextlib
import itertools
import socket
import time
from concurrent import futures
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import serial
from cobs import cobs

from lnn_edge.device.framing import MAX_PAYLOAD, Frame, encode_frame
from lnn_edge.device.link import Link, find_ports
from lnn_edge.device.link import link as link_module
from lnn_edge.device.link.streaming import FrameQueue
from lnn_edge.device.protocol import RESULTS_HEAD_BYTES, Data, Kind, Results, Trace
from lnn_edge.errors import LinkError
from tests.support import fake_board as fake
from tests.support.fake_board import FakeBoard


@pytest.fixture
def make_board():
    with contextlib.ExitStack() as stack:

        def make(*, is_pty=True, **options):
            board = FakeBoard(is_pty=is_pty, **options)
            stack.callback(board.close)
            return board

        yield make


def open_link(board, **options):
    return Link(board.url, **{"timeout_s": 0.2, "retries": 2, "outage_s": 0.0, **options})


def record(frames, events, seed=1):
    """Samples and event stamps, the last POST samples without events."""
    rng = np.random.default_rng(seed)
    samples = rng.integers(-32768, 32767, (frames, fake.CHANNELS), endpoint=True).astype(np.int16)
    stamps = np.sort(rng.integers(0, frames - fake.POST, events))
    return samples, stamps.tolist()


def decisions(samples, stamps, detail=False):
    return [fake.decide(samples, stamp, i, detail) for i, stamp in enumerate(stamps)]


class Trouble:
    """A line that loses, damages, cuts, repeats and delays frames."""

    def __init__(self, seed, share):
        self._rng = np.random.default_rng(seed)
        self._share = share
        self._late = b""
        self.hits = 0

    def __call__(self, block):
        late, self._late = self._late, b""
        if self._rng.random() > self._share:
            return block + late
        self.hits += 1
        return self._spoil(block) + late

    def _spoil(self, block):
        at = int(self._rng.integers(len(block)))
        match int(self._rng.integers(5)):
            case 0:
                return b""
            case 1:
                return (
                    block[:at]
                    + bytes([block[at] ^ 1 << int(self._rng.integers(8))])
                    + block[at + 1 :]
                )
            case 2:
                return block[:at]
            case 3:
                return block * 2
            case _:
                self._late = block  # comes after the next one
                return b""


# --- what works ---------------------------------------------------------------------------------


@pytest.mark.parametrize("is_pty", [False, True])
@pytest.mark.parametrize("detail", [False, True])
def test_a_recording_comes_back_decided(make_board, is_pty, detail):
    samples, stamps = record(5_000, 60)
    with open_link(make_board(is_pty=is_pty), timeout_s=10.0) as link:
        assert link.hello(fake.SHA).model_name == "toy"
        link.reset(detail)
        assert list(link.stream(samples, stamps)) == decisions(samples, stamps, detail)
        assert link.counters.retries == 0


def test_crowded_events_fill_replies_and_none_is_lost_or_swapped(make_board):
    # More results than a reply holds, up to the last frame, where only an empty DATA gets the rest.
    samples, _ = record(600, 1)
    stamps = sorted([100] * 150 + list(range(300, 590)) + [589] * 150)
    with open_link(make_board()) as link:
        assert list(link.stream(samples, stamps)) == decisions(samples, stamps)


def test_requests_are_as_large_as_the_board_takes(make_board):
    board = make_board(info={"max_payload": 300})
    samples, stamps = record(2_000, 20)
    with open_link(board) as link:
        assert list(link.stream(samples, stamps)) == decisions(samples, stamps)
    sizes = [len(frame.payload) for frame in board.seen if frame.kind == Kind.DATA]
    assert max(sizes) <= 300
    assert sum(size > 290 for size in sizes) >= len(sizes) - 2


def sent_frames(board):
    """Frames of each DATA request, those that came before included."""
    return [Data.decode(f.payload).frames for f in board.seen if f.kind == Kind.DATA]


def record_size(detail):
    return fake.decide(np.zeros((200, 2), np.int16), 0, 0, detail).encode()


@pytest.mark.parametrize("detail", [False, True])
@pytest.mark.parametrize("is_crowded", [False, True])
def test_no_frame_is_sent_twice_where_the_decisions_are_foreseen(make_board, detail, is_crowded):
    per_reply = (300 - RESULTS_HEAD_BYTES) // len(record_size(detail))
    board = make_board(info={"max_payload": 300})
    samples, few = record(4_000, 50)
    stamps = sorted(stamp for stamp in set(few) for _ in range(per_reply if is_crowded else 1))
    foreseen = [stamp + fake.POST + 1 for stamp in stamps]
    with open_link(board) as link:
        link.reset(detail)
        got = list(link.stream(samples, stamps, iter(foreseen)))
    assert got == decisions(samples, stamps, detail)
    assert sum(sent_frames(board)) == len(samples)


@pytest.mark.parametrize(
    "foreseen",
    [[], [1, 1, 2], [50_000], list(range(0, 4_000, 7)), [3_999, 5], [-4, 0, 0]],
    ids=["none", "early", "never", "often", "descending", "past"],
)
def test_a_wrong_expectation_changes_nothing(make_board, foreseen):
    samples, stamps = record(4_000, 50)
    with open_link(make_board()) as link:
        link.reset(True)
        assert list(link.stream(samples, stamps, foreseen)) == decisions(samples, stamps, True)


@pytest.mark.parametrize("per_reply", [1, 2, 3])
def test_every_request_moves_on_in_whatever_order_decisions_are_foreseen(per_reply):
    rng = np.random.default_rng(per_reply)
    samples, stamps = record(1_000, 20)
    for _ in range(50):
        foreseen = rng.integers(-10, 1_100, 60).tolist()
        queue = FrameQueue(samples, stamps, 0, fake.CHANNELS, 300, foreseen, per_reply)
        sent = 0
        while sent < len(samples):
            request = queue.next_request()
            assert request is not None
            assert request.first == sent
            assert request.frames > 0
            queue.consume(request.frames, more=False)
            sent += request.frames
        assert queue.next_request() is None


def test_the_cut_into_calls_changes_nothing(make_board):
    samples, stamps = record(3_000, 40)
    with open_link(make_board()) as link:
        link.reset()
        got = []
        for start, end in itertools.pairwise([0, 1, 700, 701, 2_000, 3_000]):
            got += link.stream(samples[start:end], [s for s in stamps if start <= s < end])
    assert got == decisions(samples, stamps)


def test_skipped_samples_are_a_gap(make_board):
    board = make_board()
    samples, _ = record(200, 1)
    with open_link(board) as link:
        link.reset()
        list(link.stream(samples[:50]))
        link.skip(100)
        got = list(link.stream(samples[150:], [160]))
    assert got == decisions(samples, [160])
    sent = [Data.decode(frame.payload) for frame in board.seen if frame.kind == Kind.DATA]
    assert [data.first for data in sent] == [0, 150]


def test_a_reset_starts_again_at_sample_zero(make_board):
    samples, stamps = record(500, 5)
    with open_link(make_board()) as link:
        for _ in range(2):
            link.reset()
            assert list(link.stream(samples, stamps)) == decisions(samples, stamps)


def test_state_and_trace_come_whole_in_parts(make_board):
    state = np.random.default_rng(3).bytes(fake.STATE_BYTES)
    with open_link(make_board()) as link:
        link.set_state(state)
        assert link.get_state() == state
        tail = bytes(fake.TRACE_BYTES - fake.STATE_BYTES)
        assert link.trace(7, state) == bytes((b + 7) % 256 for b in state) + tail


def test_counters_of_the_board_are_read(make_board):
    with open_link(make_board()) as link:
        link.hello()
        assert link.stats().stack_free_bytes == 12


def test_a_stream_is_limited_by_the_line_not_by_the_link(make_board, monkeypatch):
    # Nothing is sent twice, little is sent beside the samples, and nothing pauses in between.
    pauses = []
    monkeypatch.setattr(link_module, "time", SimpleNamespace(sleep=pauses.append))
    board = make_board()
    samples, stamps = record(60_000, 200)
    with open_link(board, timeout_s=10.0) as link:
        link.reset()
        assert sum(1 for _ in link.stream(samples, stamps)) == 200
        assert (link.counters.retries, pauses) == (0, [])
    assert sum(sent_frames(board)) == len(samples)
    requests = [encode_frame(frame) for frame in board.seen if frame.kind == Kind.DATA]
    assert len(requests) < 1.2 * samples.nbytes / MAX_PAYLOAD
    assert sum(map(len, requests)) < 1.05 * samples.nbytes


# --- a bad line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_done_twice_on_a_bad_line(make_board, seed):
    to_board, to_host = Trouble(seed, 0.1), Trouble(seed + 100, 0.1)
    board = make_board(to_board=to_board, to_host=to_host, info={"max_payload": 300})
    samples, stamps = record(20_000, 100, seed)
    with open_link(board, timeout_s=0.03, retries=30) as link:
        link.hello(fake.SHA)
        link.reset(detail=True)
        assert list(link.stream(samples, stamps)) == decisions(samples, stamps, detail=True)
        assert link.counters.retries > 0
    assert to_board.hits > 10
    assert to_host.hits > 10
    assert len(board.seen) > 256  # the number wrapped
    for before, frame in itertools.pairwise(board.seen):  # a new session leaves numbers out
        assert (frame.seq - before.seq) % 256 in ((2, 3) if frame.kind == Kind.HELLO else (1,))


def test_garbage_between_frames_does_not_harm(make_board):
    board = make_board(to_host=lambda block: b"\x07garbage\0" + block + b"noise\0")
    samples, stamps = record(1_000, 10)
    with open_link(board) as link:
        assert list(link.stream(samples, stamps)) == decisions(samples, stamps)
        assert link.counters.bad_frames > 0


def test_late_replies_are_dropped_and_counted(make_board):
    stale = encode_frame(Frame(Kind.ACK, 77))
    with open_link(make_board(to_host=lambda block: stale + block * 2)) as link:
        link.reset()
        link.stats()
        assert link.counters.stale_replies >= 3


# --- boards that do not do what they should -----------------------------------------------------


def test_a_silent_board_is_named_within_the_time_given(make_board):
    board = make_board(to_board=lambda _: b"")
    tried = r"silent at 115200 baud \(HELLO sent 12 times, 0\.025 s each.*nothing came"
    with open_link(board, timeout_s=0.1, retries=2) as link:  # 3 * 0.1 s in all
        with pytest.raises(LinkError, match=tried):
            link.hello()
        assert link.counters.retries == 11


def test_a_board_that_is_still_starting_is_waited_for(make_board):
    lost = []
    board = make_board(to_board=lambda block: block if len(lost) == 5 else lost.append(0) or b"")
    with open_link(board, timeout_s=2.0) as link:
        assert link.hello().board_name == "fake"
        assert link.counters.retries == 5


def test_babble_is_told_from_silence(make_board):
    board = make_board(to_host=lambda _: b"\x55" * 100)
    with open_link(board) as link, pytest.raises(LinkError, match="bytes came but no valid"):
        link.hello()


def test_a_board_that_falls_silent_ends_the_stream(make_board):
    board = make_board()
    samples, stamps = record(5_000, 50)
    with open_link(board, timeout_s=0.1) as link:
        link.reset()
        stream = link.stream(samples, stamps)
        first = next(stream)
        board.to_board = lambda _: b""
        said = r"the board answered \d+\.\d s ago and is silent since \(DATA sent 3 times\)"
        with pytest.raises(LinkError, match=said):
            list(stream)
    assert first == decisions(samples, stamps)[0]


def test_a_board_with_another_model_is_refused(make_board):
    with (
        open_link(make_board()) as link,
        pytest.raises(LinkError, match=r"must run model .*, not toy 000102.*"),
    ):
        link.hello(bytes(32))


def test_a_board_with_another_protocol_is_refused(make_board):
    with (
        open_link(make_board(info={"protocol": 4})) as link,
        pytest.raises(LinkError, match="protocol version 4, this tool version 3"),
    ):
        link.hello()


def old_block(body):
    """A block of protocol version 2: its CRC-16/CCITT-FALSE."""
    register = 0xFFFF
    for byte in body:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ (0x1021 if register & 0x8000 else 0)) & 0xFFFF
    return cobs.encode(body + register.to_bytes(2, "little")) + b"\0"


@pytest.mark.parametrize("answer", [b"\x81\0\2" + bytes(135), b"\x8e\0\5\0"], ids=["2", "1"])
def test_old_firmware_is_named_with_the_command_that_renews_it(answer):
    with socket.create_server(("127.0.0.1", 0)) as server, futures.ThreadPoolExecutor() as pool:
        heard = pool.submit(answer_old, server, old_block(b"\1\0\2"), old_block(answer))
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with Link(url, timeout_s=0.1, retries=0) as link:
            with pytest.raises(LinkError, match=r"older protocol.*`lnn-edge flash`"):
                link.hello()
        assert heard.result()


def answer_old(server, hello, answer):
    """Answer this block alone, as firmware does that finds every other one damaged."""
    connection, received = server.accept()[0], b""
    with connection:
        while hello.removesuffix(b"\0") not in received.split(b"\0"):
            received += connection.recv(4096)
        connection.sendall(answer)
        return connection.recv(1) == b""


@pytest.mark.parametrize("detail", [False, True])
def test_a_board_that_was_reset_is_brought_back_to_where_it_was(make_board, detail):
    board = make_board()
    samples, stamps = record(5_000, 50)
    with open_link(board) as link:
        link.reset(detail)
        got = []
        for decision in link.stream(samples, stamps):
            got.append(decision)
            if len(got) in (1, 20, 21):
                board.reboot()
        assert got == decisions(samples, stamps, detail)
        assert link.counters.recoveries == 3


def test_a_board_that_is_reset_by_what_it_is_sent_ends_the_stream(make_board):
    def reboot(block):
        if b"\xee\x11" in block:
            board.reboot()
        return block

    board = make_board(to_board=reboot)
    samples, stamps = record(5_000, 50)
    samples[3_000] = 0x11EE
    with open_link(board) as link:
        link.reset()
        with pytest.raises(LinkError, match=r"it was reset.*5 times in a row after 2\d\d\d frames"):
            list(link.stream(samples, stamps))


def test_a_port_that_was_gone_is_waited_for(make_board):
    board = make_board(is_pty=False)
    board.hangs_up_at = 1_000
    samples, stamps = record(5_000, 50)
    with open_link(board, outage_s=20.0) as link:
        link.reset()
        assert list(link.stream(samples, stamps)) == decisions(samples, stamps)
        assert link.counters.reopened == 1


def test_a_session_of_another_program_is_not_taken_for_ones_own(make_board):
    board = make_board()
    samples, stamps = record(5_000, 50)
    with open_link(board) as link:
        link.reset()
        stream = link.stream(samples, stamps)
        got = [next(stream)]
        board._expected = (board._expected + 77) % 256
        assert got + list(stream) == decisions(samples, stamps)


def test_requests_shrink_where_they_are_lost_and_grow_again(make_board):
    longest = [200]
    board = make_board(to_board=lambda block: block if len(block) < longest[0] else b"")
    samples, stamps = record(8_000, 50)
    with open_link(board, outage_s=20.0) as link:
        link.reset()
        stream = link.stream(samples, stamps)
        got = [next(stream) for _ in range(20)]
        few = [Data.decode(f.payload).frames for f in board.seen if f.kind == Kind.DATA]
        longest[0] = 2_000
        got += stream
    assert got == decisions(samples, stamps)
    assert max(few) * 4 + 8 < 200
    assert max(sent_frames(board)) * 4 > 500


def test_waits_follow_the_round_trip(make_board):
    lost = []

    def lose_one(block):
        if len(board.seen) == 10 and not lost:
            lost.append(time.monotonic())
            return b""
        if len(lost) == 1:
            lost.append(time.monotonic())
        return block

    board = make_board(to_board=lose_one)
    samples, stamps = record(5_000, 50)
    with open_link(board, timeout_s=60.0, outage_s=90.0) as link:
        link.reset()
        assert list(link.stream(samples, stamps)) == decisions(samples, stamps)
    assert lost[1] - lost[0] < 30.0  # the longest wait is 60


def test_a_fault_is_told_though_it_cuts_a_reply(make_board):
    board = make_board()
    board.faults_at = 1_000
    samples, stamps = record(5_000, 50)
    with open_link(board) as link:
        link.reset()
        with pytest.raises(LinkError, match=r"stopped: HardFault at 0x08000124.*UNALIGNED"):
            list(link.stream(samples, stamps))


def test_an_unreadable_firmware_file_does_not_hide_the_fault(make_board, tmp_path):
    board = make_board()
    board.faults_at = 0
    with open_link(board, elf=tmp_path / "gone.elf") as link:
        link.reset()
        with pytest.raises(LinkError, match="HardFault at 0x08000124"):
            list(link.stream(*record(100, 1)))


def test_a_refused_request_is_named_and_the_next_one_works(make_board):
    with open_link(make_board()) as link:
        with pytest.raises(LinkError, match="refused TRACE: BAD_ARGUMENT: no such operator"):
            link.trace(21, bytes(fake.STATE_BYTES))
        assert len(link.get_state()) == fake.STATE_BYTES


def test_a_lost_connection_is_named_with_the_diagnosis(make_board):
    board = make_board(is_pty=False)
    board.hangs_up_at = 1_000
    samples, stamps = record(5_000, 50)
    with open_link(board, diagnose=lambda: "PC 0x08000000: all over") as link:
        link.reset()
        with pytest.raises(LinkError, match="process ended: PC 0x08000000: all over"):
            list(link.stream(samples, stamps))


@pytest.mark.parametrize("is_pty", [False, True])
def test_a_lost_connection_without_diagnosis_is_named(make_board, is_pty):
    board = make_board(is_pty=is_pty)
    board.hangs_up_at = 0
    with open_link(board) as link:
        link.reset()
        with pytest.raises(LinkError, match="connection was lost"):
            list(link.stream(*record(100, 1)))


@pytest.mark.parametrize(
    ("kind", "reply", "action"),
    [
        (Kind.DATA, Results(0, ()).encode(), lambda link: list(link.stream(*record(100, 1)))),
        (Kind.DATA, Results(0, (), True).encode(), lambda link: list(link.stream(*record(100, 1)))),
        (Kind.DATA, Results(101).encode(), lambda link: list(link.stream(*record(100, 1)))),
        (Kind.GET_STATE, b"\0\0", lambda link: link.get_state()),
        (Kind.TRACE, Trace(9, b"").encode(), lambda link: link.trace(1, bytes(fake.STATE_BYTES))),
    ],
)
def test_an_answer_that_leads_nowhere_is_an_error_not_a_loop(make_board, kind, reply, action):
    board = make_board()
    board.answers[kind] = reply
    with open_link(board) as link:
        link.reset()
        with pytest.raises(LinkError, match="firmware is faulty"):
            action(link)


# --- baud ---------------------------------------------------------------------------------------


def test_a_rate_that_works_is_kept(make_board):
    board = make_board()
    with open_link(board) as link:
        link.hello()
        assert link.set_baud(921_600) == 921_600
        assert list(link.stream(*record(100, 1)))


def test_a_rate_that_fails_is_given_up(make_board):
    board = make_board()
    board.deaf_baud = 921_600
    samples, stamps = record(500, 5)
    with open_link(board) as link:
        link.hello()
        assert link.set_baud(921_600) == 115_200
        link.reset()
        assert list(link.stream(samples, stamps)) == decisions(samples, stamps)


# --- what the caller can get wrong --------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "events", "message"),
    [
        (np.zeros((10, 3), np.int16), [], r"shape \(10, 3\).*2 channels"),
        (np.zeros((10, 2), np.float32), [], "type float32"),
        (np.zeros(10, np.int16), [], r"shape \(10,\)"),
        (np.zeros((10, 2), np.int16), [5, 4], "descend"),
        (np.zeros((10, 2), np.int16), [10], "event at sample 10, but the samples sent are 0 to 9"),
        (np.zeros((10, 2), np.int16), [-1], "event at sample -1"),
        (np.zeros((10, 2), np.int16), [3] * 400, "thin the events out"),
    ],
)
def test_a_recording_that_does_not_fit_the_model_is_refused(make_board, frames, events, message):
    with open_link(make_board()) as link, pytest.raises(LinkError, match=message):
        list(link.stream(frames, events))


def test_a_state_of_another_model_is_refused(make_board):
    with open_link(make_board()) as link, pytest.raises(LinkError, match="2500"):
        link.set_state(b"short")


def test_detail_is_refused_where_the_firmware_has_none(make_board):
    with (
        open_link(make_board(info={"detail_supported": False})) as link,
        pytest.raises(LinkError, match="diagnostic"),
    ):
        link.reset(detail=True)


def test_a_port_that_is_not_there_is_named():
    with pytest.raises(LinkError, match=r"/dev/ttyNONE0: no such port"):
        Link("/dev/ttyNONE0")


@pytest.mark.parametrize("name", ["", "file", "/dev/null"])
def test_a_folder_a_file_and_another_device_are_no_ports(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LinkError, match="it is no serial port; ") as caught:
        Link(str(tmp_path / name))
    assert "rrno" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["loop://", "spy:///dev/ttyS0", "cp2110://", "socket://board", "socket://board:99999",
     "rfc2217://board:four", "socket://[:1"],
)  # fmt: skip
def test_an_address_that_leads_to_no_board_is_refused(url: str) -> None:
    with pytest.raises(LinkError, match="no such address; give a serial port, socket://HOST:PORT"):
        Link(url)


@pytest.mark.parametrize("baud", [0, 12_345_678_901])
def test_a_rate_that_no_port_has_is_refused(baud: int) -> None:
    with pytest.raises(LinkError, match=f"{baud} baud is no rate of a serial port"):
        Link("/dev/ttyNONE0", baud=baud)


@pytest.mark.parametrize("option", ["logging=loud", "x=y", "timeout=no"])
def test_an_option_that_pyserial_does_not_know_is_told(option: str) -> None:
    with pytest.raises(LinkError, match="nothing answers there"):
        Link(f"rfc2217://127.0.0.1:1?{option}")


def test_a_closed_tcp_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(LinkError, match=r"nothing answers there \(Connection refused\)"):
        Link(f"socket://127.0.0.1:{port}")


def test_a_port_in_use_is_named(make_board):
    board = make_board()
    with open_link(board), pytest.raises(LinkError, match="busy"):
        open_link(board)


def test_ports_can_be_listed():
    assert isinstance(find_ports(), tuple)


def failing_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(serial, "serial_for_url", fail)


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        ("PermissionError(13, 'Access is denied.', None, 5)", "the port is busy"),
        ("FileNotFoundError(2, 'The system cannot find the file', None, 2)", "no such port"),
    ],
)
def test_what_windows_says_of_a_port_is_understood(
    monkeypatch: pytest.MonkeyPatch, cause: str, sentence: str
) -> None:
    failing_with(monkeypatch, serial.SerialException(f"could not open port 'COM3': {cause}"))
    with pytest.raises(LinkError, match=f"COM3: {sentence}"):
        Link("COM3")


def test_a_port_of_another_machine_is_asked_for_no_write_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pyserial's client of RFC 2217 has none and raises NotImplementedError when given one."""
    asked = {}

    def refuse(url: str, **named: object) -> None:
        asked[url] = named["write_timeout"]
        raise serial.SerialException("nobody is there")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    for url in ("rfc2217://board:4000", "socket://board:4000"):
        with pytest.raises(LinkError, match="nothing answers there"):
            Link(url)
    assert asked == {"rfc2217://board:4000": None, "socket://board:4000": 1.0}

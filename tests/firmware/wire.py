"""A board's process and the bytes to and from it: frames as they lie on the wire."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from lnn_edge.device.board_info import Info
from lnn_edge.device.framing import Frame, FrameDecoder, encode_frame
from lnn_edge.device.protocol import PROTOCOL_VERSION, Kind, Stats
from lnn_edge.device.runners.process import BoardProcess

ENVELOPE_BYTES = 8 + 2 + 4 + 7  # head of DATA, type and seq, CRC, COBS with a zero on either side
STARTED_S = 60.0  # the virtual board compiles its counter once
REPLY_S = 60.0


class Wire:
    """One connection; says nothing of itself."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("socket://").split(":")
        self._socket = socket.create_connection((host, int(port)))
        self._decoder = FrameDecoder()
        self._frames: list[Frame] = []

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, timeout_s: float = REPLY_S) -> Frame | None:
        """Next frame, or None if none comes in time."""
        deadline = time.monotonic() + timeout_s
        while not self._frames:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(4096)
            except TimeoutError:
                return None
            if not data:
                raise AssertionError("the board closed the connection")
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def ask(self, kind: int, seq: int, payload: bytes = b"") -> Frame:
        """Send one request and return what comes back first."""
        self.send(encode_frame(Frame(kind, seq, payload)))
        reply = self.receive()
        assert reply is not None, "no reply"
        return reply

    def hello(self, seq: int = 0) -> Info:
        """Open a session; the board then expects seq + 1."""
        reply = self.ask(Kind.HELLO, seq, bytes([PROTOCOL_VERSION]))
        assert (reply.kind, reply.seq) == (Kind.INFO, seq)
        return Info.decode(reply.payload)

    def greet(self, tries: int = 40) -> Info:
        """Open a session with a board that may still be starting, and drop repeated answers."""
        for _ in range(tries):
            self.send(b"\0" + encode_frame(Frame(Kind.HELLO, 0, bytes([PROTOCOL_VERSION]))))
            reply = self.receive(0.5)
            if reply is not None and reply.kind == Kind.INFO:
                while self.receive(0.5) is not None:
                    pass
                return Info.decode(reply.payload)
        raise AssertionError("the board stays silent")

    def stats(self, seq: int) -> Stats:
        return Stats.decode(self.ask(Kind.STATS, seq).payload)


@contextlib.contextmanager
def connect(address: str) -> Iterator[Wire]:
    wire = Wire(address)
    try:
        yield wire
    finally:
        wire.close()


@contextlib.contextmanager
def run_host(program: Path) -> Iterator[str]:
    """Run the host's program; yields its address and checks that no sanitizer stopped it."""
    process = subprocess.Popen([program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
        assert process.poll() is None, "the program ended by itself"
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert errors == ""


@contextlib.contextmanager
def run_virtual(elf: Path, folder: Path, **machine: object) -> Iterator[str]:
    """Run an ELF on the virtual board, of which `machine` changes some facts."""
    described = folder / "machine.json"
    described.write_text(json.dumps(machine))
    command = [sys.executable, "-m", "lnn_edge.device.virtual", str(elf), "--tcp", "0"]
    process = BoardProcess("virtual", [*command, "--machine", str(described)])
    try:
        yield process.first_line(STARTED_S)
    finally:
        process.close()


@contextlib.contextmanager
def run_qemu(elf: Path, machine: str = "netduinoplus2") -> Iterator[str]:
    """Run an ELF on a machine of QEMU, its STM32F405 unless told otherwise."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        uart = f"socket,id=uart,fd={server.fileno()},server=on,wait=off"
        command = ["qemu-system-arm", "-M", machine, "-kernel", str(elf)]
        command += ["-display", "none", "-monitor", "none"]
        command += ["-chardev", uart, "-serial", "chardev:uart"]
        process = BoardProcess("qemu", command, pass_fds=[server.fileno()])
        port = server.getsockname()[1]
    try:
        yield f"socket://127.0.0.1:{port}"
    finally:
        process.close()


def bytes_besides_envelopes(before: Stats, after: Stats) -> int:
    """What the board received in DATA at the least, without heads, CRCs and COBS codes."""
    requests = after.rx_frames - before.rx_frames
    return after.rx_bytes - before.rx_bytes - ENVELOPE_BYTES * requests

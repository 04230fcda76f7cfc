"""The host's end of the serial port: hosts come and go, and no byte of theirs is lost."""

from __future__ import annotations

import os
import socket

import pytest

from lnn_edge.device.virtual import ports
from lnn_edge.device.virtual.ports import PtyPort, TcpPort
from lnn_edge.errors import LinkError


@pytest.fixture
def silent():
    """A descriptor that never has anything."""
    read, write = os.pipe()
    yield read
    os.close(read)
    os.close(write)


@pytest.fixture
def tcp():
    port = TcpPort(0)
    yield port
    port.close()


def connect(port: TcpPort) -> socket.socket:
    host, number = port.url.removeprefix("socket://").split(":")
    client = socket.create_connection((host, int(number)))
    client.settimeout(10)
    return client


def take(port, extra: int, count: int) -> bytes:
    data = b""
    for _ in range(20):
        if len(data) < count:
            data += port.wait(1, extra)
    return data


def test_bytes_go_both_ways_over_tcp(tcp, silent):
    with connect(tcp) as client:
        client.sendall(b"question")
        assert take(tcp, silent, 8) == b"question"
        tcp.send(b"answer")
        assert client.recv(100) == b"answer"


def test_what_a_host_sent_before_it_left_arrives(tcp, silent):
    with connect(tcp) as first:
        tcp.wait(10, silent)
        first.sendall(b"last words")
    with connect(tcp) as second:
        assert take(tcp, silent, 10) == b"last words"
        tcp.wait(0, silent)
        tcp.send(b"answer")
        assert second.recv(100) == b"answer"


def test_the_newest_host_has_the_port(tcp, silent):
    with connect(tcp) as first, connect(tcp) as second:
        tcp.wait(10, silent)
        tcp.wait(10, silent)
        tcp.send(b"hello")
        assert second.recv(100) == b"hello"
        assert first.recv(100) == b""


def test_output_waits_for_a_host_the_newest_of_it(tcp, silent, monkeypatch):
    monkeypatch.setattr(ports, "_KEPT", 10)
    tcp.send(b"0123456789")
    tcp.send(b"abcd")
    with connect(tcp) as client:
        tcp.wait(10, silent)
        assert client.recv(100) == b"456789abcd"


def test_a_host_that_does_not_read_does_not_stop_the_board(tcp, silent):
    with connect(tcp) as client:
        tcp.wait(10, silent)
        sent = bytes(range(256)) * 40_000
        for start in range(0, len(sent), 500_000):
            tcp.send(sent[start : start + 500_000])
            client.sendall(b"x")
            assert take(tcp, silent, 1) == b"x"


def test_a_port_in_use_is_named(tcp):
    number = int(tcp.url.rpartition(":")[2])
    with pytest.raises(LinkError, match=f"TCP port {number} cannot be used .*; try --tcp 0"):
        TcpPort(number)
    with pytest.raises(LinkError, match="TCP port 70000 cannot be used"):
        TcpPort(70_000)


def test_a_pseudo_terminal_carries_every_byte_and_outlives_its_hosts(silent):
    port = PtyPort()
    everything = bytes(range(256))
    try:
        for _ in range(2):
            host = os.open(port.url, os.O_RDWR | os.O_NOCTTY)
            os.write(host, everything)
            assert take(port, silent, 256) == everything
            port.send(everything)
            data = b""
            while len(data) < 256:
                data += os.read(host, 256)
            assert data == everything
            os.close(host)
            assert port.wait(0, silent) == b""
    finally:
        port.close()

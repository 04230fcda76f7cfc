"""A board on another machine, over RFC 2217: the server is pyserial's, the client the link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from lnn_edge.device.link import Link
from lnn_edge.errors import LinkError
from tests.support import fake_board as fake
from tests.support.fake_board import FakeBoard
from tests.support.remote_port import RemotePort, remote_port

pytestmark = pytest.mark.filterwarnings(
    r"ignore:set(Daemon|Name)\(\):DeprecationWarning"
)  # pyserial's own


@pytest.fixture
def board() -> Iterator[FakeBoard]:
    with closing(FakeBoard(is_pty=False)) as board:
        yield board


@pytest.fixture
def port(board: FakeBoard) -> Iterator[RemotePort]:
    with remote_port(board.url) as port:
        yield port


def test_a_recording_comes_back_decided(port: RemotePort) -> None:
    """Bytes of 255 among the samples, which the protocol has to double."""
    samples = np.random.default_rng(1).integers(-2, 2, (6_000, fake.CHANNELS)).astype(np.int16)
    stamps = list(range(5, 5_900, 40))
    with Link(port.url) as link:
        link.reset(detail=True)
        decided = list(link.stream(samples, stamps))
        assert link.counters.retries == 0
    assert decided == [fake.decide(samples, s, i, True) for i, s in enumerate(stamps)]


def test_a_rate_is_set_on_the_other_machine(port: RemotePort) -> None:
    with Link(port.url) as link:
        assert link.set_baud(460_800) == 460_800
    assert list(dict.fromkeys(port.rates))[-2:] == [115_200, 460_800]


def test_a_machine_that_is_switched_off_is_named(port: RemotePort) -> None:
    with Link(port.url, timeout_s=0.2, retries=2, outage_s=0.5) as link:
        link.reset()
        port.hang_up()
        with pytest.raises(LinkError, match=rf"{port.url}: the connection was lost"):
            list(link.stream(np.zeros((500, fake.CHANNELS), np.int16)))
    with pytest.raises(LinkError, match="nothing answers there"):
        Link(port.url)

"""Streams on bad lines, the firmware's own protocol at the other end: none wrong, none lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.device.link import Link
from lnn_edge.device.protocol import ResultRecord
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.journal import Journal
from lnn_edge.verify.result import Verification
from lnn_edge.verify.verify import verify
from tests.firmware.programs import compile_host, write_model
from tests.support.bad_line import BadLine, Board, Fault, bad_line, line_faults, survive
from tests.support.killed_verify import run_killed
from tests.support.toy import motion, toy_every_graph

FRAMES = motion(3, 2_400)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    return compile_host(write_model(toy_every_graph(), folder), folder)


@pytest.fixture
def board(program) -> Iterator[Board]:
    board = Board([str(program)])
    board.start()
    yield board
    board.close()


@pytest.fixture(scope="module")
def expected() -> list[ResultRecord]:
    steps = Stream(toy_every_graph()).run(FRAMES, np.zeros(0, np.int64))
    return [
        ResultRecord(d.stamp, 0, tuple(d.outputs.tolist()), d.probes, bytes(d.state)) for d in steps
    ]


@pytest.mark.parametrize("fault", line_faults(1.0, 3 * FRAMES.nbytes), ids=lambda f: f.name)
def test_nothing_is_wrong_and_nothing_lost(board, expected, fault):
    outcome = survive(board, fault, FRAMES, expected)
    assert (outcome.wrong, outcome.lost) == (0, 0), outcome.message
    assert outcome.steps > 590
    assert outcome.hits > 0 or fault.name == "none"


@pytest.mark.parametrize("every", [12_000, 4_000], ids=lambda n: f"{n} bytes")
def test_a_board_that_is_reset_more_often_than_states_are_due_gets_on(board, expected, every):
    """Less than what is sent between two states: each attempt leaves less to repeat."""
    fault = Fault("board reset", every=every, happen=BadLine.reset_board)
    outcome = survive(board, fault, FRAMES, expected)
    assert (outcome.wrong, outcome.lost) == (0, 0), outcome.message
    assert outcome.hits > 5


@pytest.mark.parametrize("every", [3 * FRAMES.nbytes, 12_000], ids=lambda n: f"{n} bytes")
def test_a_verification_counts_on_after_resets_of_its_board(board, every):
    """The counters of the model are compared, with those that a reset took from the board."""
    fault = Fault("board reset", every=every, happen=BadLine.reset_board)
    with bad_line(board, fault) as line, Link(line.url, timeout_s=0.2) as link:
        result = verify(toy_every_graph(), [Signal("a", FRAMES)], link, name="host")
        assert link.counters.recoveries > 0
    assert result.passed
    assert result.line is not None
    assert f"resets of the board in mid-stream {result.line.recoveries}" in result.warnings[0]


@pytest.mark.slow
def test_a_killed_verification_goes_on_where_it_was(board, tmp_path):
    """Killed before the first state, after some of them and in the second signal."""
    path = tmp_path / "journal"
    result = run_killed(board.address, path, len(FRAMES), [5, 400, 620])
    assert (result["mismatches"], result["steps"]) == (0, 599 + 124)
    assert result["resumed_steps"] == 599
    assert result["passed"]


def test_a_line_of_a_journal_that_was_cut_is_not_believed(board, tmp_path):
    path, signals = tmp_path / "journal", [Signal("a", FRAMES[:1_600])]

    def run(key: str) -> Verification:
        with closing(Journal(path, key)) as journal, Link(board.address) as link:
            return verify(toy_every_graph(), signals, link, name="host", journal=journal)

    whole = run("key")
    lines = path.read_text().splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if "state" in line)
    path.write_text("".join(lines[: last + 9]) + lines[last + 9][:20])
    again, other = run("key"), run("other key")
    assert 0 < again.resumed_steps == last - 1 - sum("state" in line for line in lines[:last])
    assert other.resumed_steps == 0
    told = [replace(r, resumed_steps=0, line=None) for r in (whole, again, other)]
    assert told[0] == told[1] == told[2]

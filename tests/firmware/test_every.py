"""A model that fires on frames in the firmware: no events on the wire, every bit as simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import Core
from lnn_edge.device.link import Link
from lnn_edge.device.protocol import Data, Kind
from lnn_edge.graph.sim.stream import Decision, Stream
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.verify import verify
from tests.firmware.programs import (
    compile_board,
    compile_host,
    needs_arm_gcc,
    needs_qemu,
    write_model,
)
from tests.firmware.wire import bytes_besides_envelopes, connect, run_host, run_qemu, run_virtual
from tests.support.toy import motion, toy_every_graph

TIMEOUT_S = 5.0  # emulators on a busy machine


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    found = motion(5, 400)
    found[200:230] = np.where(np.arange(30)[:, None] % 2, 32767, -32768)
    return found


@pytest.fixture(scope="module")
def expected(frames: np.ndarray) -> list[Decision]:
    return list(Stream(toy_every_graph()).run(frames))


def check(address: str, frames: np.ndarray, expected: list[Decision]) -> list[int]:
    """Stream with detail and compare every bit; returns the cycles of each step."""
    assert len(expected) == 99
    with connect(address) as wire:
        wire.greet()
    with Link(address, timeout_s=TIMEOUT_S) as link:
        link.reset(detail=True)
        results = list(link.stream(frames, []))
        for result, decision in zip(results, expected, strict=True):
            assert result.stamp == decision.stamp
            assert np.array_equal(result.outputs, decision.outputs)
            assert result.probes == decision.probes
            assert result.state == decision.state
        stats = link.stats()
        assert stats.steps == len(expected)
        assert (stats.event_overflows, stats.events_rejected, stats.frames_skipped) == (0, 0, 0)
        return [r.cycles for r in results]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("host")
    return compile_host(write_model(toy_every_graph(), folder), folder)


def test_host(program: Path, frames: np.ndarray, expected: list[Decision]) -> None:
    with run_host(program) as address:
        check(address, frames, expected)


def test_the_cut_into_requests_has_no_effect(
    program: Path, frames: np.ndarray, expected: list[Decision]
) -> None:
    rng, results, at = np.random.default_rng(9), [], 0
    with run_host(program) as address, Link(address, timeout_s=TIMEOUT_S) as link:
        link.reset(detail=True)
        while at < len(frames):
            end = min(at + int(rng.integers(1, 40)), len(frames))
            results += link.stream(frames[at:end], [])
            at = end
    assert [(r.stamp, r.state) for r in results] == [(d.stamp, d.state) for d in expected]


def test_verify_sends_no_sample_twice(program: Path, frames: np.ndarray) -> None:
    with run_host(program) as address, Link(address, timeout_s=TIMEOUT_S) as link:
        link.hello()
        before = link.stats()
        assert verify(toy_every_graph(), [Signal("noise", frames)], link, name="host").passed
        assert bytes_besides_envelopes(before, link.stats()) <= frames.nbytes


def test_a_gap_and_an_event_are_told_to_the_model(program: Path, frames: np.ndarray) -> None:
    """DATA with a jump over the firing of frame 9, and with an event that the model refuses."""
    stream = Stream(toy_every_graph())
    expected = []
    for index in (*range(8), *range(12, 16)):
        if index == 12:
            stream.skip_frames(4)
        stream.push_frame(frames[index])
        expected += [d.stamp for d in stream.decisions()]
    assert expected == [5, 13]
    stream.push_event(14)
    with run_host(program) as address, connect(address) as wire:
        wire.hello()
        found = []
        for seq, (first, end, events) in enumerate([(0, 8, ()), (12, 16, (14,))], start=1):
            samples = frames[first:end].astype("<i2").tobytes()
            request = Data(first, end - first, events, samples)
            reply = wire.ask(Kind.DATA, seq, request.encode())
            assert reply.kind == Kind.RESULTS
            count, record = reply.payload[2], 8 + 2 * 3
            starts = [4 + record * i for i in range(count)]
            found += [int.from_bytes(reply.payload[s : s + 4], "little") for s in starts]
        stats = wire.stats(3)
    assert found == expected
    counters = (stats.event_overflows, stats.events_rejected, stats.frames_skipped)
    assert counters == (0, 1, 4)
    assert (stream.counters.events_rejected, stream.counters.frames_skipped) == (1, 4)


@pytest.mark.target
@needs_arm_gcc
def test_virtual_f746(tmp_path: Path, frames: np.ndarray, expected: list[Decision]) -> None:
    model = write_model(toy_every_graph(), tmp_path, Core("cortex-m7", True))
    with run_virtual(compile_board(model, "stm32f746", tmp_path), tmp_path) as address:
        cycles = check(address, frames, expected)
    assert min(cycles) > 500
    assert max(cycles) < 1.2 * min(cycles)


@pytest.mark.target
@needs_arm_gcc
@needs_qemu
def test_qemu_f405(tmp_path: Path, frames: np.ndarray, expected: list[Decision]) -> None:
    model = write_model(toy_every_graph(), tmp_path, Core("cortex-m4", True))
    with run_qemu(compile_board(model, "stm32f405", tmp_path)) as address:
        assert set(check(address, frames, expected)) == {0}

"""What the firmware computes: equal to the simulator in every bit, wherever it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import Core
from lnn_edge.device.board_info import Info
from lnn_edge.device.link import Link
from lnn_edge.graph.sim.stream import Decision, Stream
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.verify import verify
from tests.firmware.programs import (
    compile_board,
    compile_host,
    needs_arm_gcc,
    needs_qemu,
    write_toy,
)
from tests.firmware.wire import bytes_besides_envelopes, connect, run_host, run_qemu, run_virtual
from tests.support.toy import toy_graph

Record = tuple[np.ndarray, list[int]]
TIMEOUT_S = 5.0  # emulators on a busy machine


@pytest.fixture(scope="module")
def record() -> Record:
    rng = np.random.default_rng(5)
    events = [int(t) for t in np.cumsum(rng.integers(20, 150, 25))]
    frames = rng.integers(-1500, 1500, (events[-1] + 100, 2)).astype(np.int16)
    frames[700:760] = np.where(np.arange(60)[:, None] % 2, 32767, -32768)
    return frames, events


@pytest.fixture(scope="module")
def expected(record: Record) -> list[Decision]:
    return simulate(*record)


def simulate(frames: np.ndarray, events: list[int]) -> list[Decision]:
    stream, found, queue = Stream(toy_graph()), [], list(events)
    for index, frame in enumerate(frames):
        stream.push_frame(frame)
        while queue and queue[0] <= index:
            stream.push_event(queue.pop(0))
        found += stream.decisions()
    return found


def check(address: str, record: Record, expected: list[Decision]) -> tuple[Info, list[int]]:
    """Stream with detail and compare every bit; returns what the board is and its cycles."""
    assert len(expected) > 20
    with connect(address) as wire:
        wire.greet()
    with Link(address, timeout_s=TIMEOUT_S) as link:
        link.reset(detail=True)
        results = list(link.stream(*record))
        assert [r.stamp for r in results] == [d.stamp for d in expected]
        for result, decision in zip(results, expected, strict=True):
            assert np.array_equal(result.outputs, decision.outputs)
            assert result.probes == decision.probes
            assert result.state == decision.state
        stats = link.stats()
        assert stats.steps == len(expected)
        assert (stats.uart_overruns, stats.rx_ring_overflows, stats.bad_frames) == (0, 0, 0)
        return link.info, [r.cycles for r in results]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("host")
    return compile_host(write_toy(folder), folder)


@pytest.fixture(scope="module")
def f746(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("f746")
    return compile_board(write_toy(folder, Core("cortex-m7", True)), "stm32f746", folder)


def test_host(program, record, expected):
    with run_host(program) as address:
        info, cycles = check(address, record, expected)
    assert (info.flags, info.core_clock_hz) == (0, 0)
    assert set(cycles) == {0}


def test_the_cut_into_requests_has_no_effect(program, record, expected):
    frames, events = record
    rng = np.random.default_rng(9)
    with run_host(program) as address, Link(address, timeout_s=TIMEOUT_S) as link:
        link.reset(detail=True)
        results, at = [], 0
        while at < len(frames):
            end = min(at + int(rng.integers(1, 90)), len(frames))
            due = [t for t in events if at <= t < end]
            results += link.stream(frames[at:end], due)
            at = end
        assert [(r.stamp, r.state) for r in results] == [(d.stamp, d.state) for d in expected]


def test_verify_sends_no_sample_twice(program, record):
    frames, _ = record
    events = np.arange(40, len(frames), 25)  # more than fit the reply to a full request
    with run_host(program) as address, Link(address, timeout_s=TIMEOUT_S) as link:
        link.hello()
        before = link.stats()
        signal = Signal("noise", frames, events)
        assert verify(toy_graph(), [signal], link, name="host").passed
        sent = bytes_besides_envelopes(before, link.stats())
    assert sent <= frames.nbytes + 4 * len(events)


@pytest.mark.target
@needs_arm_gcc
def test_virtual_f746_at_full_speed(f746, tmp_path, record, expected):
    with run_virtual(f746, tmp_path) as address:
        info, cycles = check(address, record, expected)
    assert info.board_name == "stm32f746g-disco"
    assert info.flags == 1 << 4  # everything came up, and the cycle counter runs
    assert (info.core_clock_hz, info.baud) == (216_000_000, 115_200)
    # A virtual board counts instructions; the same work is the same number.
    assert min(cycles) > 1000
    assert max(cycles) < 1.2 * min(cycles)


@pytest.mark.target
@needs_arm_gcc
def test_virtual_f746_whose_crystal_is_dead(f746, tmp_path, record, expected):
    frames, events = record
    short = (frames[:1000], [t for t in events if t < 1000])
    with run_virtual(f746, tmp_path, hse_hz=0) as address:
        info, _ = check(address, record, expected) if len(expected) < 5 else (None, None)
        with Link(address, timeout_s=TIMEOUT_S) as link:
            link.reset(detail=True)
            results = list(link.stream(*short))
            assert [r.state for r in results] == [d.state for d in simulate(*short)]
            info = link.info
    assert info.flags & 0xF == 1
    assert (info.core_clock_hz, info.baud) == (16_000_000, 115_200)


@pytest.mark.target
@needs_arm_gcc
@needs_qemu
def test_qemu_f405(tmp_path, record, expected):
    elf = compile_board(write_toy(tmp_path, Core("cortex-m4", True)), "stm32f405", tmp_path)
    with run_qemu(elf) as address:
        info, cycles = check(address, record, expected)
    assert info.flags == 1  # QEMU has neither oscillator nor cycle counter
    assert info.core_clock_hz == 16_000_000
    assert info.clock_source == "none"
    assert set(cycles) == {0}

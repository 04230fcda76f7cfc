"""The one record type, what is listed of changes, and other rates."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from lnn_edge.data.changes import Changes, together
from lnn_edge.data.record import Channel, Interval, Mark, Record
from lnn_edge.data.resample import resample, to_rate
from lnn_edge.errors import DataError


def make(**changes: object) -> Record:
    samples = np.stack([np.arange(400), -np.arange(400)], 1).astype(np.int16)
    plain = Record(
        "r",
        "eve",
        samples,
        100.0,
        (Channel("a", "mV", 200.0, 10.0), Channel("b", "g")),
        (Mark(0, "N"), Mark(399, "V")),
        (Interval(0, 99, "walk"), Interval(100, 399, "sit")),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_values_are_in_the_units_of_the_channels() -> None:
    record = make()
    assert record.values()[30].tolist() == [(30 - 10) / 200, -30]
    assert (record.duration_s, record.is_steps) == (4.0, True)


def test_channels_left_out_are_listed() -> None:
    record = make().take(("b",))
    assert (record.channels[0].name, record.samples[7].tolist()) == ("b", [-7])
    assert record.changes.lines() == ["dropped channels a: 1 channels in 1 record"]
    with pytest.raises(DataError, match="has no channel z; it has a, b"):
        make().take(("z",))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"samples": np.zeros((3, 2), np.int32)}, "must be .* int16, float32 or float64"),
        ({"samples": np.zeros(3)}, r"must be \(N, C\)"),
        ({"samples": np.zeros((0, 2))}, "holds no sample"),
        ({"samples": np.broadcast_to(np.float64(0), (1 << 28, 2))}, "at most 268,435,456"),
        ({"rate_hz": 0.0}, "rate is 0.0 Hz"),
        ({"rate_hz": float("nan")}, "rate is nan Hz"),
        ({"channels": (Channel("a"),)}, "a name of its own"),
        ({"channels": (Channel("a"), Channel("a"))}, "a name of its own"),
        ({"channels": (Channel("a", gain=0.0), Channel("b"))}, "gain 0.0"),
        ({"marks": (Mark(400, "N"),)}, "'N' lies at samples 400 to 400 and there are 400"),
        ({"marks": (Mark(5, "N"), Mark(4, "N"))}, "must ascend"),
        ({"intervals": (Interval(5, 4, "x"),)}, "'x' lies at samples 5 to 4"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        make(**changes)


def test_changes_add_up_alike_ones_over_records() -> None:
    one = Changes().also("resampled", "from 1 Hz to 2 Hz", 10, "samples", "a")
    two = Changes().also("resampled", "from 1 Hz to 2 Hz", 5, "samples", "b")
    both = together([one, two, Changes()]).also("filled", "nothing", 0, "samples", "a")
    assert both.lines() == ["resampled from 1 Hz to 2 Hz: 15 samples in 2 records"]
    assert json.loads(json.dumps(both.summary()))[0]["count"] == 15
    assert (bool(both), bool(Changes())) == (True, False)


@pytest.mark.parametrize("rate", [128.0, 250.0, 360.0, 99.8])
def test_a_sine_stays_the_sine_at_another_rate(rate: float) -> None:
    times = np.arange(2000) / 200
    record = make(samples=np.stack([np.sin(7 * times), np.cos(3 * times)], 1), rate_hz=200.0)
    moved = resample(record, rate)
    times = np.arange(len(moved.samples)) / rate
    wanted = np.stack([np.sin(7 * times), np.cos(3 * times)], 1)
    inner = slice(40, -40)
    assert np.abs(moved.samples - wanted)[inner].max() < 2e-3
    assert moved.rate_hz == rate
    assert moved.changes.lines() == [
        f"resampled from 200 Hz to {rate:g} Hz: 2,000 samples in 1 record"
    ]


@given(st.integers(0, 399), st.sampled_from([50.0, 128.0, 250.0, 360.0, 1000.0]))
def test_a_mark_moves_with_its_instant(at: int, rate: float) -> None:
    record = make(marks=(Mark(at, "N"),), intervals=(Interval(at, at, "x"),))
    moved = resample(record, rate)
    at_end = len(moved.samples) - 1
    assert abs(moved.marks[0].sample - min(at * rate / 100, at_end)) <= 0.5
    assert moved.intervals[0].first == moved.marks[0].sample


def test_steps_stay_steps_and_absent_values_absent() -> None:
    moved = resample(make(), 250.0)
    assert (moved.samples.dtype, moved.samples.shape) == (np.int16, (1000, 2))
    values = np.ones((400, 2))
    values[100:110, 0] = np.nan
    moved = resample(make(samples=values), 200.0)
    absent = np.flatnonzero(np.isnan(moved.samples[:, 0]))
    assert absent.tolist() == list(range(199, 219))  # a tie goes to the later sample
    assert not np.isnan(moved.samples[:, 1]).any()
    assert np.allclose(moved.samples[np.isfinite(moved.samples)], 1, atol=4e-5)


@pytest.mark.parametrize(("old", "new"), [(250, 360), (360, 250), (441, 160), (1, 2), (3, 1)])
def test_spans_of_a_long_channel_join_without_a_seam(old: int, new: int) -> None:
    values = np.cumsum(np.random.default_rng(0).normal(size=700_001))
    whole = resample_poly(values, new, old, window=("kaiser", 8.6), padtype="line")
    assert np.array_equal(to_rate(values, old, new), whole)


def test_values_beyond_16_bit_are_counted() -> None:
    steps = np.where(np.arange(400) // 40 % 2, 32767, -32768)
    moved = resample(make(samples=np.stack([steps, steps], 1).astype(np.int16)), 250.0)
    assert "beyond 16 bit to the nearest step" in moved.changes.lines()[1]
    assert moved.samples.max() == 32767


def test_the_same_rate_changes_nothing() -> None:
    record = make()
    assert resample(record, 100.0) is record


@pytest.mark.parametrize("rate", [1e-9, 1e9, 100 * 2**0.5 / 1e6])
def test_rates_too_far_apart_are_refused(rate: float) -> None:
    with pytest.raises(DataError, match=r"cannot be resampled|would have"):
        resample(make(), rate)

"""Records brought to the frame of a model: channels, units, rate, gaps, steps."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from lnn_edge.data.frame import ABSENT, ANY, Frame, FrameChannel, to_frame
from lnn_edge.data.readers import wfdb_record
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Channel, Interval, Mark, Record
from lnn_edge.data.units import factor
from lnn_edge.errors import DataError
from tests.support.recordings import has_mitdb, mitdb_folder

ECG = Frame(360.0, (FrameChannel("MLII", "mV", 200.0, 1024), FrameChannel(ANY, "mV", 200.0, 1024)))
MOTION = Frame(50.0, (FrameChannel("x", "g", 720.0), FrameChannel("gyro", "rad/s", 3000.0)))


def make(samples: np.ndarray, *channels: Channel, rate_hz: float = 360.0) -> Record:
    return Record("r", "eve", samples, rate_hz, channels, (Mark(30, "N"),), (Interval(9, 30, "a"),))


def steps_of(values: object, unit: str, wanted: FrameChannel) -> list[int]:
    """Convert one channel of values."""
    samples = np.asarray(values, np.float64)
    record = replace(make(np.zeros((40, 1)), Channel(wanted.name)), marks=(), intervals=())
    record = replace(record, samples=samples[:, None], channels=(Channel(wanted.name, unit),))
    steps: list[int] = to_frame(record, Frame(360.0, (wanted,))).samples[:, 0].tolist()
    return steps


def test_a_long_record_comes_to_another_rate_without_a_copy_in_floats() -> None:
    steps = np.zeros((4_000_000, 2), np.int16)
    channels = (Channel("MLII", "mV", 200.0), Channel("V5", "mV", 200.0))
    record = make(steps, *channels, rate_hz=250.0)
    tracemalloc.start()
    moved = to_frame(record, ECG).samples
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert moved.shape == (5_760_000, 2)
    assert most < 2 * moved.nbytes


@pytest.mark.parametrize("name", ["100", "114", "232"])
def test_mit_bih_is_what_it_was_bit_by_bit(name: str) -> None:
    if not has_mitdb([name]):
        pytest.skip("needs MIT-BIH in LNN_EDGE_DATA/mitdb")
    record = next(wfdb_record.read(mitdb_folder() / f"{name}.hea", name, Hints()))
    framed = to_frame(record, ECG)
    assert framed.samples.dtype == np.int16
    for at, channel in enumerate(framed.channels):
        place = [c.name for c in record.channels].index(channel.name)
        own = record.channels[place]
        ratio = Fraction(200) / Fraction(repr(own.gain))
        top, bottom = ratio.numerator, ratio.denominator
        distance = record.samples[:, place].astype(np.int64) - int(own.zero)
        exact = (2 * distance * top + bottom) // (2 * bottom) + 1024  # floor(... + 1/2)
        assert np.array_equal(framed.samples[:, at], exact)
    assert framed.marks == record.marks


@given(
    st.lists(st.integers(-1000, 3000), min_size=1, max_size=40),
    st.sampled_from([200.0, 100.0, -399.7, 1000.0, 123.456, 80 / 3]),
    st.integers(-500, 1500),
)
def test_steps_become_steps_as_rational_numbers_say(
    steps: list[int], gain: float, zero: int
) -> None:
    record = Record(
        "r",
        "r",
        np.array(steps, np.int16)[:, None],
        360.0,
        (Channel("MLII", "uV", gain / 1000, zero),),
    )
    got = to_frame(record, ECG).samples
    ratio = Fraction(200, 1000) / Fraction(repr(gain / 1000))
    limits = np.iinfo(np.int16)
    wanted = [(s - zero) * ratio + 1024 + Fraction(1, 2) for s in steps]
    assert got[:, 0].tolist() == [max(limits.min, min(limits.max, w // 1)) for w in wanted]
    assert (got[:, 1] == 1024).all()


@pytest.mark.parametrize(
    ("values", "unit", "wanted", "steps"),
    [
        ([0.001, -0.002], "V", ECG.channels[0], [1224, 624]),
        ([1000.0, 2.5], "uV", ECG.channels[0], [1224, 1025]),  # half a step goes up
        ([1000.0], "μV", ECG.channels[0], [1224]),
        ([9.80665, -9.80665 / 2], "m/s^2", MOTION.channels[0], [720, -360]),
        ([1000.0], "mg", MOTION.channels[0], [720]),
        ([180.0], "deg/s", MOTION.channels[1], [round(3000 * np.pi)]),
        ([7.0], "", FrameChannel("n", "", 2.0, 1), [15]),
    ],
)
def test_units_are_converted(
    values: list[float], unit: str, wanted: FrameChannel, steps: list[int]
) -> None:
    assert steps_of(values, unit, wanted) == steps


def test_units_of_different_things_have_no_factor() -> None:
    assert factor("mV", "g") is None
    assert factor("furlong", "g") is None
    assert factor("Furlong ", "furlong") == 1
    assert factor("g", "m/s2") == Fraction("9.80665")


def test_another_rate_is_filtered_before_it_is_rounded() -> None:
    rng = np.random.default_rng(1)
    steps = rng.integers(-40, 40, (500, 2)).astype(np.int16)
    record = make(steps, Channel("V1", "mV", 10.0), Channel("MLII", "mV", 10.0), rate_hz=250.0)
    got = to_frame(record, ECG)
    values = signal.resample_poly(
        steps / 10.0, 36, 25, window=("kaiser", 8.6), padtype="line", axis=0
    )
    wanted = np.floor(values[:, ::-1] * 200 + 1024.5)
    assert np.abs(got.samples - wanted).max() <= 1  # ties, where the order of sums differs
    assert (got.samples != wanted).mean() < 1e-3
    assert got.rate_hz == 360.0
    assert got.marks == (Mark(43, "N"),)
    assert got.intervals == (Interval(13, 44, "a"),)
    assert any("from 250 Hz to 360 Hz" in line for line in got.changes.lines())


def test_gaps_are_lines_and_counted() -> None:
    values = np.zeros((40, 2))
    values[:, 0] = np.arange(40)
    values[10:13, 0] = np.nan
    values[38:, 0] = np.inf
    record = make(values, Channel("x", "g"), Channel("gyro", "rad/s"), rate_hz=50.0)
    got = to_frame(record, MOTION)
    assert got.samples[9:14, 0].tolist() == [720 * v for v in (9, 10, 11, 12, 13)]
    assert got.samples[-1, 0] == 720 * 37
    assert got.changes.lines() == ["filled gaps of x by lines: 5 samples in 1 record"]
    with pytest.raises(DataError, match="channel x holds no value"):
        to_frame(replace(record, samples=np.full((40, 2), np.nan)), MOTION)


def test_channels_are_found_in_either_case_and_by_the_users_word() -> None:
    steps = np.arange(120, dtype=np.int16).reshape(40, 3)
    record = make(steps, *(Channel(n, "mV", 200.0) for n in ("resp", "mlii", "V5")))
    by_case = to_frame(record, ECG)
    assert by_case.samples[0].tolist() == [1025, 1024]
    assert [c.name for c in by_case.channels] == ["MLII", "resp"]
    told = to_frame(record, ECG, channels={"MLII": "V5", ANY: "resp"})
    assert told.samples[0].tolist() == [1026, 1024]
    assert told.changes.lines() == [
        "dropped channels mlii: 1 channels in 1 record",
        "renamed V5 to MLII: 1 channels in 1 record",
    ]


def test_the_lead_that_was_not_taken_comes_second_under_another_name() -> None:
    record = make(np.zeros((40, 2)), Channel("MLII", "mV"), Channel("V5", "mV"))
    got = to_frame(record, ECG, channels={"MLII": "V5"})
    assert [c.name for c in got.channels] == ["MLII", ANY]


def test_a_channel_of_another_kind_is_no_second_lead() -> None:
    record = make(np.zeros((40, 2)), Channel("MLII", "mV"), Channel("acc", "g"))
    got = to_frame(record, ECG)
    assert (got.samples == 1024).all()
    assert got.channels[1].name == ABSENT


def test_plain_arrays_are_taken_by_position_and_int16_as_steps() -> None:
    steps = np.arange(80, dtype=np.int16).reshape(40, 2)
    record = make(steps, Channel("channel_1"), Channel("channel_2"), rate_hz=50.0)
    assert np.array_equal(to_frame(record, MOTION).samples, steps)
    values = replace(record, samples=steps / 8)
    assert np.array_equal(to_frame(values, MOTION).samples[:, 0], steps[:, 0] * 90)
    said = to_frame(values, MOTION).changes.lines()
    assert "assumed g where no unit is told: 1 channels in 1 record" in said


def test_plain_steps_stay_steps_at_another_rate() -> None:
    steps = np.full((500, 2), 1300, np.int16)
    record = make(steps, Channel("MLII"), Channel("V1", "mV", 100.0, 1300), rate_hz=250.0)
    got = to_frame(record, ECG)
    assert np.abs(got.samples - [1300, 1024]).max() <= 1
    assert "assumed steps of the model where no unit is told: 1 channels in 1 record" in (
        got.changes.lines()
    )


def test_what_is_in_the_frame_already_is_not_copied() -> None:
    samples = np.arange(80, dtype=np.int16).reshape(40, 2)
    own = (Channel("MLII", "mV", 200.0, 1024), Channel("V5", "mV", 200.0, 1024))
    record = make(samples, *own)
    assert np.shares_memory(to_frame(record, ECG).samples, samples)
    turned = to_frame(make(samples, *own[::-1]), ECG).samples
    assert np.array_equal(turned, samples[:, ::-1])
    lifted = to_frame(make(samples, own[0], replace(own[1], zero=1000.0)), ECG).samples
    assert np.array_equal(lifted, np.add(samples, (0, 24)))
    smaller = to_frame(make(samples, own[0], replace(own[1], unit="uV")), ECG).samples
    assert np.array_equal(smaller[:, 0], samples[:, 0])
    assert set(smaller[:, 1].tolist()) <= {1023, 1024}


def test_what_is_beyond_16_bit_saturates_and_is_counted() -> None:
    values = np.zeros((400, 1))
    values[7] = 1e9
    record = make(values, Channel("x", "g"))
    frame = Frame(360.0, MOTION.channels[:1])
    got = to_frame(record, frame)
    assert got.samples[7, 0] == 32767
    assert got.changes.lines() == [
        "converted x beyond 16 bit to the nearest step: 1 samples in 1 record"
    ]
    with pytest.raises(DataError, match=r"100% of channel x lie beyond 16 bit .* check its unit"):
        to_frame(replace(record, samples=values + 1e9), frame)


@pytest.mark.parametrize(
    ("channels", "told", "said"),
    [
        (("I", "V5"), {}, r"has the channels I, V5 and the model needs MLII; name .*MLII=I"),
        (("I", "V5"), {"MLII": "II"}, "needs II"),
        (("I", "V5"), {"V1": "I"}, "the model has no channel V1; it has MLII, any"),
        (("I", "V5"), {"MLII": "I", ANY: "I"}, "two channels of the model take I"),
        (("mlii", "Mlii"), {}, "name the one to take"),
    ],
)
def test_channels_that_do_not_fit_are_named(
    channels: tuple[str, ...], told: dict[str, str], said: str
) -> None:
    record = make(np.zeros((40, 2)), *(Channel(n, "mV") for n in channels))
    with pytest.raises(DataError, match=said):
        to_frame(record, ECG, channels=told)


def test_a_wrong_unit_is_refused() -> None:
    record = make(np.zeros((40, 2)), Channel("x", "mV"), Channel("gyro", "dps"), rate_hz=50.0)
    with pytest.raises(DataError, match="channel x is in mV and the model needs g"):
        to_frame(record, MOTION)


@pytest.mark.parametrize(
    ("rate", "channels", "said"),
    [
        (0.0, MOTION.channels, "rate is 0.0"),
        (50.0, (), "at least one"),
        (50.0, (FrameChannel("a"), FrameChannel("a")), "names must differ"),
        (50.0, (FrameChannel("a", "g", 0.0),), "steps must be above 0"),
        (50.0, (FrameChannel("a", "g", 1.0, 40_000),), "zero must fit 16 bit"),
    ],
)
def test_a_frame_that_no_model_has_is_refused(
    rate: float, channels: tuple[FrameChannel, ...], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        Frame(rate, channels)


def test_a_record_that_is_not_needed_any_more_gives_its_memory() -> None:
    rng = np.random.default_rng(4)
    steps = rng.integers(-900, 900, (600, 2)).astype(np.int16)
    own = (Channel("MLII", "mV", 100.0, 12), Channel("V5", "mV", 200.0, 0))
    kept = make(steps.copy(), *own)
    wanted = to_frame(kept, ECG)
    given = replace(kept, samples=steps.copy())
    got = to_frame(given, ECG, may_overwrite=True)
    assert np.array_equal(kept.samples, steps)  # not without being told
    assert got.samples is given.samples
    assert np.array_equal(got.samples, wanted.samples)
    assert (got.channels, got.changes) == (wanted.channels, wanted.changes)


@pytest.mark.parametrize("case", ["order", "values", "locked", "one lead"])
def test_memory_that_does_not_fit_is_left_alone(case: str) -> None:
    rng = np.random.default_rng(5)
    steps = rng.integers(-90, 90, (600, 2)).astype(np.int16)
    own = (Channel("MLII", "mV", 100.0, 12), Channel("V5", "mV", 100.0, 0))
    record = make(steps, *own)
    if case == "order":
        record = replace(record, channels=own[::-1])
    elif case == "values":
        record = replace(record, samples=steps / 100.0)
    elif case == "locked":
        steps.flags.writeable = False
    else:
        record = make(steps[:, :1].copy(), own[0])
    before = record.samples.copy()
    got = to_frame(record, ECG, may_overwrite=True)
    assert np.array_equal(record.samples, before)
    assert np.array_equal(got.samples, to_frame(record, ECG).samples)

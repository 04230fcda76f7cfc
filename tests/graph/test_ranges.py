"""No single value decides a range: of an input's channel, of time, of a tensor inside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ranges import (
    FEW,
    MOST_FRAMES,
    Channel,
    Range,
    choose_ranges,
    range_without_tails,
    some_frames,
)
from lnn_edge.graph.scales import symmetric

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(4, 500))


def as_bytes(values: Range) -> QTensor:
    return symmetric("x", (1,), "int8", max(-values[0], values[1]))


def as_time(values: Range) -> QTensor:
    scale = values[1] / 32767
    return QTensor("dt", (1,), "uint16", scale, 0, int(values[0] / scale), 32767)


def channel(name: str = "x") -> Channel:
    return Channel(name, as_bytes, has_tails=True)


TIME = Channel("dt", as_time, has_tails=False)


def chosen(run: Callable[[np.ndarray], np.ndarray], values: np.ndarray, what: Channel) -> Range:
    return choose_ranges(run, values[..., None], [what])[what.name]


def changed(values: np.ndarray, **at: float) -> np.ndarray:
    values = values.copy()
    for place, value in at.items():
        values.flat[int(place[1:])] = value
    return values


def test_a_channel_without_tails_is_taken_whole_and_the_model_is_not_asked() -> None:
    def never(frames: np.ndarray) -> np.ndarray:
        raise AssertionError(frames.shape)

    assert chosen(never, NORMAL, channel()) == (NORMAL.min(), NORMAL.max())
    assert chosen(never, np.full((1, 9), 5.0), channel()) == (5.0, 5.0)
    assert chosen(never, np.full((1, 1), -2.0), channel()) == (-2.0, -2.0)
    elapsed = np.abs(NORMAL) + 1
    assert chosen(never, elapsed, TIME) == (elapsed.min(), elapsed.max())


def test_of_many_values_the_outermost_saturate_those_of_time_do_not() -> None:
    values = np.linspace(1, 2, 30_000)
    many = changed(values, _7=2.5, _9=0.5).reshape(3, -1)
    ordered = np.sort(many, axis=None)
    assert chosen(np.tanh, many, channel()) == (ordered[3], ordered[-4])
    assert chosen(np.tanh, many, TIME) == (0.5, 2.5)


@pytest.mark.parametrize("spike", [1e2, 1e6, 1e30, -1e6])
@pytest.mark.parametrize("count", [1, 20])
def test_spikes_in_which_the_model_has_settled_do_not_decide(spike: float, count: int) -> None:
    values = NORMAL.copy()
    values.flat[:: values.size // count] = spike
    low, high = chosen(np.tanh, values, channel())
    assert 2 < max(-low, high) < 32


def test_spikes_cost_no_more_than_themselves_where_the_model_follows_them() -> None:
    """Nothing settles here; 1,999 values are worth more than one."""
    low, high = chosen(lambda x: 3 * x, changed(NORMAL, _77=1e6), channel())
    assert 2 < max(-low, high) < 32


def test_rare_values_that_matter_stay() -> None:
    """Nineteen of twenty values are next to nothing, and the model sees the others."""
    values = NORMAL * 1e-6
    values.flat[::20] = 1.0
    assert chosen(np.tanh, values, channel())[1] == 1.0


def test_a_single_event_in_silence_stays() -> None:
    silent = changed(np.zeros((2, 40_000)), _77=3.0)
    assert chosen(np.tanh, silent, channel()) == (0.0, 3.0)


@pytest.mark.parametrize("gaps", [1, 5, 100])
def test_time_ends_where_the_model_has_settled(gaps: int) -> None:
    elapsed = np.clip(0.8 + 0.1 * NORMAL, 0.1, None)
    elapsed.flat[:: elapsed.size // gaps] = 3600
    low, high = chosen(lambda dt: np.exp(-dt), elapsed, TIME)
    assert low == elapsed.min()
    assert 5 < high < 200


def test_ranges_are_halved_from_where_the_usual_value_is_no_longer_rounded_to_nothing() -> None:
    tried = []

    def asked(values: Range) -> QTensor:
        tried.append(values[1])
        return as_bytes(values)

    values = np.concatenate([np.ones(999), [1000.0]])
    chosen(lambda x: x, values[None], Channel("x", asked, has_tails=True))
    first = 2 * 127.0  # steps of twice the usual value
    assert tried == [1000.0, 1000.0, *(first / 2**i for i in range(8))]


def test_of_ranges_that_change_as_much_the_widest_is_taken() -> None:
    """Whatever its input, this model is wholly wrong, but on the frames themselves."""
    values = changed(NORMAL, _77=1e6)[..., None]

    def model(frames: np.ndarray) -> np.ndarray:
        return np.zeros(frames.shape) + (not np.array_equal(frames, some_frames(values)))

    assert choose_ranges(model, values, [channel()])["x"][1] == 1e6


def test_time_that_matters_to_the_end_is_kept() -> None:
    elapsed = np.clip(0.8 + 0.1 * NORMAL, 0.1, None)
    elapsed.flat[::10] = 100
    assert chosen(lambda dt: np.log(dt), elapsed, TIME)[1] == 100


def test_a_channel_of_zeros_is_no_wider_than_the_others() -> None:
    """Its column of a matrix would decide the row's scale, and erase the others."""
    frames = np.stack((NORMAL * 1e-3, np.zeros_like(NORMAL), NORMAL), axis=-1)
    names = [channel(name) for name in ("quiet", "dead", "loud")]
    ranges = choose_ranges(np.tanh, frames, names)
    assert ranges["dead"][1] == -ranges["dead"][0] == np.abs(NORMAL).max() * 1e-3
    assert chosen(np.tanh, np.zeros((2, 9)), channel()) == (-1.0, 1.0)


def test_a_model_that_gives_no_numbers_is_named() -> None:
    with pytest.raises(QuantizationError, match="outputs on the calibration data are not finite"):
        chosen(lambda x: x * np.inf, changed(NORMAL, _0=1e6), channel())


def test_the_model_is_asked_about_so_many_frames_from_everywhere() -> None:
    frames = np.arange(3 * 100_000.0).reshape(3, 100_000, 1)
    some = some_frames(frames)
    assert some.shape[0] * some.shape[1] == MOST_FRAMES
    assert (np.diff(some[..., 0]) == 1).all()  # neighbours stay neighbours
    assert some[0, 0, 0] == 0
    assert some[-1, -1, 0] == frames[-1, -1, 0]
    assert np.array_equal(some_frames(frames[:2, :300]), frames[:2, :300])


@pytest.mark.parametrize("count", [FEW, 5000])
def test_one_value_far_out_is_left_out_inside_too(count: int) -> None:
    values = np.abs(RNG.normal(size=count))
    usual = float(values.max())
    assert range_without_tails(changed(values, _7=1e6))[1] == usual
    assert range_without_tails(changed(values, _7=1.2 * usual))[1] == 1.2 * usual


def test_of_few_values_or_of_zeros_none_is_far_out() -> None:
    few = np.array([0.001, 0.002, 5.0])
    assert range_without_tails(few) == (0.001, 5.0)
    assert range_without_tails(changed(np.zeros(500), _7=4.0)) == (0.0, 4.0)
    assert range_without_tails(np.array([-2.0, 3.0])) == (-2.0, 3.0)

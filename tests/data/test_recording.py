"""The contract of recordings: exact conversion, leads by name, beats in order."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn_edge.data import CLASSES, NOT_SCORED, Recording
from lnn_edge.data import recording as contract
from lnn_edge.data.recording import LABEL_OF_SYMBOL
from lnn_edge.errors import DataError
from lnn_edge.tasks.beats import front_end as beat_front_end


def make(**changes: object) -> Recording:
    adc = np.arange(-4, 8, dtype=np.int16).reshape(6, 2) * 100
    plain = Recording(
        "r1",
        "p1",
        adc,
        360.0,
        ("MLII", "V1"),
        (200.0, 200.0),
        (1024, 1024),
        np.array([1, 4]),
        np.array([0, 2], np.int8),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_recording_in_the_contract_stays_as_it_is() -> None:
    recording = make()
    assert np.array_equal(recording.to_contract().adc, recording.adc)


def test_contract_is_what_the_front_end_is_built_for() -> None:
    assert contract.RATE_HZ == beat_front_end.SAMPLE_RATE_HZ
    assert contract.GAIN == beat_front_end.ADC_GAIN
    assert contract.LEADS == beat_front_end.CHANNELS


@settings(max_examples=60, deadline=None)
@given(
    gain=st.decimals(30, 5000, places=3).map(float),
    zero=st.integers(-2000, 2000),
    sample=st.integers(-2000, 2000),
)
def test_gain_and_zero_are_converted_exactly(gain: float, zero: int, sample: int) -> None:
    adc = np.full((6, 2), sample, np.int16)
    out = make(adc=adc, gain=(gain, 200.0), adc_zero=(zero, 1024)).to_contract()
    exact = Fraction(sample - zero) * 200 / Fraction(str(gain)) + 1024 + Fraction(1, 2)
    assert out.adc[0, 0] == floor(exact)
    assert out.gain == (200.0, 200.0)
    assert out.adc_zero == (1024, 1024)


@settings(max_examples=30, deadline=None)
@given(gain=st.decimals(-5000, -30, places=3).map(float), zero=st.integers(-2000, 2000))
def test_a_lead_that_is_upside_down_is_turned(gain: float, zero: int) -> None:
    adc = np.array([[-2000], [-1], [0], [700], [2000], [2000]], np.int16)
    out = make(adc=adc, leads=("MLII",), gain=(gain,), adc_zero=(zero,)).to_contract()
    exact = [Fraction(int(a) - zero) * 200 / Fraction(str(gain)) + 1024 for a in adc[:, 0]]
    assert out.adc[:, 0].tolist() == [floor(value + Fraction(1, 2)) for value in exact]
    assert out.gain == (200.0, 200.0)


def test_mlii_comes_first_by_name() -> None:
    recording = make(leads=("V5", "MLII"), gain=(100.0, 200.0))
    out = recording.to_contract()
    assert out.leads == ("MLII", "V5")
    assert np.array_equal(out.adc[:, 0], recording.adc[:, 1])
    assert out.adc[0, 1] == (-400 - 1024) * 2 + 1024


def test_second_lead_is_the_first_other_one_of_many() -> None:
    adc = np.arange(24, dtype=np.int16).reshape(6, 4)
    many = make(adc=adc, leads=("I", "V1", "MLII", "V2"), gain=(200.0,) * 4, adc_zero=(1024,) * 4)
    out = many.to_contract()
    assert out.leads == ("MLII", "I")
    assert np.array_equal(out.adc, adc[:, [2, 0]])


def test_one_lead_gets_a_second_at_rest() -> None:
    recording = make(adc=make().adc[:, :1], leads=("MLII",), gain=(200.0,), adc_zero=(1024,))
    out = recording.to_contract()
    assert out.leads == ("MLII", "absent")
    assert np.array_equal(out.adc[:, 0], recording.adc[:, 0])
    assert (out.adc[:, 1] == 1024).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fs_hz": 250.0}, "r1 is sampled at 250 Hz and the model needs 360 Hz; resample"),
        ({"leads": ("II", "V1")}, "leads II, V1 and the model needs MLII"),
        ({"gain": (0.5, 200.0)}, "MLII at 200 steps per mV does not fit 16 bit"),
        ({"gain": (1.2345678901234567e-11, 200.0)}, "too many digits"),
        ({"gain": (-1.2345678901234567e-11, 200.0)}, "too many digits"),
    ],
)
def test_conversion_says_what_is_wrong(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        make(**changes).to_contract()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beats": np.array([4, 4])}, "sample 4 follows one at sample 4; beats must ascend"),
        ({"beats": np.array([4, 1])}, "beats must ascend"),
        ({"beats": np.array([1, 6])}, "sample 6, but there are 6 samples"),
        ({"beats": np.array([-1, 4])}, "sample -1"),
        ({"labels": np.array([0, 4], np.int8)}, "labels lie between -1 and 3"),
        ({"labels": np.array([0, 1])}, "int8"),
        ({"adc": np.zeros((6, 2))}, "float64"),
        ({"adc": np.zeros((6, 3), np.int16)}, "one column a lead"),
        ({"gain": (0.0, 200.0)}, "positive"),
        ({"gain": (200.0,)}, "each lead must have"),
        ({"fs_hz": float("nan")}, "positive"),
    ],
)
def test_malformed_recording_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        make(**changes)


def test_cut_renumbers_the_beats() -> None:
    part = make().cut(2, 5, "piece")
    assert part.name == "piece"
    assert part.beats.tolist() == [2]
    assert part.labels.tolist() == [2]
    assert np.array_equal(part.adc, make().adc[2:5])


def test_count_tells_beats_per_class() -> None:
    beats = np.arange(5)
    labels = np.array([0, 0, 3, -1, 1], np.int8)
    counts = make(beats=beats, labels=labels).count()
    assert counts == {"N": 2, "S": 1, "V": 0, "F": 1, "Q": 1}


def test_symbols_map_as_in_de_chazal_2004() -> None:
    table = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F"}
    for name, symbols in table.items():
        assert {LABEL_OF_SYMBOL[s] for s in symbols} == {CLASSES.index(name)}
    assert {LABEL_OF_SYMBOL[s] for s in "/fQ"} == {NOT_SCORED}
    assert not set('+~|x![]"') & set(LABEL_OF_SYMBOL)

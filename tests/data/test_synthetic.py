"""The synthetic set: true to its equations, deterministic, and with the beats it promises."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.signal import welch

from lnn_edge.data import synthetic
from lnn_edge.data.aami import CLASSES
from lnn_edge.data.record import Record
from lnn_edge.data.synthetic_noise import band_noise
from lnn_edge.data.synthetic_rhythm import RhythmTraits, make_rhythm, sinus_intervals
from lnn_edge.data.synthetic_waves import draw_morphology, integrate
from lnn_edge.data.wfdb_folder import read_record
from lnn_edge.data.wfdb_writer import write_record
from lnn_edge.errors import DataError, UsageError
from lnn_edge.tasks.labelled import Labelled
from lnn_edge.tasks.recordings import label, load_labelled
from tests.cli.command import tree, untouched
from tests.support.once import once
from tests.support.recordings import BEATS
from tests.support.wfdb_files import read_folder

STEADY = RhythmTraits(75.0, 0.04, 0.5, 0.0, 0.0, 0.0, (0.0, 0.0))


def default_set(folder: Path) -> tuple[Record, ...]:
    synthetic.write_dataset(folder)
    return read_folder(folder)


@pytest.fixture(scope="module")
def recordings() -> tuple[Labelled, ...]:
    return tuple(label(record, BEATS) for record in once("synthetic", default_set))


def test_waves_solve_the_equations_of_mcsharry() -> None:
    """The model's three equations, integrated by scipy, against the limit-cycle solution."""
    fs_hz, period_s, seconds = 360.0, 0.8, 6.0
    waves = draw_morphology(False, np.random.default_rng(1)).normal
    omega = 2 * np.pi / period_s
    baseline = 0.15 * np.sin(2 * np.pi * 0.25 * np.arange(int(seconds * fs_hz)) / fs_hz)

    def model(t: float, state: np.ndarray) -> list[float]:
        x, y, z = state
        pull = 1 - np.hypot(x, y)
        distance = (np.arctan2(y, x) - waves[:, 0] + np.pi) % (2 * np.pi) - np.pi
        strength = waves[:, 2] * omega / waves[:, 1] ** 2
        push = -(strength * distance * np.exp(-0.5 * (distance / waves[:, 1]) ** 2)).sum()
        rest = 0.15 * np.sin(2 * np.pi * 0.25 * t)
        return [pull * x - omega * y, pull * y + omega * x, push - (z - rest)]

    start = [-1.0, 0.0, 0.0]  # half a cycle before the first R peak
    times = np.arange(int(seconds * fs_hz)) / fs_hz
    exact = solve_ivp(model, (0, seconds), start, t_eval=times, max_step=0.002, rtol=1e-8).y[2]
    peaks = np.arange(period_s / 2, seconds + 1, period_s)
    ours = integrate(
        peaks,
        np.full(len(peaks), omega),
        [waves] * len(peaks),
        np.stack([baseline] * 2, axis=1),
        fs_hz,
    )[:, 0]
    assert np.ptp(exact) > 0.8
    assert np.abs(ours - exact).max() < 0.002 * np.ptp(exact)


def test_sinus_intervals_have_the_wanted_mean_spread_and_peaks() -> None:
    traits = replace(STEADY, lf_hf=3.0)
    intervals = sinus_intervals(traits, 1200, np.random.default_rng(2))
    assert intervals.mean() == pytest.approx(0.8, abs=0.002)
    assert intervals.std() == pytest.approx(0.04, rel=0.02)
    f, power = welch(intervals - intervals.mean(), fs=4.0, nperseg=1024)
    low, high = ((f > a) & (f < b) for a, b in ((0.05, 0.15), (0.2, 0.3)))
    assert power[low].sum() / power[high].sum() == pytest.approx(3.0, rel=0.3)
    assert f[low][power[low].argmax()] == pytest.approx(0.1, abs=0.02)
    assert f[high][power[high].argmax()] == pytest.approx(0.25, abs=0.02)


def test_ventricular_beats_are_early_and_their_pause_compensates() -> None:
    traits = replace(STEADY, rr_std_s=1e-6, v_rate=0.1)
    beats = make_rhythm(traits, 600, np.random.default_rng(3))
    seen = 0
    for before, beat, after in zip(beats, beats[1:], beats[2:], strict=False):
        if (before.symbol, beat.symbol, after.symbol) == ("N", "V", "N"):
            seen += 1
            assert beat.time_s - before.time_s < 0.86 * 0.8
            assert after.time_s - before.time_s == pytest.approx(2 * 0.8, abs=1e-4)
    assert seen > 30


def test_atrial_beats_are_early_and_reset_the_rhythm() -> None:
    traits = replace(STEADY, rr_std_s=1e-6, s_rate=0.1)
    beats = make_rhythm(traits, 600, np.random.default_rng(4))
    pauses = [
        (beat.time_s - before.time_s, after.time_s - beat.time_s)
        for before, beat, after in zip(beats, beats[1:], beats[2:], strict=False)
        if (before.symbol, beat.symbol, after.symbol) == ("N", "A", "N")
    ]
    assert len(pauses) > 30
    assert all(early < 0.83 * 0.8 and 0.79 < pause < 1.16 * 0.8 for early, pause in pauses)


def test_fibrillation_is_irregular_without_p_waves() -> None:
    traits = replace(STEADY, fibrillation=(100.0, 300.0))
    beats = make_rhythm(traits, 400, np.random.default_rng(5))
    times = np.array([b.time_s for b in beats])
    inside = (times > 101) & (times < 300)
    assert all(beat.is_fibrillating for beat, i in zip(beats, inside, strict=True) if i)
    rr = np.diff(times[inside])
    assert rr.std() / rr.mean() > 0.15
    assert abs(np.corrcoef(rr[1:], rr[:-1])[0, 1]) < 0.2


def test_band_noise_stays_in_its_band() -> None:
    noise = band_noise(7200, 360.0, (20.0, 120.0), np.random.default_rng(6))
    spectrum = np.abs(np.fft.rfft(noise[:, 0]))
    f = np.fft.rfftfreq(7200, 1 / 360)
    assert spectrum[(f < 19.9) | (f > 120.1)].max() < 1e-9 * spectrum.max()
    assert noise.std(axis=0) == pytest.approx([1, 1])


def test_every_patient_has_every_class(recordings: tuple[Labelled, ...]) -> None:
    assert [r.name for r in recordings] == list(synthetic.names_of("all"))
    for recording in recordings:
        counts = recording.count()
        assert all(counts[name] > 0 for name in CLASSES), (recording.name, counts)
        assert counts["N"] > 0.6 * len(recording.events)


def test_records_have_two_leads_of_eleven_bits(recordings: tuple[Labelled, ...]) -> None:
    for recording in recordings:
        assert recording.frames.shape == (300 * 360, 2)
        assert 0 < recording.frames.min() < recording.frames.max() < 2047


def test_normal_beats_peak_where_they_are_annotated(recordings: tuple[Labelled, ...]) -> None:
    for recording in recordings:
        beats = recording.events[(recording.labels == 0)]
        windows = recording.frames[:, 0][beats[:, None] + np.arange(-36, 37)]
        assert np.abs(np.median(windows, axis=0).argmax() - 36) <= 3, recording.name


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        synthetic.write_dataset(tmp_path / name, seed=7, duration_s=20)
    synthetic.write_dataset(tmp_path / "c", seed=8, duration_s=20)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 3 * 12 + 3
    contents = [[(tmp_path / n / f).read_bytes() for f in files] for n in ("a", "b", "c")]
    assert contents[0] == contents[1] != contents[2]


def test_patients_differ_in_shape(recordings: tuple[Labelled, ...]) -> None:
    medians = []
    for recording in recordings:
        beats = recording.events[recording.labels == 0]
        windows = recording.frames[beats[:, None] + np.arange(-100, 100)].astype(float)
        medians.append(np.median(windows, axis=0).ravel())
    distances = [np.abs(a - b).max() for i, a in enumerate(medians) for b in medians[:i]]
    assert min(distances) > 10


def test_progress_is_told_and_an_old_set_replaced(tmp_path: Path) -> None:
    folder, new = tmp_path / "synthetic", tmp_path / "new"
    synthetic.write_dataset(folder, seed=1, duration_s=10)
    (folder / "mine.hea").write_text("mine")
    seen: list[tuple[int, int]] = []
    synthetic.write_dataset(folder, duration_s=10, on_record=lambda *at: seen.append(at))
    assert seen == [(i, 12) for i in range(1, 13)]
    synthetic.write_dataset(new, duration_s=10)
    assert tree(folder) == tree(new) | {"mine.hea": b"mine"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "synthetic"]


def test_what_a_user_changed_in_a_set_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "synthetic"
    synthetic.write_dataset(folder, seed=1, duration_s=10)
    (folder / "s03.atr").write_bytes(b"corrected by hand")
    with (
        untouched(tmp_path),
        pytest.raises(UsageError, match=r"s03\.atr was changed since"),
    ):
        synthetic.write_dataset(folder, duration_s=10)


def test_default_set_is_generated_where_it_is_absent_or_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_short = partial(synthetic.write_dataset, duration_s=10.0)
    monkeypatch.setattr(synthetic, "write_dataset", write_short)
    monkeypatch.setattr(synthetic, "DURATION_S", 10.0)
    names = [r.name for r in load_labelled("synthetic", split="test")]
    assert names == list(synthetic.TEST)
    folder = tmp_path / "cache" / "lnn-edge" / "synthetic"
    first = (folder / "s01.dat").stat().st_mtime_ns
    load_labelled("synthetic")
    assert (folder / "s01.dat").stat().st_mtime_ns == first
    monkeypatch.setattr(synthetic, "GENERATOR", synthetic.GENERATOR + 1)
    (folder / "s01.dat").unlink()
    load_labelled("synthetic")
    assert synthetic.is_current(folder)
    assert (folder / "s01.dat").stat().st_mtime_ns != first


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written .* give a writable one"):
        synthetic.write_dataset(tmp_path / "file" / "synthetic", duration_s=10)


def test_record_passes_through_disk_unchanged(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    record = synthetic.make_record(synthetic.draw_patient("s03", 60.0, rng), 60.0, rng)
    write_record(tmp_path, record)
    read = read_record(tmp_path, "s03")
    assert np.array_equal(read.samples, record.adc)
    beats = [at for at, s in zip(record.marks, record.symbols, strict=True) if s != "+"]
    assert [m.sample for m in read.marks] == beats
    assert "+" in record.symbols

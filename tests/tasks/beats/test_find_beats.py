"""Models that find beats themselves: on recordings, in trouble, in generated C."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from scipy import signal

from lnn_edge.codegen.kernels import Core
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.errors import UsageError
from lnn_edge.files import resources
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import load_graph, save_graph
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.r_peak_rules import RPeakTimes
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.sim.batch import decision_inputs, run_input_stage, stamps_of_events
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.graph.stage import EventTrigger, InputTrigger, Ring, Stage, event_trigger
from lnn_edge.tasks.beats.find_beats import (
    BANDS_HZ,
    detector_stage,
    detector_times,
    find_beats,
    first_order_band,
)
from lnn_edge.tasks.labelled import Labelled, match_events
from lnn_edge.tasks.metrics.single_label import evaluate_scores, integer_scores
from lnn_edge.tasks.recordings import load_labelled
from tests.support import arm_core
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.once import once
from tests.support.recordings import cut, has_mitdb, mitdb_record
from tests.support.toy import toy_every_graph, toy_graph

TOLERANCE_S = 0.15
LEARNING_S = 3.0
NO_EVENTS = np.zeros(0, np.int64)


@pytest.mark.parametrize("rate_hz", [100, 250, 257, 360, 500, 1000])
@pytest.mark.parametrize("band", BANDS_HZ)
def test_the_bands_are_those_of_scipy(band: str, rate_hz: int) -> None:
    sos = signal.butter(1, BANDS_HZ[band], "bandpass", fs=rate_hz, output="sos")
    np.testing.assert_allclose(first_order_band(BANDS_HZ[band], rate_hz), sos, rtol=0, atol=1e-15)


def test_predicting_loads_no_design_of_filters() -> None:
    """It takes 80 MB, of 300 for a recording of a day."""
    text = """
        import sys
        from lnn_edge.files.shipped import shipped_graph
        from lnn_edge.graph.file import load_graph
        from lnn_edge.tasks.predict import Predictor
        Predictor.of(load_graph(shipped_graph()))
        sys.exit("scipy.signal" in sys.modules or "scipy.spatial" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", dedent(text)], check=True)


def detector(rate: int) -> Pipeline:
    """Return a pipeline that does nothing but find beats."""
    times = detector_times(rate)
    frame = QTensor("adc", (2,), "int16", 1 / 200, role="input")
    stage, source = detector_stage(Stage("sample", InputTrigger(frame, "samples")), frame, times)
    window = QTensor("window", (2, 2), "int16", 1 / 200, role="input")
    dt = QTensor("dt", (1,), "uint16", 1 / rate, 0, 1, 9999, "input")
    trigger = EventTrigger("samples", window, dt, None, 100, 1, 1, 0, 8, source)
    ring = Ring("samples", frame, times.longest_delay + 3)
    return Pipeline((stage, Stage("decide", trigger)), (ring,))


Found = tuple[np.ndarray, np.ndarray]


def find(recordings: dict[str, np.ndarray], rate: int = 360) -> dict[str, Found]:
    """Return stamps and delays of the beats in frames (N, 2) of recordings, run side by side."""
    pipeline = detector(rate)
    trigger = pipeline.deciding_trigger
    assert isinstance(trigger, EventTrigger)
    results = run_input_stage(pipeline, [f.astype(np.int16) for f in recordings.values()])
    events = [stamps_of_events(trigger, NO_EVENTS, values) for values in results]
    return {n: (e.stamps, e.known - e.stamps) for n, e in zip(recordings, events, strict=True)}


def beats_of(times: np.ndarray, length: int, width: float = 4.0, height: float = 200) -> np.ndarray:
    """Return a lead with spikes as wide as R waves, and waves as wide as T waves behind them."""
    t = np.arange(length)
    ecg = np.zeros(length)
    for peak in times:
        ecg += height * np.exp(-(((t - peak) / width) ** 2))
        ecg += 0.25 * height * np.exp(-(((t - peak - 100) / 25) ** 2))
    return ecg


def two_leads(lead: np.ndarray, seed: int = 0, noise: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    leads = np.stack((lead, 0.5 * lead), axis=1) + rng.normal(0, noise, (len(lead), 2))
    return (leads + 1024).round().astype(np.int16)


def assert_found(found: np.ndarray, beats: np.ndarray, rate: int = 360) -> None:
    """Every beat after the learning is found, and nothing else."""
    beats = beats[beats > LEARNING_S * rate]
    found = found[found > LEARNING_S * rate]
    stamp, beat = match_events(beats, found, round(0.02 * rate))
    assert len(found) == len(stamp)  # none is false
    assert len(beats) == len(beat)


ANNOTATED = ("100", "118", "208", "217")


def annotated(name: str) -> Labelled:
    """Return a minute of a record."""
    return cut(mitdb_record(name), 60 * 360)


def test_the_times_are_those_that_were_chosen() -> None:
    """In seconds; the rate is one at which each is a whole number of samples."""
    seconds = (1 / 60, 1 / 9, 1 / 8, 1 / 5, 1 / 3, 13 / 36, 4 / 3, 2, 8, 1)
    times = RPeakTimes.at(36_000, 7)
    assert astuple(times) == (*(round(36_000 * s) for s in seconds), 7)
    assert astuple(RPeakTimes.at(2, 0)) == (1, 1, 1, 1, 1, 1, 3, 4, 16, 2, 0)


@pytest.mark.parametrize("name", ANNOTATED)
def test_it_finds_the_annotated_beats(name: str, found: dict[str, Found]) -> None:
    record, (stamps, delays) = annotated(name), found[name]
    stamp, beat = match_events(record.events, stamps, round(TOLERANCE_S * 360))
    after_learning = record.events > 3 * 360
    missed = np.setdiff1d(np.flatnonzero(after_learning), beat)
    assert len(missed) <= 1
    assert len(stamps) - len(stamp) <= 1
    assert delays.max() <= detector_times(360).longest_delay + 1
    assert (np.diff(stamps) > 0).all()


def steady(rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames and beats of half a minute."""
    beats = np.arange(rate // 2, 30 * rate, round(0.8 * rate))
    return two_leads(beats_of(beats, 31 * rate, 0.011 * rate)), beats


def odd_leads(change: str) -> np.ndarray:
    frames = two_leads(beats_of(EVEN, 7300)).astype(np.int64)
    if change == "upside down":
        frames = 2048 - frames
    if change == "tiny":
        frames = two_leads(beats_of(EVEN, 7300, height=30), noise=0.5)
    if "flat" in change:
        frames[:, int(change.startswith("other"))] = 1024
    return frames


def sudden_loss() -> np.ndarray:
    lead = beats_of(LOSING[:12], 7300) + beats_of(LOSING[12:], 7300, height=70)
    return two_leads(lead)


def burst_and_silence() -> np.ndarray:
    frames = two_leads(beats_of(BROKEN, 13300)).astype(np.int64)
    frames[4500:5000] += np.random.default_rng(3).integers(-900, 900, (500, 2))
    return frames


CHANGES = ("upside down", "one lead flat", "other lead flat", "tiny")
EVEN, LOSING = np.arange(200, 7000, 280), np.arange(200, 7000, 300)
BROKEN = np.concatenate((np.arange(200, 4000, 280), np.arange(9000, 13000, 280)))


def find_all(_folder: Path) -> dict[str, Found]:
    """Return what is found in the recordings at 360 Hz, invented ones and those at hand."""
    recordings = {change: odd_leads(change) for change in CHANGES}
    recordings |= {"360 Hz": steady(360)[0], "sudden loss": sudden_loss()}
    recordings |= {"burst": burst_and_silence(), "nothing": np.full((8000, 2), 1024)}
    if has_mitdb(ANNOTATED):
        recordings |= {name: annotated(name).frames for name in ANNOTATED}
    return find(recordings)


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    return once("found-beats", find_all)


@pytest.mark.parametrize("rate", [250, 360, pytest.param(500, marks=pytest.mark.slow)])
def test_any_sampling_rate_will_do(rate: int, found: dict[str, Found]) -> None:
    frames, beats = steady(rate)
    name = f"{rate} Hz"
    every = found if rate == 360 else find({name: frames}, rate)
    assert_found(every[name][0], beats, rate)


@pytest.mark.parametrize("change", CHANGES)
def test_leads_may_be_odd(change: str, found: dict[str, Found]) -> None:
    assert_found(found[change][0], EVEN)


def test_a_pause_and_a_sudden_loss_of_height_are_searched_back(found: dict[str, Found]) -> None:
    stamps, delays = found["sudden loss"]
    assert_found(stamps, LOSING)
    assert delays.max() > 250  # by a search back


def test_it_goes_on_after_a_burst_of_noise_and_after_silence(found: dict[str, Found]) -> None:
    stamps, _ = found["burst"]
    assert_found(stamps[stamps > 9000 + 360 * 3], BROKEN[BROKEN > 9000 + 360 * 3])


def test_nothing_is_found_where_nothing_is(found: dict[str, Found]) -> None:
    assert len(found["nothing"][0]) == 0


def test_a_model_that_finds_its_beats_decides_as_generated_c_does(tmp_path: Path) -> None:
    graph = find_beats(toy_graph())
    path = tmp_path / "model.qgraph"
    save_graph(graph, path)
    assert load_graph(path).stages[0].outputs == graph.stages[0].outputs
    beats = np.arange(200, 4000, 280)
    frames = two_leads(beats_of(beats, 4600))
    items = [*record_items(frames, NO_EVENTS), ("G", None)]
    items[2500:2500] = [("E", 2000), ("S", 40)]  # an event from outside is refused; lost frames
    expected = run_reference(graph, items)
    assert expected.count(b"D") >= 6
    assert run_c(compile_model(graph, tmp_path), items) == expected


def test_generated_c_finds_what_the_simulator_finds(tmp_path: Path) -> None:
    """Beats of all heights and distances, a pause, and a burst that saturates."""
    rng = np.random.default_rng(5)
    beats = np.cumsum(rng.integers(60, 400, 30))
    lead = sum(
        beats_of(beats[i : i + 1], 8000, height=h) for i, h in enumerate(rng.integers(40, 300, 30))
    )
    frames = two_leads(np.asarray(lead), noise=6).astype(np.int64)
    frames[6500:6900] += rng.integers(-30000, 30000, (400, 2))
    graph = find_beats(toy_graph())
    items = [*record_items(frames.astype(np.int16), NO_EVENTS), ("G", None)]
    expected = run_reference(graph, items)
    assert expected.count(b"D") >= 10
    assert run_c(compile_model(graph, tmp_path), items) == expected


FEED = """
#include "toy.h"
void run(const uint8_t *in, uint8_t *out)
{
    static toy_ctx_t ctx;
    toy_reset(&ctx);
    for (uint32_t i = 0; i < FRAMES; i++)
    {
        (void) toy_push_frame(&ctx, (const int16_t *) (const void *) &in[4 * i]);
    }
    out[0] = 0;
}
"""


@pytest.mark.target
def test_a_state_that_is_updated_in_place_is_not_copied_onto_itself(tmp_path: Path) -> None:
    """The detector's state of 184 words: its copy alone would take 738 instructions a sample."""
    arm_core.require_emulator()
    graph, runtime = find_beats(toy_graph()), resources.path("firmware") / "runtime"
    for name, text in render_model(generate(graph, Core("cortex-m7", dsp=True))).items():
        (tmp_path / name).write_text(text)
    frames = two_leads(beats_of(np.arange(200, 2000, 280), 2000))
    (tmp_path / "feed.c").write_text(FEED.replace("FRAMES", str(len(frames))))
    memory = resources.path("firmware") / "src" / "memory.c"
    sources = [*tmp_path.glob("*.c"), *runtime.glob("*.c"), memory]
    program = arm_core.link("cortex-m7", tmp_path, sources, [tmp_path, runtime])
    done = arm_core.run(program, frames.astype("<i2").tobytes(), 1, count=True)
    (spent,) = (n for name, n in done.instructions.items() if name.endswith("_r_peaks"))
    assert spent / len(frames) < 200


def test_the_shipped_model_finds_its_beats() -> None:
    graph = find_beats(load_graph(shipped_graph()))
    beats = np.arange(200, 4000, 280)
    stream = Stream(graph)
    decisions = list(stream.run(two_leads(beats_of(beats, 4700))))
    stamp, _ = match_events(beats, np.array([d.stamp for d in decisions]), 8)
    assert len(stamp) == len(decisions) >= len(beats) - 5  # the first are learned from
    assert stream.counters.events_rejected == 0


@pytest.mark.parametrize("make", [toy_every_graph, lambda: find_beats(toy_graph())])
def test_a_model_without_events_from_outside_is_refused(make: object) -> None:
    with pytest.raises(UsageError, match="it takes no events"):
        find_beats(make())  # type: ignore[operator]


def silenced(recording: Labelled) -> Labelled:
    """Return a recording whose leads are lost for ten seconds."""
    samples = recording.frames.copy()
    samples[20 * 360 : 30 * 360] = 1024
    return replace(recording, record=replace(recording.record, samples=samples))


def test_what_is_missed_and_false_counts_as_wfdb_counts_it() -> None:
    graph = find_beats(load_graph(shipped_graph()))
    recordings = [silenced(recording) for recording in load_labelled("excerpts")]
    trigger = event_trigger(graph.deciding_stage)
    sequences, scores = integer_scores(graph, recordings)
    judged = {r.name: r for r in evaluate_scores(sequences, scores, graph.classes).records}
    with wfdb_library():
        from wfdb.processing import compare_annotations
    missed = false = 0
    for recording, sequence in zip(recordings, sequences, strict=True):
        told = compare_annotations(recording.events, sequence.stamps, 54)
        places = trigger.surely_decided(len(recording.frames))
        unfound = [at for at in recording.events[told.unmatched_ref_inds] if at in places]
        assert sum(judged[recording.name].missed) == len(unfound)
        assert sum(judged[recording.name].false) == told.fp
        missed, false = missed + len(unfound), false + told.fp
    assert missed > 30
    assert false > 0


def test_a_model_that_is_told_of_beats_misses_none() -> None:
    graph, recordings = load_graph(shipped_graph()), load_labelled("excerpts")
    sequences, scores = integer_scores(graph, recordings)
    judged = evaluate_scores(sequences, scores, graph.classes)
    assert not judged.is_found
    places = event_trigger(graph.deciding_stage).surely_decided(len(recordings[0].frames))
    for recording, sequence in zip(recordings, sequences, strict=True):
        assert {at for at in recording.events.tolist() if at in places} <= set(sequence.stamps)


def test_a_beat_is_decided_on_where_it_is_said_whatever_follows() -> None:
    graph, frames = toy_graph(), np.full((3000, 2), 1024, np.int16)
    places = event_trigger(graph.deciding_stage).surely_decided(len(frames))
    for at in (0, 1, places.stop - 1, places.stop, 2999):
        run, _ = decision_inputs(graph, [(frames, np.array([at]))])[0]
        assert len(run) == (at in places)

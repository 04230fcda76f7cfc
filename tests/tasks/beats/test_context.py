"""What a beat is measured against: a baseline over time, limited changes, scores without window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.record import Mark
from lnn_edge.errors import UsageError
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.quantize.trained import quantize
from lnn_edge.tasks.beats.front_end import LONGEST_WAIT, RhythmPlan, front_end
from lnn_edge.tasks.beats.network import BeatNet, BeatNetConfig
from lnn_edge.tasks.metrics.single_label import integer_scores
from lnn_edge.train.checkpoint import float_scores, prepare
from lnn_edge.train.loop import train
from lnn_edge.train.recipe import load_recipe
from tests.support.recordings import invented, labelled_beats

EARLY, CHANGES = 0, -2  # rhythm features: log RR against the slow average, averaged changes
CONTEXT = {"usual_s": 60.0, "most_change": 0.25, "change_gain": 16.0}


def rhythm_of(intervals: list[int], plan: RhythmPlan) -> np.ndarray:
    """Return the rhythm features (B, F) of beats at these distances, in a flat ECG."""
    stamps = 400 + np.cumsum(intervals)
    adc = np.full((int(stamps[-1]) + LONGEST_WAIT + 400, 2), 1024, np.int16)
    marks = tuple(Mark(int(s), "N") for s in stamps)
    front = front_end(LONGEST_WAIT, plan)
    (found,) = run_decisions(front, [labelled_beats("x", adc, marks)], ("rhythm",))
    rhythm = next(t for t in front.deciding_stage.outputs if t.name == "rhythm")
    real: np.ndarray = rhythm.dequantize(found.values["rhythm"])
    return real


def test_a_baseline_over_time_outlasts_a_run_of_early_beats() -> None:
    """150 beats at 0.6 s after minutes at 1.2 s: a beat at a time they become the usual ones."""
    intervals = [432] * 300 + [216] * 150
    by_beat = rhythm_of(intervals, RhythmPlan())[:, EARLY]
    by_time = rhythm_of(intervals, RhythmPlan(usual_s=60.0))[:, EARLY]
    assert by_beat[300] == pytest.approx(-4.0, abs=0.15)  # an octave, four times
    assert by_time[300] == pytest.approx(-4.0, abs=0.15)
    assert by_beat[-2] == pytest.approx(-4.0 * np.exp(-149 / 48), abs=0.1)
    assert by_time[-2] == pytest.approx(-4.0 * np.exp(-149 * 0.6 / 60), abs=0.1)


def test_a_limit_tells_rare_pauses_from_an_irregular_rhythm() -> None:
    """One RR in twenty is three times as long; in the other rhythm each differs by a sixth."""
    pauses, irregular = ([200] * 19 + [600]) * 15, [200, 235] * 150
    free, limited = RhythmPlan(), RhythmPlan(most_change=0.25)
    means = {
        (name, plan): rhythm_of(intervals, plan)[100:-1, CHANGES:].mean()
        for name, intervals in (("pauses", pauses), ("irregular", irregular))
        for plan in (free, limited)
    }
    assert means["irregular", limited] == pytest.approx(means["irregular", free], abs=0.05)
    gap = {p: means["irregular", p] - means["pauses", p] for p in (free, limited)}
    assert gap[free] < 1.0 < gap[limited]


def test_scores_outside_by_window_never_see_it(tmp_path: Path) -> None:
    """After a training, in floating point and in integers."""
    recipe = load_recipe("ecg-beats-demo")
    extra = {**CONTEXT, "context_size": 6, "by_window": ("V",)}
    recipe = replace(
        recipe,
        model={**recipe.model, **extra},
        training=replace(recipe.training, epochs=1, batch_size=2),
    )
    recordings = [invented(str(i), 90, i) for i in range(2)]
    trained = train(recipe, recordings, (), tmp_path, seed=0)
    (sequence,) = prepare(trained.network, recordings[:1])
    turned = {**sequence.values, "window": sequence.values["window"][::-1].copy()}
    one, other = (
        float_scores(trained.network, [s])[0] for s in (sequence, replace(sequence, values=turned))
    )
    v = trained.network.classes.index("V")
    assert np.array_equal(np.delete(one, v, 1), np.delete(other, v, 1))
    assert not np.array_equal(one[:, v], other[:, v])
    got = integer_scores(quantize(trained, recordings), recordings[:1])[1][0]
    assert got.shape == one.shape


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"usual_s": 5.0}, "usual_s must be 0 or above 6 s"),
        ({"usual_s": -1.0}, "usual_s must be 0 or above 6 s"),
        ({"most_change": 0.0}, "most_change must be above 0"),
        ({"most_change": 4.5}, "most_change must be above 0 to 4"),
        ({"change_gain": 0.0}, "change_gain above 0"),
        ({"context_size": -1}, "context_size must be at least 0"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BeatNetConfig(**values)  # type: ignore[arg-type]


def test_a_class_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match="by_window names X; the classes are N, S, V, F"):
        BeatNet(BeatNetConfig(by_window=("X",)))


def test_a_change_that_is_followed_forgets_rare_ones() -> None:
    """One RR in twenty three times as long, against an alternation by a quarter octave."""
    pauses, irregular = ([200] * 19 + [600]) * 15, [200, 238] * 150
    plan = RhythmPlan(most_change=0.25, change_gain=16.0, follows_change=True)
    rare, often = (rhythm_of(i, plan)[150:-1, CHANGES:].max(0) for i in (pauses, irregular))
    assert rare == pytest.approx([-1 + 16 * 0.02, -1 + 16 * 0.006], abs=0.07)
    assert (often > 2.8).all()


def test_a_follower_moves_by_its_step() -> None:
    plan = RhythmPlan(most_change=0.25, change_gain=16.0, follows_change=True)
    rhythm = rhythm_of([200, 238] * 20, plan)[:, CHANGES]
    assert rhythm[1:20] == pytest.approx(-1 + 16 * 0.01 * np.arange(1, 20), abs=0.1)


@pytest.mark.parametrize("variant", ["ltc", "gru", "lstm", "linear", "encoder_only"])
def test_other_networks_on_the_same_inputs_are_trained_and_quantized(
    variant: str, tmp_path: Path
) -> None:
    recipe = load_recipe("ecg-beats-demo")
    extra = {**CONTEXT, "follows_change": True, "by_window": ("V",)}
    recipe = replace(
        recipe,
        model={**recipe.model, **extra, "hidden_size": 4, "variant": variant},
        training=replace(recipe.training, epochs=1, batch_size=2),
    )
    recordings = [invented(str(i), 90, i) for i in range(2)]
    trained = train(recipe, recordings, (), tmp_path, seed=0)
    graph = quantize(trained, recordings)
    (sequence,) = prepare(trained.network, recordings[:1])
    wanted = float_scores(trained.network, [sequence])[0]
    got = graph.output.dequantize(integer_scores(graph, recordings[:1])[1][0])
    assert np.abs(got - wanted).max() < 0.15 * np.abs(wanted).max()

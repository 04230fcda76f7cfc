"""Judges what models of beats say of the signal, on clean, noisy and broken recordings of DS1.

Example: python -m scripts.signal_quality --data-dir DIR -o docs/signal_quality.md
The limits were chosen on DS1 and svdb; DS2 is not read.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.build.decide import Runner
from lnn_edge.data import mitdb, svdb
from lnn_edge.data.aami import CLASSES
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.data.registry import find_dataset
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.files.write import write_whole
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.flaws import FLAWS
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.beats.quality import with_quality
from lnn_edge.tasks.labelled import Labelled, match_events
from scripts.r_peaks import (
    DECIBELS,
    LEARNING_S,
    NOISES,
    RATE_HZ,
    STRESS_S,
    TOLERANCE,
    read,
    strangers,
    under_noise,
)

RAILS = (0, 2047)  # of mitdb's ADC
LEADS = (0, 1)
SCORED = 3  # N, S, V: F is too rare
NO_BEAT = -2  # where the detector found none that is marked
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Decided:
    """Decisions on some recordings.

    Attributes:
        labels: (D,) true classes, -1 unscored, NO_BEAT.
        classes: (D,) decided ones.
        flaws: (D, 1 + leads).
    """

    labels: np.ndarray
    classes: np.ndarray
    flaws: np.ndarray

    @property
    def is_left(self) -> np.ndarray:
        """Which decisions are classifiable."""
        return np.asarray(self.flaws[:, 0] == 0)

    def part(self, chosen: np.ndarray) -> Decided:
        """Return some of them."""
        return Decided(self.labels[chosen], self.classes[chosen], self.flaws[chosen])


def decide(
    runner: Runner, records: Iterable[tuple[Labelled, np.ndarray]], *, noisy_only: bool = False
) -> Decided:
    """Return the decisions on records whose frames were changed.

    Args:
        runner: With marked beats or its own.
        records: And their frames.
        noisy_only: Whether only minutes count in which under_noise adds some.
    """
    parts = []
    for record, frames in records:
        ((stamps, outputs),) = runner.run([(frames, record.events)])
        labels = np.full(len(stamps), NO_BEAT)
        stamp, beat = match_events(record.events, stamps, TOLERANCE)
        labels[stamp] = record.labels[beat]
        turn = stamps - LEARNING_S * RATE_HZ
        counts = (turn >= 0) & (turn // (STRESS_S * RATE_HZ) % 2 == 0) | (not noisy_only)
        classes, flaws = outputs[:, : len(CLASSES)].argmax(1), outputs[:, len(CLASSES) :]
        parts.append((labels[counts], classes[counts], flaws[counts]))
    return Decided(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def mean_f1(decided: Decided) -> float:
    """Return the mean F1 of N, S and V."""
    scored = decided.part(decided.labels >= 0)
    f1 = []
    for c in range(SCORED):
        true, said = scored.labels == c, scored.classes == c
        f1.append(2 * np.sum(true & said) / max(np.sum(true) + np.sum(said), 1))
    return float(np.mean(f1))


def accuracy(decided: Decided) -> float:
    """Return the part of scored decisions that is right."""
    scored = decided.labels >= 0
    return float(np.mean(decided.labels[scored] == decided.classes[scored]))


def share(part: np.ndarray) -> str:
    """Return a percentage."""
    return f"{100 * part.mean():.2f}" if len(part) else "-"


def clean_row(name: str, decided: Decided) -> str:
    """Return what is marked where nothing was added: of all, of each flaw and class."""
    flaws = [share((decided.flaws[:, 0] & bit) > 0) for bit in FLAWS.values()]
    lost = ~decided.is_left
    classes = [share(lost[decided.labels == c]) for c in range(SCORED)]
    cells = " | ".join((share(lost), *flaws, *classes))
    return f"| {name} | {len(lost):,} | {cells} |"


def judged_cells(decided: Decided) -> str:
    """Return share marked, and accuracy and mean F1 of all and of those left."""
    both = decided, decided.part(decided.is_left)
    figures = [f"{f(d):.4f}" if len(d.flaws) else "-" for f in (accuracy, mean_f1) for d in both]
    return " | ".join((share(~decided.is_left), *figures))


def found_cells(decided: Decided) -> str:
    """Return shares marked of false and of true beats, and PPV of all and of those left."""
    is_beat, left = decided.labels != NO_BEAT, decided.is_left
    ppv = share(is_beat), share(is_beat[left])
    return " | ".join((share(~left[~is_beat]), share(~left[is_beat]), *ppv))


def flat(lead: int) -> Change:
    """Return what cuts a lead off."""
    return lambda frames: _with_lead(frames, lead, np.full(len(frames), 1024))


def clipped(lead: int, gain: int) -> Change:
    """Return what amplifies a lead beyond the rails."""
    low, high = RAILS
    return lambda frames: _with_lead(
        frames, lead, ((frames[:, lead].astype(int) - 1024) * gain + 1024).clip(low, high)
    )


def _with_lead(frames: np.ndarray, lead: int, values: np.ndarray) -> np.ndarray:
    changed = frames.copy()
    changed[:, lead] = values
    return changed


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/signal_quality.md"))
    given = parser.parse_args()
    folder = find_dataset(mitdb.NAME).locate(given.data_dir)
    records = [r for n in mitdb.DS1 if (r := read(folder, n))]
    others = strangers(find_dataset(svdb.NAME).locate(given.data_dir))
    graph = with_quality(load_graph(shipped_graph()), RAILS)
    told, alone = Runner(graph), Runner(find_beats(graph))
    clean = {
        name: decide(told, ((r, r.frames) for r in of))
        for name, of in (("DS1", records), (svdb.NAME, others))
    }
    rows = {"clean": [clean_row(*pair) for pair in clean.items()], "noise": [], "found": []}
    everything = {"noise": (told, judged_cells), "found": (alone, found_cells)}
    for noise, words in NOISES.items():
        with wfdb_library() as wfdb:
            steps = wfdb.rdrecord(str(folder.parent / "nstdb" / noise), physical=False).d_signal
        for d in DECIBELS:
            noisy = [(r, under_noise(r, steps, d)) for r in records]
            for table, (runner, cells) in everything.items():
                decided = decide(runner, noisy, noisy_only=True)
                rows[table].append(f"| {words} | {d} | {cells(decided)} |")
    broken = {f"lead {i + 1} flat": flat(i) for i in LEADS}
    broken |= {f"lead {i + 1} amplified {g} times": clipped(i, g) for i in LEADS for g in (4, 8)}
    rows["broken"] = [f"| nothing | {judged_cells(clean['DS1'])} |"]
    for words, change in broken.items():
        decided = decide(told, ((r, change(r.frames)) for r in records))
        rows["broken"].append(f"| {words} | {judged_cells(decided)} |")
    page = PAGE
    for name, lines in rows.items():
        page = page.replace(f"[{name}]", "\n".join(lines))
    write_whole(given.output, page)


PAGE = """# Signal quality

    python -m scripts.signal_quality --data-dir DIR -o docs/signal_quality.md

With `--quality LOW,HIGH` a model of beats has an output more: what is wrong with the signal in the
window of a decision ([why so](adr/0026-quality-beside-scores.md)): for each lead and for the
decision, in integers, from the window that the scores are made of (120 Hz, 0.83 s):

| flaw | of a lead | of the decision |
|---|---|---|
| flat | it stays within 0.03 mV | any lead |
| saturated | all three samples of a frame are at a rail, LOW or HIGH | any lead |
| noisy | the mean second difference beside the QRS complex exceeds 0.095 of its range | all leads |

A decision with a flaw is unclassifiable: its scores are there, as they were, and mean little.
`predict`, `monitor` and `report` tell the flaws in words, `--to wfdb` writes such beats as Q,
`evaluate` counts them and judges the others apart.

The limits were chosen on DS1 and svdb; DS2 was not read. The model learned from DS1, so what counts
below is the difference between all and the classifiable, not the height.

## What is marked where nothing was added

Percent of the beats that are unclassifiable, by flaw, and of the beats of each class.

| records | beats | marked % | flat % | saturated % | noisy % | of N % | of S % | of V % |
|---|---|---|---|---|---|---|---|---|
[clean]

## Noise, beats given

All records of DS1 with the noises of the noise stress test in both leads, as in
[R peaks](r_peaks.md); only the minutes with noise count. Electrode motion, the third noise, is not
available. Mean F1 is that of N, S and V.

| noise | ratio in dB | marked % | accuracy, all | classifiable | mean F1, all | classifiable |
|---|---|---|---|---|---|---|
[noise]

Leaving the marked beats out brings back a part of what strong muscle noise takes, and nothing of
what weaker noise takes: the model errs on beats of little noise nearly as often. Baseline wander is
slow, so that second differences hardly see it.

## Noise, beats found

The same with the model's own detector (`--find-beats --quality 0,2047`): percent of the false and
of the true beats that are marked, and the positive predictive value in percent. Here the output is
worth most: a false beat has no QRS complex that stands out.

| noise | ratio in dB | marked of false % | marked of true % | PPV, all | PPV, classifiable |
|---|---|---|---|---|---|
[found]

## Leads cut off and driven into the rails

DS1, given beats. Flat: one lead is 0 mV throughout. Amplified: around 0 mV, clipped at 0 and 2047.
A beat is marked only where it reaches a rail, so that those left are the lower beats, not a sample.

| what was done | marked % | accuracy, all | classifiable | mean F1, all | classifiable |
|---|---|---|---|---|---|
[broken]

## What it costs

`lnn-edge analyze ecg-beats-cfc --board stm32f746`, with and without `--quality 0,2047`:

| | without | with |
|---|---|---|
| flash, bytes | 24,052 | 24,388 |
| RAM, bytes | 7,344 | 7,368 |
| stack, bytes | 936 | 952 |
| instructions a decision | 64,922 | 69,247 |

## What it does not see

* A lead that drifts without an ECG in it is not flat.
* Slow noise: wander, and what electrodes make in motion, as far as it is slow.
* Rails other than those named. They are in steps of the model, so a recording of a device that
  saturates elsewhere needs its own LOW and HIGH.
"""


if __name__ == "__main__":
    main()

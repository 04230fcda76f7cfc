"""The synthetic ECG set: patients drawn from a seed, written as WFDB records with annotations."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.data.synthetic_noise import (
    NoiseTraits,
    draw_noise_traits,
    make_baseline,
    make_noise,
)
from lnn_edge.data.synthetic_rhythm import Beat, RhythmTraits, make_rhythm
from lnn_edge.data.synthetic_waves import Morphology, draw_morphology, render_beats
from lnn_edge.data.wfdb_writer import WfdbRecord, record_files
from lnn_edge.errors import DataError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import Content, publish

RATE_HZ = 360
GAIN = 200  # ADC steps per mV
ADC_ZERO = 1024
NAME = "synthetic"
GENERATOR = 1  # counted up when the same seed gives other recordings
SEED = 2003
DURATION_S = 300.0
TRAIN = tuple(f"s{i:02d}" for i in range(1, 8))
VALIDATION = ("s08", "s09")
TEST = ("s10", "s11", "s12")
SPLITS = ("develop", "train", "validation", "test", "all")
# Each split has a patient with bundle branch block and one who fibrillates for a while.
_BLOCKED = frozenset({"s01", "s06", "s09", "s11", "s12"})
_FIBRILLATING = frozenset({"s03", "s06", "s08", "s10"})
_ADC_RANGE = (0, 2047)  # 11 bits, as MIT-BIH
_STAMP = "GENERATOR"
_REMEDY = "move it away, or give another --data-dir"


@dataclass(frozen=True, eq=False)
class Patient:
    """Everything that makes one synthetic patient."""

    name: str
    rhythm: RhythmTraits
    shape: Morphology
    noise: NoiseTraits


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the records of a split; there is one fold.

    Raises:
        DataError: There is no such split or fold.
    """
    members = {
        "train": TRAIN,
        "validation": VALIDATION,
        "develop": TRAIN + VALIDATION,
        "test": TEST,
        "all": TRAIN + VALIDATION + TEST,
    }
    if split not in members or fold:
        raise DataError(
            f"the synthetic set has no split {split!r} with fold {fold}; "
            f"take one of {', '.join(SPLITS)} and fold 0"
        )
    return members[split]


def draw_patient(name: str, duration_s: float, rng: np.random.Generator) -> Patient:
    """Draw one patient; the name tells who has bundle branch block and who fibrillates."""
    start = duration_s * rng.uniform(0.1, 0.6)
    stop = start + duration_s * rng.uniform(0.15, 0.35) * (name in _FIBRILLATING)
    rhythm = RhythmTraits(
        rate_bpm=float(rng.uniform(58, 92)),
        rr_std_s=float(rng.uniform(0.02, 0.06)),
        lf_hf=float(rng.uniform(0.3, 2.0)),
        s_rate=float(rng.uniform(0.05, 0.11)),
        v_rate=float(rng.uniform(0.03, 0.10)),
        f_rate=float(rng.uniform(0.01, 0.05)),
        fibrillation=(float(start), float(stop)),
    )
    return Patient(name, rhythm, draw_morphology(name in _BLOCKED, rng), draw_noise_traits(rng))


def make_record(patient: Patient, duration_s: float, rng: np.random.Generator) -> WfdbRecord:
    """Let a patient's heart beat for a while, 360 Hz, MLII and V1, 200 steps per mV."""
    count = int(duration_s * RATE_HZ)
    beats = make_rhythm(patient.rhythm, duration_s, rng)
    baseline = make_baseline(patient.noise, patient.shape.respiration_hz, count, RATE_HZ, rng)
    millivolts = render_beats(beats, patient.shape, baseline, RATE_HZ, rng)
    millivolts += make_noise(patient.noise, patient.rhythm.fibrillation, count, RATE_HZ, rng)
    adc = np.clip(np.rint(millivolts * GAIN) + ADC_ZERO, *_ADC_RANGE).astype(np.int16)
    marks = sorted(_rhythm_marks(patient.rhythm) + _beat_marks(beats))
    return WfdbRecord(
        patient.name,
        adc,
        RATE_HZ,
        ("MLII", "V1"),
        GAIN,
        ADC_ZERO,
        np.array([at for at, _, _ in marks]),
        tuple(symbol for _, symbol, _ in marks),
        tuple(note for _, _, note in marks),
        ("Synthetic ECG of lnn-edge, no recording of a person",),
    )


def write_dataset(
    folder: Path,
    seed: int = SEED,
    duration_s: float = DURATION_S,
    on_record: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write all patients' records into a folder, all of them or none.

    Args:
        folder: A new or empty one, or with an earlier set; what its user added or changed stays.
        seed: The same seed gives the same recordings.
        duration_s: Length of each record.
        on_record: Called with (records done, records in all) after each.

    Raises:
        DataError: The folder cannot be written.
        UsageError: It holds something else, or a file in the way that its user changed.
    """
    names = names_of("all")
    stamp = _stamp(seed, duration_s)
    files: dict[str, Content] = {"RECORDS": "\n".join(names) + "\n", _STAMP: stamp}
    try:
        for index, name in enumerate(names):
            rng = np.random.default_rng([seed, index])
            patient = draw_patient(name, duration_s, rng)
            files |= record_files(make_record(patient, duration_s, rng))
            on_record(index + 1, len(names))
        with alone_in(folder):
            publish(folder, files, "synthetic data set", last=_STAMP, remedy=_REMEDY)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}); give a writable one with "
            "--data-dir"
        ) from error


def is_current(folder: Path) -> bool:
    """Return whether a folder holds the default set as this generator writes it."""
    stamp = folder / _STAMP
    return stamp.is_file() and stamp.read_text("utf-8") == _stamp(SEED, DURATION_S)


def find_folder(data_dir: Path | None) -> Path:
    """Return the folder of the default set: DIR/synthetic, else in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lnn-edge"
    return (data_dir or cache) / NAME


def ensure_dataset(data_dir: Path | None) -> Path:
    """Return the folder of the default set, generated first if it is absent or of another version.

    Raises:
        DataError, UsageError: See write_dataset.
    """
    folder = find_folder(data_dir)
    if not is_current(folder):
        write_dataset(folder)
    return folder


def _stamp(seed: int, duration_s: float) -> str:
    return f"lnn-edge synthetic ECG, generator {GENERATOR}, seed {seed}, {duration_s:g} s\n"


def _beat_marks(beats: tuple[Beat, ...]) -> list[tuple[int, str, str]]:
    return [(round(beat.time_s * RATE_HZ), beat.symbol, "") for beat in beats]


def _rhythm_marks(rhythm: RhythmTraits) -> list[tuple[int, str, str]]:
    start, stop = (round(at * RATE_HZ) for at in rhythm.fibrillation)
    episode = [(start, "+", "(AFIB"), (stop, "+", "(N")] if stop > start else []
    return [(1, "+", "(N"), *episode]

"""Judges single windows of HAPT by models without memory: linear, and gradient-boosted trees.

Example: pip install scikit-learn && python scripts/activity_baselines.py --data-dir DIR
`statistics` are 78 numbers of an official window (mean, deviation, percentiles, jerk, energies in
bands, correlations, tilt); `spectrum` are the inputs of har-spectrum-cfc. With --test the official
test is judged by models of all 21 training subjects: once, at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lnn_edge.data import uci_har
from lnn_edge.data.hapt_cache import locate
from lnn_edge.data.record import Record
from lnn_edge.graph.sim.predict import run_decisions
from lnn_edge.tasks.activity.task import TASK
from lnn_edge.tasks.recordings import label
from lnn_edge.tasks.registry import make_network

BANDS_HZ = ((0.3, 1), (1, 2), (2, 4), (4, 8), (8, 25))
PERCENTILES = (5, 25, 75, 95)


def statistics(windows: np.ndarray) -> np.ndarray:
    """Return 78 numbers of windows (W, frames, 6) in g and rad/s."""
    mean = windows.mean(1)
    moved = windows - mean[:, None]
    deviation = moved.std(1)
    power = np.abs(np.fft.rfft(moved, axis=1)) ** 2
    hertz = np.fft.rfftfreq(windows.shape[1], 1 / uci_har.RATE_HZ)
    sensors = (slice(0, 3), slice(3, 6))
    energies = [
        np.log(power[:, (hertz >= low) & (hertz < high), sensor].sum((1, 2)) + 1e-6)
        for sensor in sensors
        for low, high in BANDS_HZ
    ]
    unit = moved / (deviation[:, None] + 1e-3)
    together = np.einsum("wfa,wfb->wab", unit, unit) / windows.shape[1]
    down = mean[:, :3] / np.linalg.norm(mean[:, :3], axis=1, keepdims=True)
    parts = (
        mean,
        deviation,
        np.abs(moved).mean(1),
        *np.percentile(windows, PERCENTILES, axis=1),
        np.diff(windows, axis=1).std(1),
        np.stack(energies, 1),
        together[:, *np.triu_indices(6, 1)],
        np.arcsin(down[:, 1:]),
        np.linalg.norm(deviation[:, :3], axis=1, keepdims=True),
        np.linalg.norm(deviation[:, 3:], axis=1, keepdims=True),
        np.linalg.norm(mean[:, 3:], axis=1, keepdims=True),
    )
    return np.concatenate(parts, axis=1)


def official(runs: tuple[Record, ...], form: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of the official windows of runs."""
    steps, length = np.array(uci_har.STEPS), uci_har.WINDOW
    pieces = [run.samples[m.sample + 1 - length : m.sample + 1] for run in runs for m in run.marks]
    labels = [uci_har.CLASSES.index(m.symbol) for run in runs for m in run.marks]
    if form == "statistics":
        return statistics(np.stack(pieces) / steps), np.array(labels)
    network = make_network("har-spectrum-cfc", {"window": length, "hop": length})
    windows = [
        uci_har.run_of(f"w{i}", 0, piece, (), np.zeros(0, int), np.zeros(0, int))
        for i, piece in enumerate(pieces)
    ]
    found = run_decisions(network.front, [label(w, TASK) for w in windows], ("mean", "spectrum"))
    rows = [
        np.concatenate([t.dequantize(d.values[t.name]).reshape(1, -1) for t in network.inputs], 1)
        for d in found
    ]
    return np.concatenate(rows), np.array(labels)


def model_of(name: str) -> Any:
    """Return an untrained model."""
    if name == "linear":
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    return HistGradientBoostingClassifier(learning_rate=0.1, max_iter=100, random_state=0)


def main() -> None:
    """Print macro-F1 of all that was held out, together, and how often sitting is mistaken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir")
    parser.add_argument("--test", action="store_true")
    args = parser.parse_args()
    folder = locate(None if args.data_dir is None else Path(args.data_dir))
    splits = [("develop", "test", 0)] if args.test else []
    splits = splits or [("train", "validation", f) for f in range(uci_har.FOLD_COUNT)]
    for form in ("statistics", "spectrum"):
        for name in ("linear", "trees"):
            wanted, got = [], []
            for told, unseen, fold in splits:
                x, y = official(uci_har.read(folder, uci_har.names_of(told, fold)), form)
                model = model_of(name).fit(x, y)
                x, y = official(uci_har.read(folder, uci_har.names_of(unseen, fold)), form)
                wanted.append(y)
                got.append(model.predict(x))
            right, said = np.concatenate(wanted), np.concatenate(got)
            wrong = [int(((right == a) & (said == b)).sum()) for a, b in ((3, 4), (4, 3))]
            print(form, x.shape[1], name, f"{f1_score(right, said, average='macro'):.4f}", *wrong)


if __name__ == "__main__":
    main()

"""Plays a recording through a model; needs numpy and the runtime of the model alone.

    python run.py RECORD.npy RESULTS.npz [EVENTS.npy]

RECORD.npy holds frames (N, C) int16, EVENTS.npy stamps (M,) where the model takes events from
outside. RESULTS.npz gets stamps (D,) and outputs (D, O). No frame of the record may be missing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.codegen.player.onnx_step import step_of

Values = dict[str, np.ndarray]
Decisions = list[tuple[int, np.ndarray]]


class Ring:
    """The last frames that a stage wrote."""

    def __init__(self, told: dict[str, Any], tensor: dict[str, Any]) -> None:
        self.frames, self.length = 0, told["length"]
        self._starts_at_zero = told.get("start") == "zero"
        shape = (self.length, *tensor["shape"])
        self._data = np.broadcast_to(np.array(tensor["zero_point"], tensor["dtype"]), shape).copy()

    def push(self, frame: np.ndarray) -> None:
        """Append a frame; the first fills a ring that does not start at zero."""
        if self.frames == 0 and not self._starts_at_zero:
            self._data[:] = frame
        self._data[self.frames % self.length] = frame
        self.frames += 1

    def window(self, now: int, told: dict[str, Any]) -> np.ndarray:
        """Return what a stage reads that fires on an event, or after a number of frames."""
        places = now + told["first"] + np.arange(told["length"]) * told["dilation"]
        return np.reshape(self._data[places % self.length], told["shape"])


class Player:
    """A model at the start of a record."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        about = json.loads((folder / "pipeline.json").read_text())
        self.tensors, self.stages, self._stamps = about["tensors"], about["stages"], about["stamps"]
        self._models = {file: step_of(folder / file) for s in self.stages for file in s["models"]}
        self._rings = {r["name"]: Ring(r, self.tensors[r["frame"]]) for r in about["rings"]}
        states = [s for stage in self.stages for s in stage["states"]]
        self.state = {s["tensor"]: self._filled(s["tensor"], s["initial"]) for s in states}
        self._events: list[int] = []
        self._last: int | None = None

    def run(self, frames: np.ndarray, events: Sequence[int] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Return stamps (D,) and outputs (D, O) of a record; event t follows frame t."""
        decided: Decisions = []
        waiting = [int(t) for t in events][::-1]
        for index, frame in enumerate(np.asarray(frames, np.int16)):
            decided += self.push_frame(frame)
            while waiting and waiting[-1] <= index:
                decided += self.push_event(waiting.pop())
        told = self.tensors[self.stages[-1]["outputs"][0]]
        outputs = np.array([y for _, y in decided], told["dtype"]).reshape(-1, *told["shape"])
        return np.array([stamp for stamp, _ in decided], np.int64), outputs

    def push_frame(self, frame: np.ndarray) -> Decisions:
        """Take a frame (C,) int16; return the decisions that it leads to."""
        first, last, decided = self.stages[0], self.stages[-1], Decisions()
        values = self.step(first, {first["trigger"]["frame"]: frame})
        fresh, frames = {first["fills"]}, self._rings[first["fills"]].frames
        for stage in self.stages[1:]:
            trigger, ring = stage["trigger"], self._rings[stage["trigger"]["ring"]]
            is_due = trigger["kind"] == "every" and trigger["ring"] in fresh
            since = ring.frames - trigger["first"] if is_due else -1
            if since >= 0 and since % trigger["hop"] == 0:
                read = ((w, self._rings[w["ring"]]) for w in stage["windows"])
                made = self.step(stage, {w["frames"]: r.window(ring.frames, w) for w, r in read})
                fresh.add(stage["fills"])
                if stage is last:
                    stamp = self._stamps["first"] + self._stamps["hop"] * (ring.frames - 1)
                    decided.append((stamp, made[stage["outputs"][0]]))
        found = int(values[last["trigger"]["source"]][0]) if last["trigger"].get("source") else 0
        return decided + (self.push_event(frames - found) if found else self._decide_events())

    def push_event(self, stamp: int) -> Decisions:
        """Take an event, in ascending order; return the decisions that it leads to."""
        newest = self._events[-1] if self._events else self._last
        is_new = stamp >= 0 and (newest is None or stamp > newest)
        if is_new and len(self._events) < self.stages[-1]["trigger"]["capacity"]:
            self._events.append(stamp)
        return self._decide_events()

    def _decide_events(self) -> Decisions:
        decided, stage = Decisions(), self.stages[-1]
        trigger = stage["trigger"]
        while self._events:
            stamp, ring = self._events[0], self._rings[trigger["ring"]]
            is_over = len(self._events) > 1 or ring.frames >= stamp + trigger["wait"]
            if ring.frames < stamp + trigger["post"] or not is_over:
                break
            self._events.pop(0)
            if ring.frames > stamp - trigger["pre"] + ring.length:
                continue  # the window is gone
            given = {trigger["window"]: ring.window(stamp, stage["windows"][0])}
            elapsed = trigger["first_dt"] if self._last is None else stamp - self._last
            given[trigger["dt"]] = self._filled(trigger["dt"], elapsed)
            if trigger["dt_next"]:
                gap = min([trigger["wait"], *(t - stamp for t in self._events[:1])])
                given[trigger["dt_next"]] = self._filled(trigger["dt_next"], gap)
            self._last = stamp
            decided.append((stamp, self.step(stage, given)[stage["outputs"][0]]))
        return decided

    def step(self, stage: dict[str, Any], given: Values) -> Values:
        """Run a stage, keep its state and append to its ring; return what it read and wrote."""
        values = {**given, **self.state}
        for file in stage["models"]:
            values |= self._models[file](values)
        self.state |= {s["tensor"]: values[s["update"]] for s in stage["states"]}
        if stage["fills"]:
            self._rings[stage["fills"]].push(values[stage["frame"]])
        return values

    def _filled(self, name: str, value: int) -> np.ndarray:
        """Return a tensor of one value, limited to its range."""
        t = self.tensors[name]
        return np.full(t["shape"], min(max(value, t["qmin"]), t["qmax"]), t["dtype"])


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    stamps, outputs = Player().run(*(np.load(path) for path in (sys.argv[1], *sys.argv[3:])))
    np.savez(sys.argv[2], stamps=stamps, outputs=outputs)
    print(f"{len(stamps)} decisions: {sys.argv[2]}")

"""Write lowered.json: python -m tests.support.make_lowered, while networks had a lower() each."""

from __future__ import annotations

import json

import torch

from lnn_edge.nn.threads import one_thread
from lnn_edge.quantize.trained import Calibration
from tests.support.trials import LOWERED, TRIALS, Trial, meanings


def lowered(trial: Trial) -> dict[str, object]:
    """Return ranges and operators."""
    calibration = Calibration()
    with torch.no_grad(), one_thread():
        for inputs in trial.sequences:
            trial.network(inputs, calibration.tap)
    ranges = calibration.ranges()
    graph = trial.network.lower("net", ranges, {"classes": list(trial.network.classes)})
    return {"ranges": {k: list(v) for k, v in ranges.items()}, "operators": list(meanings(graph))}


if __name__ == "__main__":
    made = {name: lowered(make()) for name, make in TRIALS.items()}
    rows = [f" {json.dumps(name)}: {json.dumps(values)}" for name, values in made.items()]
    LOWERED.write_text("{\n" + ",\n".join(rows) + "\n}\n")

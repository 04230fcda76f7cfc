"""What a report calls the things of a task."""

from __future__ import annotations

from dataclasses import dataclass

from lnn_edge.graph.qgraph import QGraph


@dataclass(frozen=True)
class TaskWords:
    """Words of a task.

    Attributes:
        unit: What is judged, in the plural.
        people: Who was recorded, in the plural.
        heading: Of the strips.
        choice: How the recordings shown were chosen.
        legend: How to read a strip.
        source: Where the recordings come from.
    """

    unit: str
    people: str
    heading: str
    choice: str
    legend: str
    source: str


UNDECIDED = "\N{MIDDLE DOT}"
UNSCORED = "Q"
BEATS = TaskWords(
    "beats",
    "patients",
    "ECG",
    "Minutes full of arrhythmia were chosen for display: for figures that stand for patients at "
    "large, use a whole test set (`lnn-edge evaluate`).",
    "Above each beat its class by the annotation, below it the class that the model decides; a "
    "wrong decision stands in a red box on a shaded band. "
    f"{UNSCORED}: not scored. {UNDECIDED}: not decided, too near to an end of the recording. "
    "Thin lines 0.2 s and 0.5 mV, strong lines 1 s and 1 mV.",
    "The ECGs shown are one-minute excerpts of the MIT-BIH Arrhythmia Database (Moody and Mark "
    "2001; PhysioNet, Goldberger et al. 2000), made available under the Open Data Commons "
    "Attribution License v1.0.",
)
ACTIVITY = TaskWords(
    "windows",
    "persons",
    "Motion",
    "They are generated: for figures that stand for people, use recordings of people (`lnn-edge "
    "evaluate --dataset uci_har`).",
    "Above each line what the person does, below it what the model decides; where the two differ "
    "the strip is shaded. Acceleration of three axes in g, gravity included; the first is darkest.",
    "The motion shown is generated and was felt by nobody.",
)


FINDINGS = TaskWords(
    "findings",
    "patients",
    "12-lead ECGs",
    "The recordings shown are generated and say nothing of accuracy: for figures that stand for "
    "patients use recordings of patients (`lnn-edge evaluate --dataset cpsc2018`).",
    "Of each recording the probability of each finding, the mean of all decisions on it.",
    "The hearts shown are generated and beat in nobody.",
)
WORDS = {"beats": BEATS, "activity": ACTIVITY, "findings": FINDINGS}


def task_words(graph: QGraph) -> TaskWords:
    """Return the words of a model's task."""
    return WORDS.get(str(graph.metadata.get("task")), BEATS)

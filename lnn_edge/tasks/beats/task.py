"""Classes of heartbeats in two leads: N, S, V, F after ANSI/AAMI EC57."""

from __future__ import annotations

from lnn_edge.data.aami import CLASS_OF, CLASSES, UNSCORED
from lnn_edge.data.frame import ANY, Frame, FrameChannel
from lnn_edge.tasks.task import Network, Task, Words

FRAME = Frame(
    360.0, (FrameChannel("MLII", "mV", 200.0, 1024), FrameChannel(ANY, "mV", 200.0, 1024))
)
WORDS = Words(
    "beats",
    "patients",
    "ECG",
    "Minutes full of arrhythmia were chosen for display: for figures that stand for patients at "
    "large, use a whole test set (`lnn-edge evaluate`).",
    "Above each beat its class by the annotation, below it the class that the model decides; a "
    "wrong decision stands in a red box on a shaded band. "
    "Q: not scored. \N{MIDDLE DOT}: not decided, too near to an end of the recording. "
    "Thin lines 0.2 s and 0.5 mV, strong lines 1 s and 1 mV.",
    "The ECGs shown are one-minute excerpts of the MIT-BIH Arrhythmia Database (Moody and Mark "
    "2001; PhysioNet, Goldberger et al. 2000), made available under the Open Data Commons "
    "Attribution License v1.0.",
    "R peak",
    {
        "N": "normal beat, also with bundle branch block, or an escape from above the ventricles",
        "S": "supraventricular ectopic beat: too early, from the atria or the AV node",
        "V": "ventricular ectopic beat: from a ventricle, wide, and mostly early",
        "F": "fusion of a ventricular and a normal beat",
    },
)
TASK = Task(
    name="beats",
    summary="classes of heartbeats in two-lead ECG: N, S, V, F",
    frame=FRAME,
    decide="events",
    labels="event",
    classes=CLASSES,
    map=CLASS_OF,
    unscored=UNSCORED,
    tolerance_s=0.15,  # ANSI/AAMI EC57
    rare=("F",),  # fusion beats are too few for a stable figure (EC57)
    networks=(
        Network(
            "ecg-beats-cfc",
            "lnn_edge.tasks.beats.network:BeatNet",
            "lnn_edge.tasks.beats.network:BeatNetConfig",
            is_fixed=True,
        ),
    ),
    augmentation="lnn_edge.tasks.beats.augmentation:BeatAugmentation",
    words=WORDS,
    shown="excerpts",
)

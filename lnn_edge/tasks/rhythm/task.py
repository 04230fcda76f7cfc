"""The rhythm of a short ECG of one lead: normal, atrial fibrillation, another one, or noise.

Source: Clifford et al. 2017, Computing in Cardiology 44; PhysioNet/CinC Challenge 2017.
"""

from __future__ import annotations

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.tasks.task import Network, Task, Words

_ACTIVITY = "lnn_edge.tasks.activity"
TASK = Task(
    name="rhythm",
    summary="rhythm of a whole single-lead ECG: normal, atrial fibrillation, other, noise",
    frame=Frame(300.0, (FrameChannel("ECG", "mV", 1000.0),)),
    decide="record",
    labels="record",
    classes=("normal", "AF", "other", "noise"),
    map={"N": "normal", "A": "AF", "O": "other", "~": "noise"},
    networks=(
        Network("rhythm-cfc", f"{_ACTIVITY}.har_cfc:HarNet", f"{_ACTIVITY}.har_cfc:HarNetConfig"),
        Network(
            "rhythm-beats-cfc",
            "lnn_edge.tasks.rhythm.network:rhythm_net",
            "lnn_edge.tasks.beats.network:BeatNetConfig",
            is_fixed=True,
            augmentation="lnn_edge.tasks.beats.augmentation:BeatAugmentation",
        ),
    ),
    augmentation=f"{_ACTIVITY}.augmentation:MotionAugmentation",
    words=Words(
        "recordings",
        "patients",
        "ECG",
        "The recordings shown are generated and say nothing of accuracy: for figures that stand "
        "for patients use recordings of patients (`lnn-edge evaluate --data PATH`).",
        "Above each strip what is known of the recording, below it what the model says from one "
        "decision to the next; the record is judged by their mean. Thin lines 0.2 s and 0.5 mV, "
        "strong lines 1 s and 1 mV.",
        "The ECGs shown are synthetic.",
        classes={
            "normal": "normal sinus rhythm",
            "AF": "atrial fibrillation",
            "other": "another rhythm",
            "noise": "too noisy to tell",
        },
    ),
    shown="synthetic-rhythm",
)

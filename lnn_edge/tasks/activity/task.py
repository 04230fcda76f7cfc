"""What a person does, told from a phone at the waist."""

from __future__ import annotations

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.data.uci_har import CHANNELS, CLASSES, RATE_HZ, STEPS, UNITS, WINDOW
from lnn_edge.tasks.task import Network, Task, Words

SETTLING = 32  # samples after a change that no decision learns from
FRAME = Frame(
    float(RATE_HZ),
    tuple(FrameChannel(n, u, s) for n, u, s in zip(CHANNELS, UNITS, STEPS, strict=True)),
)
WORDS = Words(
    "windows",
    "persons",
    "Motion",
    "They are generated: for figures that stand for people, use recordings of people (`lnn-edge "
    "evaluate --dataset uci_har`).",
    "Above each line what the person does, below it what the model decides; where the two differ "
    "the strip is shaded. Acceleration of three axes in g, gravity included; the first is darkest.",
    "The motion shown is synthetic.",
)
_NETWORK = "lnn_edge.tasks.activity"
TASK = Task(
    name="activity",
    summary="six activities from acceleration and angular velocity at the waist",
    frame=FRAME,
    decide="frames",
    labels="sample",
    classes=CLASSES,
    settling_s=SETTLING / RATE_HZ,
    stretch_s=WINDOW / RATE_HZ,
    networks=(
        Network("har-cfc", f"{_NETWORK}.har_cfc:HarNet", f"{_NETWORK}.har_cfc:HarNetConfig"),
        Network(
            "har-convlstm-cfc",
            f"{_NETWORK}.har_convlstm_cfc:HarConvLstmNet",
            f"{_NETWORK}.har_convlstm_cfc:HarConvLstmConfig",
        ),
        Network(
            "har-spectrum-cfc",
            f"{_NETWORK}.har_spectrum:HarSpectrumNet",
            f"{_NETWORK}.har_spectrum:HarSpectrumConfig",
        ),
    ),
    augmentation=f"{_NETWORK}.augmentation:MotionAugmentation",
    words=WORDS,
    shown="synthetic-activity",
)

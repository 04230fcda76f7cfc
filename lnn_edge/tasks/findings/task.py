"""Findings in whole 12-lead ECGs, several of which may be present at once."""

from __future__ import annotations

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.data.twelve_leads import FINDINGS, GAIN, LEADS, RATE_HZ
from lnn_edge.tasks.task import Network, Task, Words

FRAME = Frame(float(RATE_HZ), tuple(FrameChannel(name, "mV", GAIN) for name in LEADS))
WORDS = Words(
    "findings",
    "patients",
    "12-lead ECGs",
    "The recordings shown are generated and say nothing of accuracy: for figures that stand for "
    "patients use recordings of patients (`lnn-edge evaluate --dataset cpsc2018`).",
    "Above each strip what is known of the recording, below it what the model finds. Thin lines "
    "0.2 s and 0.5 mV, strong lines 1 s and 1 mV.",
    "The ECGs shown are synthetic.",
    classes={
        "1dAVb": "first-degree AV block: conduction to the ventricles takes too long",
        "RBBB": "right bundle branch block",
        "LBBB": "left bundle branch block",
        "SB": "sinus bradycardia: slow",
        "AF": "atrial fibrillation",
        "ST": "sinus tachycardia: fast",
    },
)
COMPRESSED = {"bins": 28}  # of 129: up to 53 Hz, behind a low-pass of 40 Hz
_LIQUID = "lnn_edge.tasks.findings.conv_liquid"


def _liquid(name: str, network: str, cell: str) -> Network:
    config = f"{_LIQUID}:ConvLiquidConfig"
    return Network(
        name, f"{_LIQUID}:{network}", config, {"cell": cell}, is_fixed=True, compressed=COMPRESSED
    )


TASK = Task(
    name="findings",
    summary="six findings in 12-lead ECG: conduction, rate and atrial fibrillation",
    frame=FRAME,
    decide="record",
    labels="multi-label",
    classes=FINDINGS,
    networks=(
        _liquid("ccfc", "ConvLiquidNet", "cfc"),
        _liquid("ccfc-stream", "ConvLiquidStreamNet", "cfc"),
        _liquid("cltc", "ConvLiquidNet", "ltc"),
        _liquid("cltc-stream", "ConvLiquidStreamNet", "ltc"),
        Network(
            "cnn12",
            "lnn_edge.tasks.findings.cnn12:ConvNet",
            "lnn_edge.tasks.findings.columns:ColumnsConfig",
            is_fixed=True,
            compressed=COMPRESSED,
        ),
    ),
    augmentation="lnn_edge.tasks.findings.augmentation:LeadAugmentation",
    words=WORDS,
    shown="synthetic-12lead",
)

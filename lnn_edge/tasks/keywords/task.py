"""Which word a second of sound holds, read sample by sample at 16 kHz.

Source: Warden 2018, arXiv:1804.03209; Speech Commands v0.02.
"""

from __future__ import annotations

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.tasks.task import Network, Task, Words

_ACTIVITY = "lnn_edge.tasks.activity"
WORDS = (
    "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four",
    "go", "happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right",
    "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "visual", "wow", "yes", "zero",
)  # fmt: skip
TASK = Task(
    name="keywords",
    summary="which of 35 words a second of sound holds",
    frame=Frame(16_000.0, (FrameChannel("audio", "", 32768.0),)),
    decide="record",
    labels="record",
    classes=WORDS,
    networks=(
        Network("keywords-cfc", f"{_ACTIVITY}.har_cfc:HarNet", f"{_ACTIVITY}.har_cfc:HarNetConfig"),
    ),
    augmentation=f"{_ACTIVITY}.augmentation:MotionAugmentation",
    words=Words("words", "speakers", "Sound"),
)

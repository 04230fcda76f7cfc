"""The rhythm of a record, beat by beat: the network of beats behind an R-peak detector."""

from __future__ import annotations

from lnn_edge.tasks.beats.front_end import BeatSignal
from lnn_edge.tasks.beats.network import BeatNet, BeatNetConfig
from lnn_edge.tasks.rhythm.task import TASK
from lnn_edge.tasks.task import Task

ONE_LEAD = BeatSignal(
    rate_hz=300,
    leads=1,
    adc_gain=1000.0,
    adc_zero=0,
    pre=120,  # 0.4 s
    post=150,  # 0.5 s
    segments=(0, 18, 30, 38, 54, 90),  # P wave, PQ, QRS, ST, T wave at 100 Hz; R peak at 40
)


def rhythm_net(config: BeatNetConfig, task: Task = TASK) -> BeatNet:
    """Return a classifier of one lead at 300 Hz that decides at every beat that it finds.

    Args:
        config: Sizes.
        task: On records in the frame of TASK, whose lead may have another name; classes are free.

    Raises:
        UsageError: The task decides on something else, or has another frame.
    """
    return BeatNet(config, task, ONE_LEAD)

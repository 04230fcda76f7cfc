"""A training as TensorBoard shows it: the figures of history.csv, as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from lnn_edge.errors import MissingToolError
from lnn_edge.nn.history import Epoch

FOLDER = "tensorboard"


@contextmanager
def event_writer(folder: Path, *, is_wanted: bool) -> Iterator[Callable[[Epoch], None]]:
    """Yield what writes an epoch to FOLDER in a folder; nothing where it is not wanted.

    Epochs of a training that was given up are hidden by those that are written again.

    Raises:
        MissingToolError: It is wanted, and tensorboard is not installed.
    """
    if not is_wanted:
        yield lambda _epoch: None
        return
    if find_spec("tensorboard") is None:
        raise MissingToolError(
            "--tensorboard needs tensorboard, which is not installed; install it with "
            "`pip install 'lnn-edge[tensorboard]'`, or leave it out: history.csv has the figures"
        )
    from torch.utils.tensorboard import SummaryWriter

    writers: list[SummaryWriter] = []

    def write(epoch: Epoch) -> None:
        if not writers:  # now it is known where this run begins
            writers.append(SummaryWriter(str(folder / FOLDER), purge_step=epoch.epoch))
        figures = {"loss": epoch.loss, "learning_rate": epoch.learning_rate, **epoch.metrics}
        for name, value in figures.items():
            writers[0].add_scalar(name.replace(" ", "_"), value, epoch.epoch)
        writers[0].flush()

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()

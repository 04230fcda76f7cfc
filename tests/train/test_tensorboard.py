"""What TensorBoard reads of a training, read by its own library."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from lnn_edge.errors import MissingToolError
from lnn_edge.nn.history import Epoch
from lnn_edge.train.tensorboard import FOLDER, event_writer

EPOCHS = [Epoch(i, 2.0 / i, 0.1, {"rmse fast": 1.0 * i}) for i in (1, 2, 3)]


def test_without_the_extra_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn_edge.train.tensorboard.find_spec", lambda _name: None)
    with (
        pytest.raises(MissingToolError, match=r"pip install 'lnn-edge\[tensorboard\]'"),
        event_writer(tmp_path, is_wanted=True),
    ):
        pass
    with event_writer(tmp_path, is_wanted=False) as write:
        write(EPOCHS[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs tensorboard")
def test_figures_are_those_of_the_history(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with event_writer(tmp_path, is_wanted=True) as write:
        for epoch in EPOCHS:
            write(epoch)
    with event_writer(tmp_path, is_wanted=True) as write:  # a training that begins again at 2
        write(Epoch(2, 7.0, 0.1, {"rmse fast": 9.0}))
    found = EventAccumulator(str(tmp_path / FOLDER)).Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(1, 2.0), (2, 7.0)]
    assert found.Tags()["scalars"] == ["loss", "learning_rate", "rmse_fast"]

"""What a card tells of own recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lnn_edge.data.readers.reader import Hints
from lnn_edge.errors import DataError
from lnn_edge.tasks.own_data import Source, source_of


def test_a_source_comes_back_from_its_document() -> None:
    hints = Hints(rate_hz=50.0, label_column="activity", intervals=Path("intervals.csv"))
    source = Source(Path("walks").absolute(), hints, {"x": "acc_x"})
    assert source_of(source.document()) == source


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"path": 3}, "data: path must be str, not 3"),
        ({"hints": 3}, "data: hints must be"),
        ({"hints": {"rate_hz": "fast"}}, "rate_hz must be"),
        ({"hints": {"intervals": 4}}, "intervals must be str, not 4"),
        ({"hints": {"colour": "red"}}, "colour"),
        ({"channels": ["x"]}, "data: channels must be"),
        ({"channels": {"x": 1}}, "must be str, not 1"),
    ],
)
def test_a_damaged_card_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        source_of({"path": "walks"} | changed)


def test_a_card_without_a_path_says_what_to_give() -> None:
    with pytest.raises(DataError, match="give --data PATH"):
        source_of({})

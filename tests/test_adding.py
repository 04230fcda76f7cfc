"""docs/adding.md names files that exist."""

from __future__ import annotations

import re

from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "adding.md").read_text()


def test_every_file_named_is_there() -> None:
    paths = re.findall(r"`((?:lnn_edge|firmware|templates|boards|tests)/[\w./]*)", PAGE)
    assert len(paths) > 20
    assert not [p for p in paths if "NAME" not in p and not (ROOT / p).exists()]
    folders = {p.partition("NAME")[0].rpartition("/")[0] for p in paths if "NAME" in p}
    assert not [p for p in folders if not (ROOT / p).is_dir()]

"""Renew what the README shows: docs/front.svg from a run, the table of boards from the facts.

python -m scripts.front_page picture
python -m scripts.front_page boards      # after scripts/measure_models.py
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import lnn_edge as le
from lnn_edge.build.size import SizeReport
from lnn_edge.data.embedded import folder_of_pieces
from lnn_edge.device.board import Board, list_boards
from lnn_edge.files.model_facts import OnBoard, read_facts
from lnn_edge.files.shipped import shipped_folder, shipped_names
from lnn_edge.report.markup import (
    INVERTED_IN_THE_DARK,
    Html,
    element,
    join,
    label,
    path,
    rectangle,
    svg,
)
from lnn_edge.tasks.predicted import Predicted
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.verify.result import Verification

MODEL, BOARD, RECORD = "ecg-beats-cfc", "stm32f746", "200_1490"
ROOT = Path(__file__).resolve().parents[1]
README, PICTURE = ROOT / "README.md", ROOT / "docs" / "front.svg"
BEGIN, END = "<!-- boards: scripts/front_page.py -->", "<!-- end -->"
START_S, SECONDS = 34.0, 8.0
WIDTH, TRACE, TILE, GAP = 600.0, 130.0, 84.0, 8.0
STYLE = """
.page { fill: #ffffff; } .tile { fill: #f2f5f9; } .grid { stroke: #f0dcdc; fill: none; }
.trace { stroke: #1c2430; fill: none; stroke-width: 1.3; }
text { font-family: system-ui, "Segoe UI", "Liberation Sans", sans-serif; fill: #5b6675; }
.head { font-size: 17px; font-weight: 600; fill: #1c2430; }
.N, .S, .V, .F { font-size: 20px; font-weight: 700; text-anchor: middle; fill: #1c2430; }
.wrong { font-size: 15px; text-anchor: middle; fill: #b3261e; }
.S { fill: #8a4b00; } .V { fill: #5b2a9d; } .F { fill: #00647a; }
.figure { font-size: 25px; font-weight: 700; fill: #1f5fa8; text-anchor: middle; }
.what { font-size: 16px; text-anchor: middle; }
"""


def proved() -> tuple[SizeReport, Verification, Predicted]:
    """Build and verify the model on the virtual board; return what it says of one recording."""
    with tempfile.TemporaryDirectory() as folder:
        project = le.export(le.load(MODEL), board=BOARD, to=Path(folder) / "firmware")
        size = le.build(project).size
        assert size is not None
        result = le.verify(project, link="virtual", data="excerpts")
    assert result.mismatches == 0
    (said,) = le.predict(MODEL, folder_of_pieces() / f"{RECORD}.hea", marks=True)
    return size, result, said


def strip(said: Predicted) -> Iterator[Html]:
    """Yield the first channel of some seconds, and the class of each beat above it."""
    record, across = said.fed.record, WIDTH / SECONDS
    first = round(START_S * record.rate_hz)
    values = record.samples[first : first + round(SECONDS * record.rate_hz), 0].astype(float)
    y = 66 + (TRACE - 8) * (values.max() - values) / np.ptp(values)
    x = np.arange(len(values)) * WIDTH / len(values)
    lines = (f"M{s * across:g} 62V{66 + TRACE:g}" for s in range(int(SECONDS) + 1))
    yield path("grid", "".join(lines))
    yield path("trace", "M" + " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)))
    for time, name, true in zip(said.times_s.tolist(), said.classes, annotated(said), strict=True):
        if START_S + 0.1 < time < START_S + SECONDS - 0.1:
            at = (time - START_S) * across
            yield label(name, at, 56, name)
            if name != true:
                yield label("wrong", at, 37, f"is {true}")


def annotated(said: Predicted) -> list[str]:
    """Return the class that the annotations give each beat."""
    classes = le.load(MODEL).classes
    (recording,) = load_labelled("excerpts", None, "all", records=(RECORD,))
    return [classes[i] for i in recording.labels_at(said.stamps).tolist()]


def tiles(facts: list[tuple[str, str]], top: float) -> Iterator[Html]:
    """Yield a number and what it counts, side by side."""
    width = (WIDTH - GAP * (len(facts) - 1)) / len(facts)
    for i, (figure, what) in enumerate(facts):
        left = i * (width + GAP)
        yield rectangle("tile", left, top, width, TILE)
        yield label("figure", left + width / 2, top + 38, figure)
        yield label("what", left + width / 2, top + 64, what)


def picture() -> str:
    """Return the drawing: a strip with decisions, and what they cost."""
    size, result, said = proved()
    cost = result.decision_cost
    assert cost is not None
    facts = [
        (f"{size.flash_bytes / 1024:.1f} KB", "flash"),
        (f"{size.ram_bytes / 1024:.1f} KB", "RAM"),
        (f"{size.stack_bytes / 1024:.1f} KB", "worst-case stack"),
        (f"{cost.decision + cost.samples:,.0f}", "instructions/beat"),
    ]
    top = 66 + TRACE + 40
    head = f"ECG in, a class for each beat out (MIT-BIH record {RECORD[:3]})"
    foot = f"{result.steps} beats on the virtual STM32F746: {result.mismatches} bits differ"
    height = top + TILE + GAP
    drawing = svg(
        WIDTH,
        height,
        f"{head}. {foot}. " + ", ".join(f"{n} {what}" for n, what in facts),
        element("style", {}, Html(f"{STYLE}{INVERTED_IN_THE_DARK}\n")),
        rectangle("page", 0, 0, WIDTH, height),
        label("head", 0, 18, head),
        join(strip(said)),
        label("head", 0, top - 12, foot),
        join(tiles(facts, top)),
    )
    return f"{drawing}\n"


def boards() -> str:
    """Return the table of what each shipped model takes on each board, as it was measured."""
    facts = {name: read_facts(shipped_folder(name)).measured for name in shipped_names()}
    models = {name: measured for name, measured in facts.items() if measured}
    lines = [f"| board | {' | '.join(models)} |", f"|---|{'---|' * len(models)}"]
    measured_on = {on.board for measured in models.values() for on in measured.boards}
    for board in [b for b in list_boards() if b.name in measured_on]:
        cells = (cell(board, measured.boards) for measured in models.values())
        lines.append(f"| {board.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(board: Board, measured: tuple[OnBoard, ...]) -> str:
    """Return flash and RAM with their parts of what the board has, a dash where it is too small."""
    on = next((m for m in measured if m.board == board.name), None)
    if on is None:
        return "-"
    ram = on.ram_bytes + on.stack_bytes
    flash_part = on.flash_bytes / board.region(board.layout.flash).size
    ram_part = ram / board.region(board.layout.data).size
    return f"{on.flash_bytes / 1024:.0f} ({flash_part:.0%}) + {ram / 1024:.0f} ({ram_part:.0%})"


def with_table(page: str) -> str:
    """Return a page with the table between the marks renewed."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{boards()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Renew the picture, or the table of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["picture", "boards"])
    if parser.parse_args().what == "picture":
        PICTURE.write_text(picture(), encoding="utf-8")
    else:
        README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

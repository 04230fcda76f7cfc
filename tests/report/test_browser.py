"""The page in a browser: it draws, moves, fits a phone, and complains of nothing."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.report import collect, save
from tests.report.test_report import RECORDINGS, add_build, add_verification, model

PHONE = 375


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "firmware"
    export(model(), load_board("stm32f746"), folder)
    add_build(folder)
    add_verification(folder)
    return save(collect(folder, RECORDINGS), folder / "report.html")


def _browser() -> str:
    """Return a browser, or skip unless LNN_EDGE_DEMAND_BROWSER demands one."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("LNN_EDGE_DEMAND_BROWSER") != "1":
        pytest.skip("chromium is not installed")
    assert found is not None, "chromium is demanded and not installed"
    return found


def browse(folder: Path, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", *options]
    return subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=60, check=False
    )


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_script_runs_and_complains_of_nothing(page: Path, tmp_path: Path) -> None:
    done = browse(tmp_path, page, "--dump-dom")
    assert complaints(done) == []
    assert re.search(r'class="controls"(?! hidden)', done.stdout)  # which the script shows
    broken = tmp_path / "broken.html"
    broken.write_text(page.read_text().replace("data.steps", "data.lost.steps"))
    assert complaints(browse(tmp_path, broken, "--dump-dom")) != []  # it would be seen


def test_the_page_is_whole_without_a_script(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    still = tmp_path / "still.html"
    still.write_text(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    dom = browse(tmp_path, still, "--dump-dom").stdout
    assert 'class="controls" hidden' in dom
    assert dom.count("<svg") == text.count("<svg") > 9
    nodes = re.findall(r'class="node (?:up|down)"[^>]*fill-opacity: ?([\d.]+)', dom)
    assert len(set(nodes)) > 3  # a decision is shown all the same


def test_the_page_fits_a_phone(page: Path, tmp_path: Path) -> None:
    frame = tmp_path / "phone.html"
    frame.write_text(
        f'<iframe id="f" src="{page.as_uri()}" style="width:{PHONE}px;height:700px"></iframe>'
        '<p id="wide"></p><script>window.onload = function () {'
        'var d = document.getElementById("f").contentDocument.documentElement;'
        'document.getElementById("wide").textContent = d.scrollWidth - d.clientWidth; }</script>'
    )
    dom = browse(tmp_path, frame, "--allow-file-access-from-files", "--dump-dom").stdout
    assert '<p id="wide">0</p>' in dom


def test_the_page_prints(page: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    done = browse(tmp_path, page, f"--print-to-pdf={paper}")
    assert paper.is_file(), done.stderr
    assert paper.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("scheme", "paper", "good"),
    [("1", (0xFF, 0xFF, 0xFF), (0x17, 0x70, 0x3B)), ("0", (0x12, 0x16, 0x1C), (0x6F, 0xD1, 0x97))],
    ids=["light", "dark"],
)
def test_browser_draws_the_page(
    page: Path, tmp_path: Path, scheme: str, paper: tuple[int, ...], good: tuple[int, ...]
) -> None:
    picture = tmp_path / "page.png"
    colours_of = f"--blink-settings=preferredColorScheme={scheme}"
    done = browse(tmp_path, page, colours_of, "--window-size=1000,1600", f"--screenshot={picture}")
    assert picture.is_file(), done.stderr
    pixels = read_png(picture)
    assert pixels.shape == (1600, 1000, 3)
    colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    assert tuple(colours[counts.argmax()].tolist()) == paper
    assert len(colours) > 50
    assert (pixels == good).all(2).sum() > 200  # the verdict's edge
    inked = (pixels != paper).any(2).any(1).reshape(16, 100).any(1)
    assert inked.all()  # something on every part of the page


def read_png(path: Path) -> np.ndarray:
    """Read an 8-bit RGB or RGBA picture, (H, W, 3)."""
    raw, offset, data = path.read_bytes(), 8, b""
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    while offset < len(raw):
        size, kind = struct.unpack_from(">I4s", raw, offset)
        body = raw[offset + 8 : offset + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", body)
        elif kind == b"IDAT":
            data += body
        offset += 12 + size
    assert depth == 8
    channels = {2: 3, 6: 4}[colour]
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + width * channels)
    above = np.zeros((width, channels), np.uint8)
    rows = []
    for line in lines:
        above = _unfilter(int(line[0]), line[1:].reshape(width, channels), above)
        rows.append(above)
    return np.stack(rows)[:, :, :3]


def _unfilter(kind: int, line: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Undo a filter of the PNG specification, section 9."""
    if kind == 0:
        return line
    if kind == 1:
        return np.cumsum(line, axis=0, dtype=np.uint8)
    if kind == 2:
        return line + above
    result = np.zeros(line.shape, int)
    left, corner = np.zeros(line.shape[1], int), np.zeros(line.shape[1], int)
    for i, (value, up) in enumerate(zip(line.astype(int), above.astype(int), strict=True)):
        if kind == 3:
            guess = (left + up) // 2
        else:
            base = left + up - corner
            a, b, c = abs(base - left), abs(base - up), abs(base - corner)
            guess = np.where((a <= b) & (a <= c), left, np.where(b <= c, up, corner))
        left = result[i] = (value + guess) % 256
        corner = up
    return result.astype(np.uint8)

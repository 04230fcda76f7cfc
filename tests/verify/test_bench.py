"""What generated code costs does not grow unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn_edge.build.bare import FLAGS, compiler_version
from lnn_edge.device.virtual.bare import CORES
from lnn_edge.files import resources
from lnn_edge.graph.file import graph_sha256
from lnn_edge.verify.bench import measure as measuring
from lnn_edge.verify.bench.measure import BenchError, Row, measure
from lnn_edge.verify.bench.workloads import WORKLOADS, linear
from tests.cli.command import call, call_json
from tests.support import arm_core

STORED = Path(__file__).parent / "bench"
ALLOWED = 0.01  # of a figure
QUICK = ("fc_64x64", "cfc_w4", "autoncp_20_6_ltc", "biquads_12x2", "ecg-beats-cfc")


def growth(rows: Iterable[Row], stored: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield each figure that is more than ALLOWED above the stored one."""
    for row in rows:
        for what, now in asdict(row).items():
            before = stored[row.name][what]
            if isinstance(now, int) and now > before * (1 + ALLOWED):
                yield f"{row.name}: {what} {now:,}, stored {before:,}"


def check(names: Iterable[str], core: str) -> None:
    """Fail on growth under a compiler with stored figures, report it under another."""
    arm_core.require_emulator()
    version = compiler_version()
    files = {re.sub(r".*gcc-", "", path.stem): path for path in STORED.glob("*.json")}
    stored = json.loads(files.get(version, max(files.values())).read_text())[core]
    grown = list(growth((measure(name, WORKLOADS[name](), core) for name in names), stored))
    if version not in files:
        pytest.skip(f"no figures are stored for GCC {version}; above others': {grown}")
    assert not grown, "make bench stores new figures, if the growth is meant"


@pytest.mark.target
def test_cost_does_not_grow() -> None:
    check(QUICK, "cortex-m7")


@pytest.mark.slow
@pytest.mark.target
@pytest.mark.parametrize("core", CORES)
def test_cost_of_no_workload_grows(core: str) -> None:
    check(WORKLOADS, core)


def test_the_beat_model_of_version_0_1_stays() -> None:
    """If another one ships, this row needs the graph of that day: keep it beside the workloads."""
    found = graph_sha256(WORKLOADS["beats_0_1"]().graph)
    assert found == "847403a5a153b170481dbae3e523746b092a0e49681480a3e209205556a1c4c0"


def test_growth_is_seen() -> None:
    stored = json.loads(next(STORED.glob("*.json")).read_text())["cortex-m7"]["cfc_w4"]
    row = Row(**stored)
    more = replace(row, operators=row.operators * 102 // 100, code=row.code * 201 // 200)
    (sentence,) = growth([more], {"cfc_w4": stored})
    assert sentence.startswith("cfc_w4: operators")


@pytest.mark.target
def test_wrong_bits_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    arm_core.require_emulator()
    right = measuring._simulated
    monkeypatch.setattr(measuring, "_simulated", lambda w: [*right(w)[:-1], np.zeros(4, "<i2")])
    with pytest.raises(BenchError, match="fc: cortex-m7 gives other bits than the simulator"):
        measure("fc", linear(12, 4), "cortex-m7")


@pytest.mark.target
def test_instructions_of_a_matrix_are_those_of_its_function() -> None:
    """The portable loop takes a few instructions a product, each core within what others take."""
    arm_core.require_emulator()
    row = measure("fc", linear(64, 16), "cortex-m3")
    assert 4 * 64 * 16 < row.operators < 7 * 64 * 16
    assert row.operators < row.decision < row.calls  # type: ignore[operator]
    assert row.largest_call == row.decision
    assert row.frame is None
    assert row.constants >= 64 * 16


def test_the_bench_compiles_as_the_firmware() -> None:
    cmake = resources.path("firmware") / "cmake" / "board.cmake"
    presets = (resources.path("firmware") / "CMakePresets.json").read_text()
    assert "-O2" in presets
    for flag in FLAGS:
        assert flag in ("-std=c11", "-O2") or flag in cmake.read_text()


@pytest.mark.target
def test_the_command_prints_a_table_and_json() -> None:
    arm_core.require_emulator()
    shown = call("bench", "fc_64x64", "--core", "cortex-m4")
    assert shown.code == 0
    assert "fc_64x64" in shown.out
    assert "cortex-m4" in shown.out
    document = call_json("bench", "fc_64x64", "--core", "cortex-m4")
    assert document["core"] == "cortex-m4"
    (row,) = document["workloads"]
    assert f"{row['operators']:,}" in shown.out


def test_an_unknown_workload_is_named() -> None:
    outcome = call("bench", "fc_65x65")
    assert outcome.code == 2
    assert "there is no workload 'fc_65x65'; give some of fc_64x64" in outcome.err

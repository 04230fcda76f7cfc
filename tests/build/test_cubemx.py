"""The example in docs/cubemx builds against a project's own HAL with the exported model files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import load_graph
from tests.support.places import ROOT

EXAMPLE = ROOT / "docs" / "cubemx" / "main.c"

HAL = """
#ifndef MAIN_H
#define MAIN_H
#include <stdint.h>
typedef struct { volatile uint32_t MODER; } GPIO_TypeDef;
typedef enum { GPIO_PIN_RESET = 0, GPIO_PIN_SET } GPIO_PinState;
#define GPIOB ((GPIO_TypeDef *) 0x40020400UL)
#define GPIO_PIN_0 ((uint16_t) 1U)
void HAL_GPIO_WritePin(GPIO_TypeDef *port, uint16_t pin, GPIO_PinState state);
void Error_Handler(void);
void beats_start(void);
void beats_sample(int16_t lead1, int16_t lead2);
void beats_peak(uint32_t stamp);
#endif
"""

PROJECT = """
#include "main.h"
void HAL_GPIO_WritePin(GPIO_TypeDef *port, uint16_t pin, GPIO_PinState state)
{
    port->MODER = (uint32_t) pin * (uint32_t) state;
}
void Error_Handler(void) { for (;;) { } }
int main(void)
{
    beats_start();
    for (uint32_t i = 0U;; i++) { beats_sample(1024, 1024); if (i % 300U == 0U) { beats_peak(i); } }
}
"""


@pytest.mark.target
def test_the_example_builds_into_an_existing_project(tmp_path: Path) -> None:
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    project = tmp_path / "export"
    export(load_graph(shipped_graph()), load_board("stm32f746"), project)
    (tmp_path / "main.h").write_text(HAL)
    (tmp_path / "project.c").write_text(PROJECT)
    model, runtime = project / "model", project / "firmware" / "runtime"
    sources = [EXAMPLE, tmp_path / "project.c", *runtime.glob("*.c"), *model.glob("*.c")]
    flags = (
        "-mcpu=cortex-m7 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard -std=gnu11 -O2 -Wall -Werror"
    )
    includes = [f"-I{tmp_path}", f"-I{model}", f"-I{runtime}"]
    link = ["--specs=nosys.specs", "-Wl,--gc-sections", "-o", str(tmp_path / "project.elf")]
    command = [compiler, *flags.split(), *includes, *map(str, sources), *link]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.target
def test_the_header_serves_cpp(tmp_path: Path) -> None:
    compiler = shutil.which("arm-none-eabi-g++")
    if compiler is None:
        pytest.skip("arm-none-eabi-g++ is not installed")
    project = tmp_path / "export"
    export(load_graph(shipped_graph()), load_board("stm32f746"), project)
    (tmp_path / "user.cpp").write_text(
        '#include "ecg_beats_cfc.h"\nstatic ecg_beats_cfc_ctx_t model;\n'
        "void start() { ecg_beats_cfc_reset(&model); }\n"
    )
    includes = [f"-I{project / 'model'}", f"-I{project / 'firmware' / 'runtime'}"]
    command = [compiler, "-std=c++17", "-Wall", "-Werror", "-fsyntax-only", *includes]
    done = subprocess.run(
        [*command, str(tmp_path / "user.cpp")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

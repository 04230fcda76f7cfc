"""The board as a process: one program on either port, hosts that return, and its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial

from lnn_edge.device.runners.process import BoardProcess
from tests.device.virtual.boards import program
from tests.support.projects import needs_arm_gcc

pytestmark = [pytest.mark.target, needs_arm_gcc]

START_S = 60.0  # the counter is compiled once
REPLY_S = 60.0

SHOUT = """
#define USART 0x40011000
void Uart_Handler(void);
void Uart_Handler(void)
{
    uint32_t byte = R(USART + 0x24);
    if (byte == '!') { R(0x60000000) = byte; }
    if (byte == '?')
    {
        R(USART + 0x28) = '.';
        while (!(R(USART + 0x1C) & 1 << 6)) { }
        DONE();
    }
    while (!(R(USART + 0x1C) & 1 << 7)) { }
    R(USART + 0x28) = byte ^ 0x20;
}
void Reset_Handler(void)
{
    R(0x40023844) |= 1 << 4;
    R(USART + 0xC) = 139;
    R(USART) = 0x2D;
    R(0xE000E104) = 1 << 5;
    for (;;) { __asm volatile("wfi"); }
}
"""


@pytest.fixture(scope="module")
def shout(tmp_path_factory) -> Path:
    pytest.importorskip("unicorn", reason="the emulator is not installed")
    text = program(tmp_path_factory.mktemp("shout"), SHOUT, {53: "Uart_Handler"})
    return text.elf.path


def command(elf: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "lnn_edge.device.virtual", str(elf), *options]


@pytest.fixture
def start(request):
    """Starts a board; gives the process and the address of its port."""

    def begin(elf: Path, *options: str) -> tuple[BoardProcess, str]:
        process = BoardProcess("virtual", command(elf, *options))
        request.addfinalizer(process.close)
        return process, process.first_line(START_S)

    return begin


def ask(url: str, text: bytes) -> bytes:
    with serial.serial_for_url(url, timeout=REPLY_S) as port:
        port.write(text)
        return port.read(len(text))


@pytest.mark.parametrize("option", [("--pty",), ("--tcp", "0"), ("--tcp", "0", "--no-compile")])
def test_either_port_serves_a_host_and_the_next_one(shout, start, option):
    process, url = start(shout, *option)
    assert url.startswith("/dev/" if option[0] == "--pty" else "socket://127.0.0.1:")
    for text in (b"first", b"second" * 50):
        assert ask(url, text) == bytes(byte ^ 0x20 for byte in text)
    assert process.diagnosis() is None


def wait_until(condition) -> None:
    deadline = time.monotonic() + REPLY_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_board_that_stops_says_why_and_leaves_its_faults(shout, start, tmp_path):
    faults = tmp_path / "faults.json"
    process, url = start(shout, "--tcp", "0", "--json-faults", str(faults))
    ask(url, b"ok")
    with serial.serial_for_url(url, timeout=REPLY_S) as port:
        port.write(b"!")
        wait_until(lambda: process.diagnosis() is not None)
    text = process.diagnosis()
    assert text.startswith("board stopped: write to an address without memory, then ")
    assert "(Uart_Handler+0x" in text
    written = json.loads(faults.read_text())
    assert written["diagnosis"] == text
    assert written["faults"][0]["cfsr_bits"] == ["PRECISERR", "BFARVALID"]
    assert written["faults"][0]["address"] == 0x60000000
    assert written["faults"][0]["function"] == "Uart_Handler"


def test_what_was_sent_before_the_board_stopped_arrives(shout, start):
    process, url = start(shout, "--tcp", "0")
    assert ask(url, b"?") == b"."
    wait_until(lambda: process.diagnosis() is not None)
    assert process.diagnosis().startswith("board stopped: breakpoint instruction (BKPT); PC 0x")


def test_a_request_to_end_ends_it_with_a_profile(shout, tmp_path):
    path = tmp_path / "profile.json"
    options = ("--tcp", "0", "--profile", str(path))
    with subprocess.Popen(command(shout, *options), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert ask(process.stdout.readline().strip(), b"abc") == b"ABC"
        process.send_signal(signal.SIGTERM)
        assert process.wait(REPLY_S) == 0
    found = json.loads(path.read_text())
    assert found["functions"].keys() == {"Reset_Handler", "Uart_Handler"}
    assert sum(found["functions"].values()) == found["instructions"]
    assert found["usart"] == {
        "name": "USART1",
        "baud": 115_108,
        "received": 3,
        "sent": 3,
        "overruns": 0,
    }


def test_a_board_ends_when_what_started_it_is_gone(shout):
    script = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    starter = [sys.executable, "-c", script, *command(shout, "--tcp", "0")]
    with subprocess.Popen(starter, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert ask(url, b"abc") == b"ABC"
        parent.kill()
    number = int(url.rpartition(":")[2])

    def is_gone() -> bool:
        try:
            socket.create_connection(("127.0.0.1", number)).close()
        except OSError:
            return True
        return False

    wait_until(is_gone)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("gone.elf", "--tcp", "0"), "error: gone.elf: cannot read it"),
        (("ELF", "--tcp", "0", "--machine", "gone.json"), "error: gone.json: cannot read the"),
        (("ELF", "--tcp", "70000"), "error: TCP port 70000 cannot be used"),
        (("ELF",), "error: one of the arguments --tcp --pty is required"),
    ],
)
def test_bad_input_ends_with_code_two_and_a_sentence(shout, options, sentence):
    full = command(*(str(shout) if word == "ELF" else word for word in options))
    done = subprocess.run(full, capture_output=True, text=True, check=False, timeout=START_S)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_firmware_outside_flash_is_refused(shout, tmp_path):
    machine = tmp_path / "machine.json"
    machine.write_text(
        '{"name": "small", "memories": [{"name": "flash", "start": "0x00200000", "size": 1024,'
        ' "kind": "flash"}]}'
    )
    full = command(shout, "--tcp", "0", "--machine", str(machine))
    done = subprocess.run(full, capture_output=True, text=True, check=False, timeout=START_S)
    assert done.returncode == 2
    assert "does not fit the flash of small; check the linker script" in done.stderr

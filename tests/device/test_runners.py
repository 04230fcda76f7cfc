import contextlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lnn_edge.device.board import list_boards, load_board
from lnn_edge.device.link import Link, Port
from lnn_edge.device.runners import AbstractRunner, Image, make_runner, msd
from lnn_edge.device.runners import host as host_runner
from lnn_edge.device.runners import probe as probe_runner
from lnn_edge.device.runners import process as board_process
from lnn_edge.device.runners.msd import MsdRunner
from lnn_edge.device.runners.virtual import describe_machine
from lnn_edge.device.virtual.config import MachineConfig
from lnn_edge.errors import LinkError, MissingToolError, UsageError
from tests.support.projects import built_toy, link, needs_arm_gcc

F746 = load_board("stm32f746")
F405 = load_board("stm32f405")


def script(folder, text, name="tool"):
    """A program in Python."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, signal, sys, time\n{text}\n")
    path.chmod(0o755)
    return path


def image(elf, binary=None):
    return Image(elf, binary)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition):
    deadline = time.monotonic() + 60  # a hang, not a slow machine
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


SERVE = "print('socket://127.0.0.1:9', flush=True)\nopen('{pid}', 'w').write(str(os.getpid()))\n"


@pytest.fixture
def host(tmp_path):
    """Starts a program as the host's firmware; gives the runner and the program's number."""
    with contextlib.ExitStack() as stack:

        def start(text="time.sleep(60)"):
            pid = tmp_path / "pid"
            runner = stack.enter_context(make_runner("host", F746))
            runner.flash(image(script(tmp_path, SERVE.format(pid=pid) + text)))
            wait_for(lambda: pid.exists() and pid.read_text())
            return runner, int(pid.read_text())

        yield start


# --- choosing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    ["host", "virtual", "virtual:pty", "qemu", "serial:/dev/x", "openocd", "st-flash", "msd"],
)
def test_a_runner_is_made_for_each_name(spec):
    runner = make_runner(spec, F746)
    assert isinstance(runner, AbstractRunner)
    assert runner.name == spec


@pytest.mark.parametrize(
    ("spec", "near"), [("qmeu", "qemu"), ("serial:", "serial:PORT"), ("", "host")]
)
def test_an_unknown_runner_is_named_with_what_there_is(spec, near):
    with pytest.raises(UsageError, match=near):
        make_runner(spec, F746)


def test_every_board_can_be_asked_what_it_can_do():
    for board in list_boards():
        assert make_runner("host", board).available() is None
        if board.tools.emulator != "virtual":
            assert board.name in make_runner("virtual", board).available()
        if not board.tools.emulator.startswith("qemu:"):
            assert board.name in make_runner("qemu", board).available()


# --- a supervised program -----------------------------------------------------------------------


def test_a_program_runs_until_the_runner_is_left(host):
    runner, pid = host()
    assert runner.serial_url() == "socket://127.0.0.1:9"
    assert runner.diagnosis() is None
    assert is_alive(pid)
    runner.close()
    runner.close()
    assert not is_alive(pid)


def test_a_program_that_does_not_want_to_end_is_ended(host, tmp_path, monkeypatch):
    monkeypatch.setattr(board_process, "_POLITE_S", 0.2)
    deaf = tmp_path / "deaf"
    runner, pid = host(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(flush=True)\n"
        f"open({str(deaf)!r}, 'w').close()\ntime.sleep(60)"
    )
    wait_for(deaf.exists)
    runner.close()
    assert not is_alive(pid)


def test_a_program_ends_with_a_runner_that_was_forgotten(host):
    runner, pid = host()
    process, _ = runner._started
    process._end.atexit = True  # what the interpreter calls at its end
    process._end()
    assert not is_alive(pid)


def test_a_reset_starts_the_program_again(host, tmp_path):
    runner, pid = host()
    runner.reset()
    wait_for(lambda: (tmp_path / "pid").read_text() not in ("", str(pid)))
    assert not is_alive(pid)
    assert is_alive(int((tmp_path / "pid").read_text()))


def test_an_ended_program_is_diagnosed_by_its_last_line(host):
    runner, _ = host("sys.exit('something before\\nboard stopped: PC 0x1\\n')")
    wait_for(lambda: runner.diagnosis() is not None)
    assert runner.diagnosis() == "board stopped: PC 0x1"


@pytest.mark.parametrize(
    "line",
    [
        "model.c:12:3: runtime error: signed integer overflow",
        "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x1",
    ],
)
def test_a_sanitizer_is_quoted_by_its_finding(host, line):
    runner, _ = host(f"sys.exit('{line}\\n#0 main\\nSUMMARY: ...\\nABORTING')")
    wait_for(lambda: runner.diagnosis() is not None)
    assert runner.diagnosis() == line


def test_a_program_that_ends_in_silence_is_named_by_its_code(host):
    runner, pid = host()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: runner.diagnosis() is not None)
    assert runner.diagnosis() == "host ended with signal SIGKILL and said nothing"


def test_a_program_that_fails_at_its_start_is_named(tmp_path):
    tool = script(tmp_path, "sys.exit('error: port 80 is taken')")
    with make_runner("host", F746) as runner, pytest.raises(LinkError, match="port 80 is taken"):
        runner.flash(image(tool))


def test_a_program_that_never_starts_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(host_runner, "_START_S", 0.3)
    tool = script(tmp_path, "time.sleep(60)")
    with make_runner("host", F746) as runner, pytest.raises(LinkError, match=r"within 0\.3 s"):
        runner.flash(image(tool))


def test_what_is_no_program_is_named(tmp_path):
    (tmp_path / "text").write_text("no program")
    with make_runner("host", F746) as runner:
        with pytest.raises(LinkError, match="is not there; run `lnn-edge build`"):
            runner.flash(image(tmp_path / "gone"))
        with pytest.raises(LinkError, match="cannot be started"):
            runner.flash(image(tmp_path / "text"))


@pytest.mark.parametrize("action", ["serial_url", "diagnosis", "reset"])
def test_nothing_can_be_asked_before_the_firmware_is_there(action):
    with pytest.raises(LinkError, match="flash firmware first"):
        getattr(make_runner("virtual", F746), action)()


def test_a_link_passes_the_diagnosis_on(tmp_path):
    text = """
import socket
server = socket.create_server(('127.0.0.1', 0))
print('socket://127.0.0.1:%d' % server.getsockname()[1], flush=True)
server.accept()[0].recv(1)
sys.exit('board stopped: out of luck')
"""
    with make_runner("host", F746) as runner:
        runner.flash(image(script(tmp_path, text)))
        with (
            Link(runner.serial_url(), diagnose=runner.diagnosis) as link,
            pytest.raises(LinkError, match="process ended: board stopped: out of luck"),
        ):
            link.hello()


# --- emulators ----------------------------------------------------------------------------------

IDLE = "void Reset_Handler(void) { for (;;) { } }"
CRASH = """
void fail(void); NOINLINE void fail(void) { *(volatile uint32_t *)0x60000000 = 1; }
void Reset_Handler(void) { fail(); }
"""
HANDLERS = "{.handler = fail}, {.handler = fail}"  # the fault handler fails, too


def test_the_virtual_board_is_told_the_machine_of_the_board():
    machine = MachineConfig.from_json(json.dumps(describe_machine(F746)))
    usual = MachineConfig()
    assert (machine.usart, machine.hse_hz, machine.cpu) == (usual.usart, usual.hse_hz, usual.cpu)
    assert set(machine.memories) == set(usual.memories)
    nucleo = MachineConfig.from_json(json.dumps(describe_machine(load_board("nucleo-f746zg"))))
    assert (nucleo.usart.name, nucleo.usart.select_bit, nucleo.hse_hz) == ("USART3", 4, 8_000_000)


@needs_arm_gcc
@pytest.mark.target
@pytest.mark.parametrize(
    ("spec", "start"), [("virtual", "socket://127.0.0.1:"), ("virtual:pty", "/dev/")]
)
def test_the_virtual_board_starts_and_tells_its_instructions(tmp_path, spec, start):
    pytest.importorskip("unicorn", reason="the emulator is not installed")
    elf = link(tmp_path, IDLE).elf.path
    with make_runner(spec, F746) as runner:
        runner.flash(image(elf))
        assert runner.serial_url().startswith(start)
        first = runner.profile()
        assert first["functions"].keys() == {"Reset_Handler"}
        assert runner.profile()["instructions"] > first["instructions"]


@needs_arm_gcc
@pytest.mark.target
def test_a_crash_on_the_virtual_board_is_diagnosed(tmp_path):
    pytest.importorskip("unicorn", reason="the emulator is not installed")
    elf = link(tmp_path, CRASH, HANDLERS).elf.path
    with make_runner("virtual", F746) as runner:
        runner.flash(image(elf))
        wait_for(lambda: runner.diagnosis() is not None)
        assert "fail+" in runner.diagnosis()


@needs_arm_gcc
@pytest.mark.target
def test_a_crash_in_qemu_is_diagnosed_by_function(tmp_path):
    if (reason := make_runner("qemu", F405).available()) is not None:
        pytest.skip(reason)
    elf = link(tmp_path, CRASH, HANDLERS).elf.path  # the two boards' memories begin alike
    with make_runner("qemu", F405) as runner:
        runner.flash(image(elf))
        wait_for(lambda: runner.diagnosis() is not None)
        assert "Lockup" in runner.diagnosis()
        assert "(fail+" in runner.diagnosis()


def toy(board, preset):
    """Return the firmware of the toy model."""
    result = built_toy(board.name, preset)
    return Image(result.elf, result.bin)


def decide(runner, firmware):
    """Decisions of the toy model on a short recording, detail included."""
    rng = np.random.default_rng(5)
    samples = rng.integers(-2000, 2000, (2_000, 2)).astype(np.int16)
    with runner:
        runner.flash(firmware)
        url = runner.serial_url()
        with Link(url, elf=firmware.elf, diagnose=runner.diagnosis) as device:
            info = device.hello()
            device.reset(detail=True)
            records = list(device.stream(samples, list(range(300, 1_900, 150))))
            assert device.stats().bad_frames == 0
            device.set_state(device.get_state())
    assert len(records) > 8
    return info, [replace(record, cycles=0) for record in records]


@needs_arm_gcc
@pytest.mark.target
@pytest.mark.parametrize(
    ("spec", "board", "source"),
    [
        ("virtual", F746, "instructions"),
        ("virtual:pty", F746, "instructions"),
        ("qemu", F405, "none"),
    ],
)
def test_every_device_decides_as_this_machine_does(spec, board, source):
    runner = make_runner(spec, board)
    if (reason := runner.available()) is not None:
        pytest.skip(reason)
    _, expected = decide(make_runner("host", board), toy(board, "host"))
    info, got = decide(runner, toy(board, "board"))
    assert got == expected
    assert info.board_name == board.name
    assert info.clock_source == source


def test_missing_emulators_come_with_the_command_that_installs_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    elf = script(tmp_path, "")
    with pytest.raises(MissingToolError, match="apt-get install qemu-system-arm"):
        make_runner("qemu", F405).flash(image(elf))
    with pytest.raises(MissingToolError, match="pip install unicorn"):
        make_runner("virtual", F746).flash(image(elf))


# --- real boards --------------------------------------------------------------------------------


@pytest.fixture
def firmware(tmp_path):
    (tmp_path / "firmware.elf").write_bytes(b"elf")
    (tmp_path / "firmware.bin").write_bytes(bytes(range(256)) * 40)
    return Image(tmp_path / "firmware.elf", tmp_path / "firmware.bin")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Puts a program on an otherwise empty PATH that writes its arguments to a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name, text=""):
        script(
            folder, f"open('{folder}/arguments', 'w').write('\\n'.join(sys.argv[1:]))\n{text}", name
        )
        return folder / "arguments"

    return install


def test_openocd_is_called_with_the_configuration_of_the_board(tools, firmware):
    arguments = tools("openocd")
    make_runner("openocd", F746).flash(firmware)
    program = f"program {{{firmware.elf}}} verify reset exit"
    assert arguments.read_text().splitlines() == ["-f", "board/stm32f746g-disco.cfg", "-c", program]


def test_st_flash_writes_to_the_start_of_flash(tools, firmware):
    arguments = tools("st-flash")
    make_runner("st-flash", F746).flash(firmware)
    expected = ["--reset", "write", str(firmware.bin), "0x08000000"]
    assert arguments.read_text().splitlines() == expected


@pytest.mark.parametrize(
    ("spec", "output"),
    [
        ("openocd", "Open On-Chip Debugger 0.12.0\nError: open failed\nshutdown command invoked"),
        ("st-flash", "2026-11-24T14:53:18 WARN usb.c: Couldn't find any ST-Link devices"),
    ],
)
@pytest.mark.parametrize("code", [0, 1])
def test_a_board_that_is_not_there_is_told_with_the_command(tools, firmware, spec, output, code):
    tools(spec, f"print({output!r})\nsys.exit({code})")
    pattern = rf"{spec} did not reach STM32F746G-DISCO: .*(open failed|Couldn't find).*run `{spec} "
    for action in (lambda runner: runner.flash(firmware), lambda runner: runner.reset()):
        with pytest.raises(LinkError, match=pattern) as caught:
            action(make_runner(spec, F746))
        assert "\n" not in str(caught.value)


def test_a_tool_that_hangs_is_given_up(tools, firmware, monkeypatch):
    monkeypatch.setattr(probe_runner, "_TOOL_S", 0.3)
    tools("openocd", "time.sleep(60)")
    with pytest.raises(LinkError, match=r"no end within 0\.3 s"):
        make_runner("openocd", F746).flash(firmware)


@pytest.mark.parametrize(
    ("spec", "package"), [("openocd", "openocd"), ("st-flash", "stlink-tools")]
)
def test_a_missing_tool_comes_with_the_command_that_installs_it(tools, firmware, spec, package):
    with pytest.raises(MissingToolError, match=f"apt-get install {package}"):
        make_runner(spec, F746).flash(firmware)


@pytest.mark.parametrize("spec", ["openocd", "st-flash", "msd"])
def test_firmware_that_was_not_built_is_named(tools, tmp_path, spec):
    tools(spec)
    gone = Image(tmp_path / "gone.elf", tmp_path / "gone.bin")
    with pytest.raises(LinkError, match="run `lnn-edge build`"):
        make_runner(spec, F746).flash(gone)


def probe(firmware, tmp_path, patience_s=0.3):
    volume = tmp_path / "media" / F746.tools.volume
    volume.mkdir(parents=True)
    return MsdRunner(F746, (tmp_path / "none", tmp_path / "media"), patience_s), volume


def test_the_volume_gets_the_image(firmware, tmp_path):
    runner, volume = probe(firmware, tmp_path)
    runner.flash(firmware)
    assert (volume / "firmware.bin").read_bytes() == firmware.bin.read_bytes()


def test_the_probe_can_refuse_the_image(firmware, tmp_path):
    runner, volume = probe(firmware, tmp_path, patience_s=60)

    def refuse():
        wait_for((volume / "firmware.bin").exists)
        (volume / "FAIL.TXT").write_text("The flash download failed.\n")

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(LinkError, match=r"refused the image: The flash download failed\."):
        runner.flash(firmware)
    thread.join()


def test_a_volume_that_comes_back_clean_ends_the_wait(firmware, tmp_path, monkeypatch):
    runner, volume = probe(firmware, tmp_path)
    (volume / "FAIL.TXT").write_text("of an earlier image")
    steps = iter(["stays", "goes", "is away", "comes back"])
    looks = []

    def remount(_seconds):
        looks.append(next(steps))
        if looks[-1] == "goes":
            volume.rename(tmp_path / "away")
        if looks[-1] == "comes back":
            volume.mkdir()

    clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=remount)  # patience never ends
    monkeypatch.setattr(msd, "time", clock)
    runner.flash(firmware)
    assert looks[-1] == "comes back"


def test_a_volume_that_is_not_mounted_is_named(firmware, tmp_path):
    runner = MsdRunner(F746, (tmp_path,))
    with pytest.raises(LinkError, match="no volume DIS_F746NG is mounted"):
        runner.flash(firmware)


def test_a_board_without_volume_says_so(firmware):
    with pytest.raises(MissingToolError, match="stm32f405 shows no volume"):
        make_runner("msd", F405).flash(firmware)


def test_the_port_of_the_only_probe_is_taken(monkeypatch):
    def serial_url(*probes):
        ports = tuple(Port(f"/dev/ttyACM{i}", "", kind) for i, kind in enumerate(probes))
        monkeypatch.setattr(probe_runner, "find_ports", lambda: ports)
        return make_runner("openocd", F746).serial_url()

    assert serial_url("", "ST-LINK") == "/dev/ttyACM1"
    with pytest.raises(LinkError, match="no debug probe is connected"):
        serial_url("")
    with pytest.raises(LinkError, match=r"several debug probes.*serial:PORT"):
        serial_url("ST-LINK", "J-Link")


def test_a_port_given_by_name_is_used_as_it_is(firmware):
    with make_runner("serial:/dev/ttyACM3", F746) as runner:
        runner.flash(firmware)
        assert runner.serial_url() == "/dev/ttyACM3"
        with pytest.raises(LinkError, match="press its button"):
            runner.reset()


def test_no_runner_of_a_real_board_starts_an_emulator(tools, firmware):
    for spec in ("openocd", "st-flash", "msd", "serial:/dev/gone"):
        with contextlib.suppress(LinkError, MissingToolError), make_runner(spec, F746) as runner:
            runner.flash(firmware)
            assert runner.serial_url() == "/dev/gone"
    assert Path("/dev/gone").exists() is False

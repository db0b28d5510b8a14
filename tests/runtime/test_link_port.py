"""Serial ports and what can be wrong with them: one sentence each, and the next attempt works."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from tensaw.harness.golden_board import BoardTerminal, GoldenBoard
from tensaw.runtime.link import SerialPort, connect
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import DeviceError
from tensaw.spec.link import Identity

CONFIG = NpuConfig(name="tiny", rows=2, columns=2, requant_lanes=1)
IDENTITY = Identity("ulx3s-85f", CONFIG, bytes(8), 100_000_000, 3_000_000, 0x1000, 1 << 16, 2048, 1024)


@pytest.fixture
def board() -> Iterator[BoardTerminal]:
    with BoardTerminal(GoldenBoard(IDENTITY)) as terminal:
        yield terminal


def refusal(path: str, baud: int | None = None) -> str:
    with pytest.raises(DeviceError) as error:
        connect(path, baud, (3_000_000, 115_200))
    return str(error.value)


def test_a_board_is_found_again_and_again(board: BoardTerminal) -> None:
    for baud in (None, 3_000_000, 115_200):  # of a pseudo-terminal any will do
        link = connect(board.port, baud)
        assert link.identity == IDENTITY
        link.write_memory(0x1000, bytes(100))
        assert link.read_memory(0x1000, 100) == bytes(100)
        link.close()
        link.close()


def test_a_busy_port(board: BoardTerminal) -> None:
    link = connect(board.port)
    assert refusal(board.port) == (
        f"The port {board.port!r} is in use by another program: end that program (`fuser {board.port}` names it), then "
        "repeat the command."
    )
    link.close()
    connect(board.port).close()


def test_no_such_port(tmp_path: Path) -> None:
    path = str(tmp_path / "ttyUSB7")
    assert refusal(path) == (
        f"There is no port {path!r}: connect the board, or look for its name with `ls /dev/ttyUSB* /dev/ttyACM*`."
    )


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    assert refusal(str(path)) == f"{str(path)!r} is no serial port: give a device such as /dev/ttyUSB0."


def test_a_device_that_is_no_port() -> None:
    assert refusal("/dev/null").startswith("The port '/dev/null' cannot be opened: ")


def test_no_permission(board: BoardTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who may everything: what pyserial raises for others."""

    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(13, "could not open port: [Errno 13] Permission denied")

    monkeypatch.setattr(serial, "Serial", refuse)
    assert refusal(board.port) == (
        f"You may not use the port {board.port!r} (permission denied): add yourself to the group that owns it, on most "
        "systems with `sudo usermod -aG dialout $USER`, then log in again."
    )


class Pty:
    """A pseudo-terminal that the test holds the other end of."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        tty.setraw(self.theirs)
        self.name = os.ttyname(self.theirs)

    def pull(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)


@pytest.mark.parametrize("action", ["read", "write"])
def test_a_cable_that_is_pulled(action: str) -> None:
    pty = Pty()
    port = SerialPort(pty.name, 3_000_000)
    timer = threading.Timer(0.1, pty.pull)
    timer.start()
    with pytest.raises(DeviceError) as error:
        while True:
            if action == "read":
                port.read(0.5)
            else:
                port.write(b"x")
    timer.join()
    assert str(error.value).startswith(f"The board at {pty.name!r} has gone (")
    assert str(error.value).endswith(
        "): the cable was pulled, or the board was switched off. Connect it again and repeat the command; nothing else "
        "is needed."
    )
    port.close()
    with pytest.raises(DeviceError, match="has been closed"):
        port.read(0)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensaw.runtime.link.opening.HELLO_TIMES", (0.05,))
    monkeypatch.setattr("tensaw.runtime.link.opening._GLANCE", (0.02,))
    pty = Pty()
    advice = (
        "check that the board has power, that its bitstream is loaded, that this is its port, and, with --baud, the "
        "rate that it was built for."
    )
    assert refusal(pty.name) == (
        f"The board at {pty.name!r} does not answer at any rate that was tried (nothing came back): {advice}"
    )
    monkeypatch.setattr("tensaw.runtime.link.opening.HELLO_TIMES", (0.5,))
    timer = threading.Timer(0.2, os.write, (pty.ours, b"hello, world"))
    timer.start()
    assert refusal(pty.name, 1_000_000) == (
        f"The board at {pty.name!r} does not answer at 1,000,000 baud (12 bytes came that are no answer): {advice}"
    )
    pty.pull()


def test_another_rate(board: BoardTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden board does not know rates: the port does as if it did."""
    write = SerialPort.write

    def at_one_rate(self: SerialPort, content: bytes) -> None:
        write(self, content if self.baud == 115_200 else b"\x00" * len(content))

    monkeypatch.setattr("tensaw.runtime.link.opening.HELLO_TIMES", (0.1,))
    monkeypatch.setattr(SerialPort, "write", at_one_rate)
    assert refusal(board.port, 3_000_000) == (
        f"The board at {board.port!r} does not answer at 3,000,000 baud, but at 115,200: give --baud 115200, or leave "
        "--baud out."
    )
    link = connect(board.port)
    assert link.port.baud == 115_200
    link.close()

"""The host's side of the link against a golden board: everything arrives exactly once, whatever the line does."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from tensaw.harness.golden_board import GoldenBoard
from tensaw.runtime.link import HostLink
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import DeviceError
from tensaw.spec.link import Identity, MarchFlag, Op, Status
from tensaw.spec.registers import register

CONFIG = NpuConfig(name="tiny", rows=2, columns=2, requant_lanes=1)
IDENTITY = Identity("ulx3s-85f", CONFIG, bytes(8), 100_000_000, 3_000_000, 0x1000, 1 << 16, 2048, 1024)


class Port:
    """A port in memory. ``deaf``: nothing is answered."""

    path = "/dev/ttyUSB0"
    baud = 3_000_000

    def __init__(self, board: GoldenBoard) -> None:
        self.board, self.deaf, self.waiting = board, False, b""

    def read(self, timeout: float) -> bytes:
        content, self.waiting = self.waiting, b""
        if not content:
            time.sleep(max(timeout, 0))
        return content

    def write(self, content: bytes) -> None:
        if not self.deaf:
            self.waiting += self.board.feed(content)

    def close(self) -> None: ...


def opened(board: GoldenBoard | None = None) -> tuple[HostLink, GoldenBoard, Port]:
    board = board or GoldenBoard(IDENTITY)
    port = Port(board)
    link = HostLink(port)
    assert link.hello() == IDENTITY
    link.reset()
    return link, board, port


def spoiler(rng: np.random.Generator, drop: float, flip: float) -> Callable[[bytes], bytes]:
    """Loses bytes, and inverts bits of others, with these probabilities."""

    def spoil(content: bytes) -> bytes:
        data = np.frombuffer(content, np.uint8).copy()
        wrong = rng.random(len(data)) < flip
        data[wrong] ^= (1 << rng.integers(0, 8, wrong.sum())).astype(np.uint8)
        return data[rng.random(len(data)) >= drop].tobytes()

    return spoil


@pytest.mark.parametrize("size", [1, 7, 1024, 1025, 9000])
def test_memory(rng: np.random.Generator, size: int) -> None:
    link, board, _ = opened()
    content, steps = rng.bytes(size), []
    link.write_memory(0x1003, content, lambda done, total: steps.append((done, total)))
    assert board.memory[3 : 3 + size].tobytes() == content
    assert link.read_memory(0x1003, size) == content
    assert steps[-1] == (size, size) and len(steps) == -(-size // 1024) and link.resent == 0


def test_registers() -> None:
    link, board, _ = opened()
    assert link.read_registers(register("CONFIG").offset) == [CONFIG.digest]
    link.write_registers(register("REGION0_BASE_LO").offset, [0x1000, 0, 64])
    assert link.read_registers(register("REGION0_BASE_LO").offset, 3) == [0x1000, 0, 64]
    assert link.counters() == (0, 0, 0) and board.once_done == 1


def test_march() -> None:
    link, board, _ = opened()
    board.stuck.append((803, 2, 1))
    flags = MarchFlag.WRITE
    found = link.march(0x1000, 512, flags, 0)
    assert found is not None and (found.status, found.address) == (Status.OK, 0x1000 + 511 * 8)
    found = link.march(0x1000 + 511 * 8, 512, MarchFlag.READ | MarchFlag.DOWN, 0)
    assert found is not None and (found.status, found.address) == (Status.MISMATCH, 0x1000 + 800)
    assert found.found == bytes([0, 0, 0, 4, 0, 0, 0, 0])


@pytest.mark.parametrize(("drop", "flip"), [(0.0, 3e-4), (3e-4, 0.0), (1e-4, 1e-4)])
def test_a_line_that_loses_and_changes_bytes(rng: np.random.Generator, drop: float, flip: float) -> None:
    link, board, _ = opened()
    board.spoil = spoiler(rng, drop, flip)
    content = rng.bytes(20_000)
    link.write_memory(0x1000, content)
    assert board.memory[:20_000].tobytes() == content
    assert link.read_memory(0x1000, 20_000) == content
    before = board.once_done
    for number in range(20):
        link.write_registers(register("PROGRAM_BYTES").offset, [number])
    assert board.once_done - before == 20 and link.resent > 0


def test_a_march_whose_answer_is_lost_is_not_done_twice() -> None:
    link, board, _ = opened()
    lost: list[bytes] = []

    def lose(content: bytes) -> bytes:
        if content[3:4] == bytes([Op.MARCH]) and content[:1] == b"\x53" and not lost:
            lost.append(content)
            return b""
        return content

    board.spoil = lose
    assert link.march(0x1000, 4, MarchFlag.WRITE, 0) is None
    assert board.once_done == 1 and len(lost) == 1


def test_answers_to_a_former_host_are_told_apart() -> None:
    board = GoldenBoard(IDENTITY)
    port = Port(board)
    for _ in range(300):  # all tags there are
        HostLink(port).port.write(b"\xa7\x53garbage")
    other = HostLink(port)
    assert other.hello() == IDENTITY
    port.waiting += board.feed(b"")
    assert other.read_memory(0x1000, 64) == board.memory[:64].tobytes()


def test_a_board_that_no_longer_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensaw.runtime.link.host._FLOOR", 0.001)
    link, _, port = opened()
    port.deaf = True
    with pytest.raises(DeviceError) as error:
        link.read_memory(0x1000, 8)
    assert str(error.value) == (
        "The board at '/dev/ttyUSB0' no longer answers: 8 attempts of READ_MEMORY at 0x1000 were lost. Check cable and "
        "power; if it goes on, load the bitstream again."
    )
    assert link.hello((0.001,)) is None


def test_a_line_too_bad_to_use(rng: np.random.Generator) -> None:
    link, board, _ = opened()
    board.spoil = spoiler(rng, 0.0, 0.02)
    with pytest.raises(DeviceError) as error:
        link.read_memory(0x1000, 8000)
    assert "were lost. What comes back is damaged: the line is bad. Use" in str(error.value)


def test_what_the_board_refuses() -> None:
    link, _, _ = opened()
    with pytest.raises(DeviceError) as error:
        link.read_registers(3)
    assert str(error.value) == (
        "The board refuses READ_REGISTERS at 0x3, 4 bytes: address or count is not a multiple of the word; nothing was "
        "done."
    )
    with pytest.raises(DeviceError, match="refuses WRITE_MEMORY at 0x11000, 1 bytes: memory or registers answered"):
        link.write_memory(0x11000, b"x")


def test_nothing_before_the_board_is_known() -> None:
    with pytest.raises(DeviceError, match="The board has not been asked who it is yet."):
        HostLink(Port(GoldenBoard(IDENTITY))).read_memory(0, 4)

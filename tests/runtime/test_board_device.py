"""Waiting for a board: for its interrupt, or until its own clock says that nothing has moved for too long."""

from __future__ import annotations

from typing import Any

import pytest

from tensaw.runtime.board import BoardDevice
from tensaw.spec.registers import register

STATUS, BUSY = register("STATUS").offset, register("ARRAY_BUSY_LO").offset


class Link:
    """A board whose clock counts ``step`` cycles from look to look; the array is busy until look ``busy``, and done at
    look ``done``."""

    def __init__(self, step: int, busy: int, done: int, start: int = 0) -> None:
        self.step, self.busy, self.done, self.looks, self.clock = step, busy, done, 0, start

    def counters(self) -> tuple[int, int, int]:
        self.looks += 1
        self.clock = (self.clock + self.step) % 2**32
        return self.clock, 0, 0

    def read_registers(self, offset: int, count: int = 1) -> list[int]:
        values = {STATUS: 2 if self.looks >= self.done else 1, BUSY: min(self.looks, self.busy)}
        return [values.get(offset + 4 * number, 0) for number in range(count)]


def device(link: Any, told: list[int] | None = None) -> BoardDevice:
    return BoardDevice(link, None if told is None else told.append)


def test_a_run_that_ends() -> None:
    told: list[int] = []
    assert device(Link(1000, 5, 5), told).wait(2000).kind == "interrupt"
    assert told == [0, 1000, 2000, 3000, 4000]


@pytest.mark.parametrize("start", [0, 2**32 - 4500])
def test_a_run_that_hangs(start: int) -> None:
    """Also where the board's 32-bit clock runs over."""
    link = Link(1000, 5, 10**9, start)
    waited = device(link).wait(3500)
    assert (waited.kind, waited.cycles) == ("hang", 8000) and link.looks == 9


def test_a_run_that_is_slow_but_moves() -> None:
    assert device(Link(3000, 10**9, 20)).wait(3500).kind == "interrupt"

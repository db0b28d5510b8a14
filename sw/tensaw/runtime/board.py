"""A board as a device: its memory and registers over the host link."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tensaw.runtime.driver import Waited
from tensaw.runtime.link.host import HostLink
from tensaw.spec.registers import COUNTERS, register

__all__ = ["BoardDevice"]

_STATUS = register("STATUS").offset
_FIRST_COUNTER = register(f"{COUNTERS[0][0]}_LO").offset
# What only grows when something has been done.
_PROGRESS = tuple(
    (register(f"{name}_LO").offset - _FIRST_COUNTER) // 4
    for name in ("ARRAY_BUSY", "OUTPUT_BUSY", "BYTES_READ", "BYTES_WRITTEN")
)
_FINISHED = 2 | 4
_PAUSE = 0.0005
"""Seconds between looks at a board that is busy."""


class BoardDevice:
    """See tensaw.runtime.Device. ``progress``, if given, is told clock cycles of the board since the run's begin."""

    def __init__(self, link: HostLink, progress: Callable[[int], None] | None = None) -> None:
        self.link = link
        self._progress = progress

    def write_memory(self, address: int, content: npt.NDArray[np.uint8]) -> None:
        self.link.write_memory(address, content.tobytes())

    def read_memory(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.link.read_memory(address, size), np.uint8).copy()

    def write_register(self, offset: int, value: int) -> None:
        self.link.write_registers(offset, [value])

    def read_register(self, offset: int) -> int:
        return self.link.read_registers(offset)[0]

    def wait(self, watchdog: int) -> Waited:
        """The board is asked over and over; its own clock counts the watchdog's cycles."""
        first = moved = None
        before: list[int] = []
        while not self.read_register(_STATUS) & _FINISHED:
            clock = self.link.counters()[0]
            counters = self.link.read_registers(_FIRST_COUNTER, 2 * len(COUNTERS))
            state = [counters[place] for place in _PROGRESS]
            first = clock if first is None else first
            if state != before or moved is None:
                before, moved = state, clock
            elif (clock - moved) % 2**32 > watchdog and not self.read_register(_STATUS) & _FINISHED:
                return Waited("hang", (clock - first) % 2**32)
            if self._progress is not None:
                self._progress((clock - first) % 2**32)
            time.sleep(_PAUSE)
        return Waited("interrupt")

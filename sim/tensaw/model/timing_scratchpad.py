"""Which banks of the scratchpad are used in a cycle by who comes first: by the array's reads, for which a STORE has to
wait, and by OUTPUT's writes, for which a LOAD has to wait."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tensaw.spec.config import NpuConfig

__all__ = ["ArrayReads", "OutputWrites", "RowWrites", "StepReads"]

READ_DELAY = 4
"""Cycles from giving a position to the choice of the banks that its words are read from."""


@dataclass(slots=True)
class StepReads:
    """Reads of one kernel step: lines of ``count`` positions (those without a sum included), the first in cycle
    ``start``, line after line every ``length`` cycles or, if given, in the cycles ``lines``.

    Position i of line j reads ``size`` bytes from ``address + j * pitch + i * step`` on or, if ``groups`` is not 0, one
    word in each of so many rows that lie ``group_pitch`` apart; if ``second`` is not 0, another so many bytes further.
    """

    start: int
    end: int
    length: int
    lines: list[int] | None
    address: int
    pitch: int
    step: int
    size: int
    groups: int
    group_pitch: int
    second: int = 0


class ArrayReads:
    """The array's reads in order. Looked at in ascending cycles only."""

    def __init__(self, config: NpuConfig) -> None:
        self._word, self._beat, self._all_banks = config.word_bytes, config.bus_bytes, config.banks
        self._steps: list[StepReads] = []
        self._at = 0

    def add(self, step: StepReads) -> None:
        """The next step."""
        self._steps.append(step)

    def free(self, cycle: int, address: int) -> bool:
        """Whether a bus beat can be read from a byte address on in a cycle: from its word and, if it goes on there, the
        next."""
        steps = self._steps
        given = cycle - READ_DELAY
        while self._at < len(steps) and steps[self._at].end < given:
            self._at += 1
        if self._at == len(steps) or steps[self._at].start > given:
            return True
        taken = self._banks(steps[self._at], given)
        first = address // self._word
        return not taken >> first % self._all_banks & 1 and not (
            address % self._word + self._beat > self._word and taken >> (first + 1) % self._all_banks & 1
        )

    def _banks(self, step: StepReads, cycle: int) -> int:
        """Bit b: bank b is read for the position given in a cycle."""
        if step.lines is None:
            line, position = divmod(cycle - step.start, step.length)
        else:
            line = sum(start <= cycle for start in step.lines) - 1
            position = cycle - step.lines[line]
            if position >= step.length:
                return 0
        address = step.address + line * step.pitch + position * step.step
        if step.groups:
            words = [(address + group * step.group_pitch) // self._word for group in range(step.groups)]
            if step.second:
                words += [word + step.second // self._word for word in words]
        else:
            words = [address // self._word]
            if address % self._word + step.size > self._word:
                words.append(words[0] + 1)
        mask = 0
        for word in words:
            mask |= 1 << word % self._all_banks
        return mask


@dataclass(slots=True)
class RowWrites:
    """Writes of ``count`` neighbouring output positions, the first in cycle ``start``, the last in cycle ``end``: of
    each ``channels`` bytes, ``lanes`` at a time in ``beats`` writes. Position i begins at ``address + i * pitch``."""

    start: int
    end: int
    count: int
    beats: int
    lanes: int
    address: int
    pitch: int
    channels: int


class OutputWrites:
    """OUTPUT's writes in order. Asked for delays in ascending cycles only."""

    def __init__(self, config: NpuConfig) -> None:
        self._word, self._bus_bytes, self._all_banks = config.word_bytes, config.bus_bytes, config.banks
        self._rows: deque[RowWrites] = deque()

    def add(self, row: RowWrites) -> None:
        """The next writes."""
        self._rows.append(row)

    def delay(self, cycle: int, address: int, beats: int) -> int:
        """Cycles by which so many beats come later that would be written from ``cycle`` on, one a cycle, from
        ``address`` on."""
        rows = self._rows
        while rows and rows[0].end < cycle:
            rows.popleft()
        if not rows or rows[0].start >= cycle + beats:
            return 0
        now = cycle
        for beat in range(beats):
            first = (address + beat * self._bus_bytes) // self._word
            last = (address + (beat + 1) * self._bus_bytes - 1) // self._word
            wanted = 1 << first % self._all_banks | 1 << last % self._all_banks
            while self._banks(now) & wanted:
                now += 1
            now += 1
        return now - cycle - beats

    def _banks(self, cycle: int) -> int:
        """Bit b: bank b is written in a cycle, or as good as: nobody else may write it."""
        rows = self._rows
        while rows and rows[0].end < cycle:
            rows.popleft()
        if not rows or rows[0].start > cycle:
            return 0
        row = rows[0]
        writes, span = row.count * row.beats - 1, row.end - row.start
        # Write k is made in cycle start + k * span / writes.
        number = -(-(cycle - row.start) * writes // span) if span else 0
        if writes and number * span // writes != cycle - row.start:
            return 0
        position, beat = divmod(number, row.beats)
        address = row.address + position * row.pitch + beat * row.lanes
        last = address // self._word + (address % self._word != 0)
        return 1 << address // self._word % self._all_banks | 1 << last % self._all_banks

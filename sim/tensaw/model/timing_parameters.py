"""Timing of weight rows that go to the output stage: channel parameters of a tile, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tensaw.model.timing_bus import ReadBus, Ring
from tensaw.model.timing_kernel import Steps
from tensaw.model.timing_link import Link
from tensaw.spec.config import NpuConfig

__all__ = ["ParameterTiming"]

QUEUE = 9
"""Rows between the weight ring and where the output stage keeps them: a queue, and a register."""
ROW_LATENCY = 5
"""Cycles from reading a row to its arrival at the output stage."""
SETS = 2
"""Tiles whose parameters the output stage holds."""


def _beats(first: int, count: int, config: NpuConfig) -> int:
    """Cycles in which a row with the parameters of these channels is stored: one for each beat of lanes it touches."""
    channels = range(first, min(first + count, config.columns))
    return max(len({channel // config.requant_lanes for channel in channels}), 1)


class ParameterTiming:
    """Rows from the ring through a short queue into the output stage.

    Parameters
    ----------
    config : NpuConfig
    ring, bus, link
        Where rows come from, who is told of room in the ring, and where it is noted that a tile's parameters are there.
    """

    def __init__(self, config: NpuConfig, ring: Ring, bus: ReadBus, link: Link) -> None:
        width = config.weight_row_bytes
        words = [_beats(index * width // 4, width // 4, config) for index in range(4)]
        self._bias, self._scale = words, [*words, _beats(0, width, config)]
        self._table = width // 4
        self._ring, self._bus, self._link = ring, bus, link

    def rows_of(self, weights: Mapping[str, int]) -> int:
        """Parameter rows of a tile."""
        return len(self._bias) * weights["bias"] + len(self._scale) * weights["scale"]

    def read_tile(self, weights: Mapping[str, int], row: int, cursor: int) -> Steps:
        """The parameters of a tile, from weight row ``row`` on; the loader is free from cycle ``cursor``.

        Returns the cycle in which the last row is read.
        """
        link = self._link
        number = len(link.filled)
        while number >= SETS and len(link.released) <= number - SETS:
            yield link.from_output
        gate = link.released[number - SETS] if number >= SETS else 0
        costs = self._bias * weights["bias"] + self._scale * weights["scale"]
        read, stored = yield from self._stream(row, costs, cursor, gate, bool(weights["free"]))
        link.filled.append(stored + 1)
        link.from_array.tell()
        return read

    def read_table(self, row: int, size: int, cursor: int) -> Steps:
        """A table of ``size`` bytes, all rows freed. Returns the cycle in which its last word is written."""
        rows = size // (4 * self._table)
        _, stored = yield from self._stream(row, [self._table] * rows, cursor, 0, True)
        return stored

    def _stream(self, row: int, costs: Sequence[int], cursor: int, gate: int, free: bool) -> Steps:
        ring = self._ring
        stored: list[int] = []
        end = gate - 1
        read = first = told = 0
        for index, cost in enumerate(costs):
            while (available := ring.available(row + index)) is None:
                if free and index > told:
                    # What comes next may wait for room.
                    ring.free(first, read, index - told)
                    self._bus.look(first + 3)
                    first, told = 0, index
                yield ring.changed
            read = max(cursor, available)
            if index >= QUEUE:
                read = max(read, stored[index - QUEUE] + 1)
            cursor = read + 1
            end = max(end + 1, read + ROW_LATENCY) + cost - 1
            stored.append(end)
            first = first or read
        if free:
            ring.free(first, read, len(costs) - told)
            self._bus.look(first + 3)
        return read, end

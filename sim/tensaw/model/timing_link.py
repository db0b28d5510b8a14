"""What ARRAY and OUTPUT tell each other: finished positions, channel parameters, free halves, written rows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tensaw.model.timing_kernel import Kernel, News
from tensaw.spec.config import NpuConfig

__all__ = ["FEEDER", "READ", "Link", "Row", "Written", "array_latency"]

READ = 4
"""Cycles from a request of the scratchpad to its bytes."""
FEEDER = 5 + READ
"""Cycles from giving a position to its bytes at the array."""


def array_latency(config: NpuConfig) -> int:
    """Cycles from a position's bytes at the array to its sums."""
    return config.rows + 1 + -(-config.columns // config.column_group)


@dataclass(slots=True)
class Row:
    """Positions of one output row in a block, in its last kernel step: the first is given to the array in cycle
    ``start``, ``count`` of them, one every ``spacing`` cycles."""

    start: int
    count: int
    spacing: int


@dataclass(eq=False)
class Written:
    """What an OUTPUT or LOAD run has written: for each row (of the last tile) the cycle in which that shows, and
    ``done``. ``news`` are told of both."""

    news: News
    rows: list[int] = field(default_factory=list)
    done: int | None = None


class Link:
    """Cycles in lists are in the order of their events, over all runs."""

    def __init__(self, kernel: Kernel) -> None:
        self.rows: deque[Row] = deque()
        """Rows that the array has finished and the output stage has not taken."""
        self.filled: list[int] = []
        """Cycle from which each tile's channel parameters can be used."""
        self.released: list[int] = []
        """Cycle from which their place can be filled again."""
        self.freed: list[int] = []
        """Cycle from which the accumulator half of each block is free."""
        self.from_array = News(kernel)
        self.from_output = News(kernel)
        self.from_load = News(kernel)
        self.runs: list[Written] = []
        """OUTPUT runs in order."""
        self.loads: list[Written] = []
        """LOAD runs in order."""

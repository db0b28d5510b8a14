"""What a run's trace outputs recorded: the work of each unit over time, and how the array spent its cycles."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["ArrayState", "Event", "Profile", "UNITS"]

UNITS = ("weight", "load", "array", "output", "store")


class ArrayState(enum.IntEnum):
    """Values of the output ``trace_array_state``, but for two that the harness exchanges."""

    IDLE = 0
    BUSY = 1
    """It took a position."""
    WAIT_WEIGHTS = 2
    WAIT_INPUT = 3
    """For rows that the load DMA is still writing (the trace output says 7), or for tokens while it is at work."""
    WAIT_FOLLOW = 4
    """For rows that the output stage is still writing."""
    WAIT_ACCUMULATORS = 5
    """For a free accumulator half, that is, for the output stage."""
    OVERHEAD = 6
    WAIT_TOKENS = 7
    """For tokens, while the load DMA is idle: the trace output says 3."""


@dataclass(frozen=True)
class Event:
    """One unit at work: cycles ``start`` to ``end - 1``, counted from the mark; ``tag`` is that of its command."""

    unit: str
    tag: int
    start: int
    end: int


@dataclass
class Profile:
    """Events in order of their start, and for each (tag, state) the cycles of the array. The array's events cover
    exactly the cycles counted in ``states``."""

    events: list[Event] = field(default_factory=list)
    states: dict[tuple[int, ArrayState], int] = field(default_factory=dict)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Profile:
        """Read what a simulator wrote (see cpp/profile.h)."""
        profile = cls()
        for line in lines:
            kind, *rest = line.split()
            if kind == "event":
                profile.events.append(Event(rest[0], int(rest[1]), int(rest[2]), int(rest[3])))
            else:
                profile.states[int(rest[0]), ArrayState(int(rest[1]))] = int(rest[2])
        profile.events.sort(key=lambda event: (event.start, UNITS.index(event.unit)))
        return profile

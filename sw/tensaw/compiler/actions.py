"""Actions: the RUNs and TABLEs of a program before they are encoded, with what each of them reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from tensaw.compiler.weights import Blob
from tensaw.spec.isa import Unit

__all__ = ["EXPONENT", "LOOKUP", "SCRATCHPAD", "Action", "Rows", "Span"]

SCRATCHPAD, LOOKUP, EXPONENT = -1, -2, -3
"""Spaces of a :class:`Span` besides the memory regions 0 to 3: the scratchpad and the output stage's tables."""


@dataclass(frozen=True)
class Span:
    """Bytes ``start`` to ``end - 1`` of a space."""

    space: int
    start: int
    end: int

    def overlaps(self, other: Span) -> bool:
        return self.space == other.space and self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Rows:
    """Rows of bytes in the scratchpad: row y is ``length`` bytes from ``base + y * pitch``."""

    base: int
    pitch: int
    height: int
    length: int

    def cover(self, other: Rows) -> bool:
        """Whether row y of ``other`` touches no more than this one's pitch-wide row y, for each of its rows."""
        offset = other.base - self.base
        return (
            self.pitch == other.pitch
            and other.height <= self.height
            and 0 <= offset
            and (offset + other.length <= self.pitch or self.height == 1)
        )


@dataclass(eq=False)
class Action:
    """One action of one unit.

    ``registers``: fields by word name (without the unit's), as they must stand when it runs; ``run``: the action's own
    fields except tag, wait and signal. ``partner``: for a DRAIN the ARRAY run that feeds it. ``rows``: what an ARRAY
    run reads or an OUTPUT run writes, row by row. ``blob``: the weight rows taken. ``cycles``: how long the unit is
    busy at best.
    """

    unit: Unit
    name: str
    registers: dict[str, dict[str, int]]
    run: dict[str, int]
    tag: int
    reads: tuple[Span, ...] = ()
    writes: tuple[Span, ...] = ()
    partner: Action | None = None
    rows: Rows | None = None
    blob: Blob | None = None
    cycles: int = 0
    wait: int = 0
    signal: int = 0
    eager: bool = False
    """All of a first tile's weights are wanted before the input, not only those of its first step."""
    streams: list[tuple[int, int]] = field(default_factory=list)
    """(offset, bytes) of weight runs that must start before this action."""

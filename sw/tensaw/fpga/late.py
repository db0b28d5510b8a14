"""Paths of a placed design that are too long, while its cells move to make them shorter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tensaw.fpga.timing import Timing

__all__ = ["LatePaths", "arcs_of", "over"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Arcs = defaultdict[int, list[int]]


def over(lengths: Floats, limit: float) -> Floats:
    """What paths of these ``lengths`` cost: the squares of what they have over ``limit``, both in ps, in ns²."""
    return np.maximum(lengths - limit, 0) ** 2 / 1e6


def arcs_of(timing: Timing, part_of: Mapping[int, int]) -> tuple[Arcs, Arcs]:
    """Arcs that lead to the cells of each part, and those that come from them; ``part_of`` gives a cell's part."""
    into: Arcs = defaultdict(list)
    out: Arcs = defaultdict(list)
    for arc, (driver, cell) in enumerate(zip(timing.driver.tolist(), timing.cell.tolist(), strict=True)):
        if cell in part_of:
            into[part_of[cell]].append(arc)
        if driver in part_of:
            out[part_of[driver]].append(arc)
    return into, out


class LatePaths:
    """What paths longer than a limit cost in all, kept up to date.

    Attributes
    ----------
    limit : float
        In ps.
    arrival, remain : (nets,) and (nets + 1,) float
        See :meth:`Timing.arrivals` and :meth:`Timing.remains`.
    """

    def __init__(self, timing: Timing, limit: float) -> None:
        self._timing = timing
        self.look(limit)

    def look(self, limit: float) -> None:
        """Take another limit, and everything anew."""
        self.limit = limit
        self._take(self._timing.arrivals())

    def _take(self, arrival: Floats) -> None:
        self.arrival, self.remain = arrival, self._timing.remains()
        self._total = self._cost(arrival)

    def _cost(self, arrival: Floats) -> float:
        return float(over(self._timing.lengths(arrival), self.limit).sum())

    def through(self, arcs: Indices) -> Floats:
        """Length of the longest path over each of ``arcs``."""
        timing = self._timing
        before, after = self.arrival[timing.source[arcs]], self.remain[timing.target[arcs]]
        return before + timing.wire[arcs] + timing.fixed[arcs] + after

    def better(self, arcs: Indices, gain: float = 0.0) -> bool:
        """Whether paths cost less by more than ``gain`` now that cells at the ends of ``arcs`` have moved. If not, the
        arcs' wires are as before, and the cells must go back."""
        timing = self._timing
        wires = timing.wire[arcs]
        timing.update(arcs)
        arrival = timing.arrivals()
        if self._cost(arrival) < self._total - gain:
            self._take(arrival)
            return True
        timing.wire[arcs] = wires
        return False

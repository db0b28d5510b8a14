"""Block RAMs on late paths change places with others.

Where a memory lies far from what it works with, no move of logic helps. All ends of a block RAM are registers, so what
it would cost at another's site, and the other at its own, follows from its own wires alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tensaw.fpga.late import LatePaths, arcs_of, over
from tensaw.fpga.placed import Placed
from tensaw.fpga.timing import Timing, wire_delay

__all__ = ["exchange"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_KIND = "DP16KD"
_ROUNDS = 3
_CANDIDATES = 3
"""Exchanges that are tried for a block RAM, the best by its own wires first."""


def exchange(placed: Placed, timing: Timing, limit: float) -> int:
    """Exchange block RAMs so that fewer paths are longer than ``limit``, in ps, and these by less; returns how many."""
    exchanges = _Exchanges(placed, timing, limit)
    done = 0
    for _ in range(_ROUNDS):
        found = sum(exchanges.improve(number) for number in exchanges.late())
        done += found
        if not found:
            break
    return done


class _Exchanges:
    def __init__(self, placed: Placed, timing: Timing, limit: float) -> None:
        self._placed, self._timing, self._paths = placed, timing, LatePaths(timing, limit)
        self._cells = [cell for cell, kind in enumerate(placed.kinds) if kind == _KIND]
        into, out = arcs_of(timing, {cell: place for place, cell in enumerate(self._cells)})
        self._into, self._out = (
            [np.array(arcs[place], dtype=np.int64) for place in range(len(self._cells))] for arcs in (into, out)
        )

    def _ends(self, place: int) -> tuple[Indices, Floats]:
        """Cells at the other ends of a block RAM's wires, and the lengths of the paths without the wires."""
        timing, into, out = self._timing, self._into[place], self._out[place]
        before = self._paths.arrival[timing.source[into]] + timing.fixed[into]
        after = timing.base[timing.source[out]] + timing.fixed[out] + self._paths.remain[timing.target[out]]
        return np.concatenate([timing.driver[into], timing.cell[out]]), np.concatenate([before, after])

    def _costs(self, place: int, x: Indices, y: Indices) -> Floats:
        """What the paths of a block RAM cost if it lies at each of the tiles ``x``, ``y``."""
        ends, lengths = self._ends(place)
        across = np.abs(self._placed.x[ends][:, None] - x)
        along = np.abs(self._placed.y[ends][:, None] - y)
        return over(lengths[:, None] + wire_delay(across, along), self._paths.limit).sum(axis=0)

    def late(self) -> list[int]:
        """Block RAMs on paths over the limit, those that cost most first."""
        x, y = self._placed.x[self._cells], self._placed.y[self._cells]
        costs = [float(self._costs(place, x[[place]], y[[place]])[0]) for place in range(len(self._cells))]
        return [place for place in np.argsort(costs, kind="stable")[::-1].tolist() if costs[place] > 0]

    def improve(self, place: int) -> bool:
        """Exchange a block RAM with the one for which all gets best; returns whether there is one."""
        x, y = self._placed.x[self._cells], self._placed.y[self._cells]
        there = self._costs(place, x, y)
        gain = there[place] - there
        for other in range(len(self._cells)):
            here, away = self._costs(other, x[[other, place]], y[[other, place]])
            gain[other] += here - away
        for other in np.argsort(-gain, kind="stable")[:_CANDIDATES].tolist():
            if gain[other] > 0 and other != place and self._swap(place, other):
                return True
        return False

    def _swap(self, one: int, other: int) -> bool:
        """Exchange two, if all is better then; returns whether."""
        arcs = np.unique(np.concatenate([self._into[one], self._out[one], self._into[other], self._out[other]]))
        self._placed.swap(self._cells[one], self._cells[other])
        if self._paths.better(arcs):
            return True
        self._placed.swap(self._cells[one], self._cells[other])
        return False

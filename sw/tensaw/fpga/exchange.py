"""Block RAMs and multipliers on late paths change places with others, or go to sites that are free.

Where a memory lies far from what it works with, no move of logic helps. All ends of a block RAM are registers, so what
it would cost at another's site, and the other at its own, follows from its own wires alone; so it is for a multiplier
with registers, and nearly so for one without.

Multipliers of a block share its clocks, enables and resets: they change places with such as have the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tensaw.fpga.late import LatePaths, arcs_of, over
from tensaw.fpga.placed import Placed, tile_of
from tensaw.fpga.timing import Timing, wire_delay

__all__ = ["exchange"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_CONTROL = {
    "DP16KD": (),
    "MULT18X18D": tuple(f"{name}{number}" for name in ("CLK", "CE", "RST") for number in range(4)),
}
"""Kinds of macros, and ports whose wires are a whole block's."""
_ROUNDS = 3
_TILE = 0.002
"""Cost of a tile of wire; a path that is 1 ns over the limit costs 1. What else hangs on a macro follows it."""
_CANDIDATES = 3
"""Exchanges that are tried for a macro, the best by its own wires first."""


def exchange(placed: Placed, timing: Timing, limit: float, sites: Mapping[str, Sequence[str]] | None = None) -> int:
    """Exchange macros so that fewer paths are longer than ``limit``, in ps, and these by less; returns how many.
    ``sites`` are all that the device has for each kind."""
    done = 0
    for kind in _CONTROL:
        groups = _alike(placed, kind)
        for cells in groups:
            # Beside a free site may lie one with other wires.
            free = set((sites or {}).get(kind, ())) if len(groups) == 1 else set()
            exchanges = _Exchanges(placed, timing, limit, cells, free)
            for _ in range(_ROUNDS):
                found = sum(exchanges.improve(number) for number in exchanges.late())
                done += found
                if not found:
                    break
    return done


def _alike(placed: Placed, kind: str) -> list[list[int]]:
    """Macros of a kind, in groups that can lie in one block. If no port has different wires in two macros, they are
    one group, those without a clock among them."""
    groups: dict[tuple[int | None, ...], list[int]] = defaultdict(list)
    for cell, found in enumerate(placed.kinds):
        if found == kind:
            groups[tuple(placed.net(cell, port) for port in _CONTROL[kind])].append(cell)
    if all(len(set(wires) - {None}) <= 1 for wires in zip(*groups, strict=True)):
        return [sorted(cell for cells in groups.values() for cell in cells)]
    return list(groups.values())


class _Exchanges:
    def __init__(self, placed: Placed, timing: Timing, limit: float, cells: list[int], sites: set[str]) -> None:
        self._placed, self._timing, self._paths = placed, timing, LatePaths(timing, limit)
        self._cells = cells
        into, out = arcs_of(timing, {cell: place for place, cell in enumerate(self._cells)})
        self._into, self._out = (
            [np.array(arcs[place], dtype=np.int64) for place in range(len(self._cells))] for arcs in (into, out)
        )
        self._free = sorted(sites - {placed.site(cell) for cell in cells})

    def _tiles(self) -> tuple[Indices, Indices]:
        """Columns and rows of all macros, and of free sites."""
        free = np.array([tile_of(site) for site in self._free], dtype=np.int64).reshape(-1, 2)
        x, y = self._placed.x[self._cells], self._placed.y[self._cells]
        return np.concatenate([x, free[:, 0]]), np.concatenate([y, free[:, 1]])

    def _ends(self, place: int) -> tuple[Indices, Floats]:
        """Cells at the other ends of a macro's wires, and the lengths of the paths without the wires."""
        timing, into, out = self._timing, self._into[place], self._out[place]
        arrival, remain = self._paths.arrival, self._paths.remain
        # A multiplier without registers has its wires on the other side in the path, too: as long as they are now.
        before = arrival[timing.source[into]] + timing.fixed[into] + remain[timing.target[into]]
        after = arrival[timing.source[out]] + timing.fixed[out] + remain[timing.target[out]]
        return np.concatenate([timing.driver[into], timing.cell[out]]), np.concatenate([before, after])

    def _costs(self, place: int, x: Indices, y: Indices) -> tuple[Floats, Floats]:
        """What the late paths of a macro cost if it lies at each of the tiles ``x``, ``y``, and its wires."""
        ends, lengths = self._ends(place)
        across = np.abs(self._placed.x[ends][:, None] - x)
        along = np.abs(self._placed.y[ends][:, None] - y)
        late = over(lengths[:, None] + wire_delay(across, along), self._paths.limit).sum(axis=0)
        return late, _TILE * (across + along).sum(axis=0)

    def late(self) -> list[int]:
        """Macros on paths over the limit, those that cost most first."""
        x, y = self._placed.x[self._cells], self._placed.y[self._cells]
        costs = [float(self._costs(place, x[[place]], y[[place]])[0][0]) for place in range(len(self._cells))]
        return [place for place in np.argsort(costs, kind="stable")[::-1].tolist() if costs[place] > 0]

    def improve(self, place: int) -> bool:
        """Bring a macro to the site, another's or a free one, for which all gets best; returns whether there is
        one."""
        x, y = self._tiles()
        there = np.sum(self._costs(place, x, y), axis=0)
        gain = there[place] - there
        for other in range(len(self._cells)):
            here, away = np.sum(self._costs(other, x[[other, place]], y[[other, place]]), axis=0)
            gain[other] += here - away
        for other in np.argsort(-gain, kind="stable")[:_CANDIDATES].tolist():
            if gain[other] > 0 and other != place and self._change(place, other):
                return True
        return False

    def _change(self, one: int, other: int) -> bool:
        """Exchange two, or bring one to a free site, if paths are better then; returns whether."""
        placed, taken = self._placed, len(self._cells)
        parts = [one] if other >= taken else [one, other]
        arcs = np.unique(np.concatenate([arcs for part in parts for arcs in (self._into[part], self._out[part])]))
        home = placed.site(self._cells[one])
        away = self._free[other - taken] if other >= taken else placed.site(self._cells[other])
        ways = [(one, away), *((part, home) for part in parts[1:])]
        for part, site in ways:
            placed.move(self._cells[part], site)
        if self._paths.better(arcs):
            if other >= taken:
                self._free[other - taken] = home
            return True
        for part, site in zip(parts, (home, away), strict=False):
            placed.move(self._cells[part], site)
        return False

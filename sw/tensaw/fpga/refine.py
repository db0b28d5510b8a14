"""Placement once more, after nextpnr's: shorter wires, and paths that are too long made shorter.

Nextpnr places all cells by the lengths of all wires, those of long paths counting more, and moves them by at most three
tiles afterwards; single cells stay far from where their paths would have them. Here wires are shortened wherever there
is room (:mod:`tensaw.fpga.shorten`). Then block RAMs on the longest paths change places among themselves
(:mod:`tensaw.fpga.exchange`), and clusters of logic, alone or with their neighbours on the path, go where their wires
cost least by the estimate that nextpnr makes; what is in their way gives place. A move is kept only if the sum over all
ends of paths, squared times over a limit, falls; the limit falls in steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tensaw.fpga.exchange import exchange
from tensaw.fpga.placed import Placed
from tensaw.fpga.shorten import Shortened, shorten
from tensaw.fpga.tiles import Cluster, Site, Tiles
from tensaw.fpga.timing import Timing, wire_delay

__all__ = ["Refined", "refine"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_LIMITS = (0.95, 0.9, 0.85, 0.8)
"""Shares of the clock's period that paths may take; wires get longer when they are routed."""
_ROUNDS = 40
_FEW = 3
"""Moves in a round after which no further is tried."""
_DISTANCE = 0.0005
"""Cost of a tile of wire; a path that is 1 ns over the limit costs 1."""
_SITES = 300
"""Tiles that are looked at for a cluster."""
_GAIN = 1e-3
"""Least cost that a move must save."""
_SMALL = 3
"""Clusters of more cells do not give place."""
_GATHERED, _BESIDE = 12, 640.0
"""Cells that are moved side by side at most, and the delay in ps of the wires between them then."""
_CROWDED = 1.3
"""A tile where others must go is taken if it saves so much more than the best that is free."""

_AIM = 1.03
"""Routing aims at so much more than the clock, since late wires are only sought better ways for until all paths fit."""


@dataclass(frozen=True)
class Refined:
    """What was done about wires; longest path in ps, before and after, block RAMs exchanged and clusters moved for it;
    and the frequency in Hz to be routed for."""

    wires: Shortened
    before: float
    after: float
    exchanged: int
    moves: int
    aim: float


def refine(
    source: Path, target: Path, clock: float, detour: float, progress: Callable[[int, int], None] | None = None
) -> Refined:
    """Write the placed design ``source`` (nextpnr's JSON) to ``target`` with cells moved so that paths fit the period
    of ``clock``, in Hz. Routing shall not aim at less than the longest path as placed, times ``detour``: it would seek
    better ways for hundreds of rounds and find none.

    Nothing else changes but the sites of LUTs, flip-flops and block RAMs, and the settings of nextpnr that
    :meth:`Placed.write` names. ``progress`` gets the steps done and their number. Raises ToolError if ``source`` is no
    placed design.
    """
    placed = Placed(source)
    timing = Timing(placed)
    before = float(timing.lengths(timing.arrivals()).max(initial=1))
    tiles = Tiles(placed)
    wires = shorten(placed, tiles)
    timing.update(np.arange(len(timing.wire)))
    mover = _Mover(placed, timing, tiles)
    exchanged = 0
    for step, share in enumerate(_LIMITS):
        exchanged += exchange(placed, timing, share * 1e12 / clock)
        mover.improve(share * 1e12 / clock)
        if progress is not None:
            progress(step + 1, len(_LIMITS))
    after = float(timing.lengths(timing.arrivals()).max(initial=1))
    aim = min(_AIM * clock, 1e12 / (detour * after))
    placed.write(target)
    return Refined(wires, before, after, exchanged, mover.moves, aim)


class _Mover:
    def __init__(self, placed: Placed, timing: Timing, tiles: Tiles) -> None:
        self._placed, self._timing, self._tiles = placed, timing, tiles
        self._x, self._y = np.array(self._tiles.tiles, dtype=np.int64).reshape(-1, 2).T
        self._into: dict[int, list[int]] = defaultdict(list)
        self._out: dict[int, list[int]] = defaultdict(list)
        cluster_of = self._tiles.cluster_of
        for arc, (driver, cell) in enumerate(zip(timing.driver.tolist(), timing.cell.tolist(), strict=True)):
            if cell in cluster_of:
                self._into[cluster_of[cell]].append(arc)
            if driver in cluster_of:
                self._out[cluster_of[driver]].append(arc)
        self._limit = 0.0
        self.moves = 0
        self._look()

    def _look(self) -> None:
        timing = self._timing
        self._arrival, self._remain = timing.arrivals(), timing.remains()
        self._total = self._cost(timing.lengths(self._arrival))

    def _cost(self, lengths: Floats) -> float:
        return float((np.maximum(lengths - self._limit, 0) ** 2).sum()) / 1e6

    def improve(self, limit: float) -> None:
        """Move what lies on paths longer than ``limit``, in ps."""
        self._limit = limit
        idle: dict[int, int] = {}  # clusters that had no better place, and the length of their path then
        for _ in range(_ROUNDS):
            self._look()
            before = self.moves
            for cluster, length in self._critical():
                if idle.get(cluster) != length and not self._move(cluster) and not self._gather(cluster):
                    idle[cluster] = length
            if self.moves - before < _FEW:
                break

    def _critical(self) -> list[tuple[int, int]]:
        """Clusters on long paths and the lengths of these in ps, the longest first."""
        timing = self._timing
        length = self._through(np.arange(len(timing.source)))
        found: dict[int, float] = {}
        for arc in np.flatnonzero(length > self._limit).tolist():
            for cell in (int(timing.cell[arc]), int(timing.driver[arc])):
                cluster = self._tiles.cluster_of.get(cell)
                if cluster is not None:
                    found[cluster] = max(found.get(cluster, 0.0), float(length[arc]))
        return sorted(((cluster, round(length)) for cluster, length in found.items()), key=lambda item: -item[1])

    def _move(self, number: int) -> bool:
        """Move a cluster to the best place there is, others out of its way. Returns whether all got better."""
        tiles, home = self._tiles, self._tiles.where(number)
        costs = self._costs((number,))
        here = float(costs[(self._x == home[0]) & (self._y == home[1])][0])
        better = np.flatnonzero(costs < here - _GAIN)
        better = better[np.argsort(costs[better], kind="stable")][:_SITES]
        tiles.lift(number)
        site, others = self._choose(number, costs, here, better)
        if site is None:
            tiles.put(number, home)
            return False
        places = [(number, home), *((other, tiles.where(other)) for other in others)]
        for other in others:
            tiles.lift(other)
        tiles.put(number, site)
        moved = [number]
        for other in others:
            order = np.argsort(self._costs((other,)), kind="stable")[:_SITES].tolist()
            found = next(filter(None, (tiles.free(other, tiles.tiles[tile]) for tile in order)), None)
            if found is None:
                break
            tiles.put(other, found)
            moved.append(other)
        return self._keep(places, moved)

    def _keep(self, places: list[tuple[int, Site]], moved: list[int]) -> bool:
        """Whether all is better with clusters moved away from their ``places``; else they go back. All of them are
        lifted, and those of ``moved`` put elsewhere."""
        tiles, timing = self._tiles, self._timing
        arcs = np.array(sorted({arc for other, _ in places for arc in self._into[other] + self._out[other]}))
        wires = timing.wire[arcs]
        if len(moved) == len(places):
            timing.update(arcs)
            arrival = timing.arrivals()
            total = self._cost(timing.lengths(arrival))
            if total < self._total - _GAIN / 10:
                self._arrival, self._remain, self._total = arrival, timing.remains(), total
                self.moves += len(moved)
                return True
            timing.wire[arcs] = wires
        for other in moved:
            tiles.lift(other)
        for other, old in places:
            tiles.put(other, old)
        return False

    def _gather(self, number: int) -> bool:
        """Move a cluster together with those before and behind it on its longest path, side by side: each alone may
        only bring its wire to one side at the cost of that to the other. Returns whether all got better."""
        tiles = self._tiles
        path = self._path(number)
        here = path.index(number)
        for group in (path[here : here + 2], path[max(here - 1, 0) : here + 1], path[max(here - 1, 0) : here + 2],
                      path[here : here + 3], path):  # fmt: skip
            if len(group) < 2 or sum(len(tiles.clusters[other]) for other in group) > _GATHERED:
                continue
            costs = self._costs(tuple(group))
            best = int(np.argmin(costs))
            away = wire_delay(np.abs(self._x - self._x[best]), np.abs(self._y - self._y[best]))
            order = np.argsort(away, kind="stable")[:_SITES].tolist()
            places = [(other, tiles.where(other)) for other in group]
            for other in group:
                tiles.lift(other)
            moved = []
            for other in group:
                found = next(filter(None, (tiles.free(other, tiles.tiles[tile]) for tile in order)), None)
                if found is None:
                    break
                tiles.put(other, found)
                moved.append(other)
            if self._keep(places, moved):
                return True
        return False

    def _path(self, number: int) -> list[int]:
        """Clusters on the longest path through one, as far as they can move, from register to register."""
        timing, cluster_of = self._timing, self._tiles.cluster_of
        path = [number]
        while arcs := self._into[path[0]]:
            arc = self._longest(arcs if path[0] == number else [arc for arc in arcs if timing.target[arc] >= 0])
            before = cluster_of.get(int(timing.driver[arc])) if arc is not None else None
            if arc is None or before is None or before in path:
                break
            path.insert(0, before)
            if timing.base[timing.source[arc]] > 0:
                break
        while arcs := self._out[path[-1]]:
            arc = self._longest(arcs)
            after = cluster_of.get(int(timing.cell[arc])) if arc is not None else None
            if arc is None or after is None or after in path:
                break
            path.append(after)
            if timing.target[arc] < 0:
                break
        return path

    def _longest(self, arcs: list[int]) -> int | None:
        """That of ``arcs`` on the longest path, if this is over the limit."""
        if not arcs:
            return None
        lengths = self._through(np.array(arcs))
        return arcs[int(np.argmax(lengths))] if lengths.max() > self._limit else None

    def _through(self, arcs: Indices) -> Floats:
        """Length of the longest path over each of ``arcs``."""
        timing = self._timing
        return (
            self._arrival[timing.source[arcs]]
            + timing.wire[arcs]
            + timing.fixed[arcs]
            + self._remain[timing.target[arcs]]
        )

    def _choose(self, number: int, costs: Floats, here: float, better: Indices) -> tuple[Site | None, list[int]]:
        """Best site that is free for a cluster, or one that clears if that is much better, and what must go there."""
        tiles = self._tiles
        cluster: Cluster = tiles.clusters[number]
        chosen, least = None, here
        for tile in better.tolist():
            chosen = tiles.free(number, tiles.tiles[tile])
            if chosen is not None:
                least = float(costs[tile])
                break
        for tile in better[: 12 if len(cluster) <= _SMALL else 100].tolist():
            if chosen is not None and here - costs[tile] < (here - least) * _CROWDED:
                break
            found = []
            for shift in cluster.shifts:
                site = (*tiles.tiles[tile], shift)
                others = tiles.cleared(number, site, 2 * len(cluster), _SMALL)
                if others is not None:
                    found.append((len(others), site, others))
            if found:
                _, site, others = min(found)
                return site, others
        return chosen, []

    def _costs(self, numbers: tuple[int, ...]) -> Floats:
        """What clusters would cost in each of the tiles, side by side: their paths over the limit, and their wires."""
        timing, placed = self._timing, self._placed
        columns = {cell: across for number in numbers for cell, _, across, _ in self._tiles.clusters[number].cells}
        cluster_of = self._tiles.cluster_of
        all_into = sorted({arc for number in numbers for arc in self._into[number]})
        all_out = sorted({arc for number in numbers for arc in self._out[number]})
        inner = [arc for arc in all_into if int(timing.driver[arc]) in columns]
        into = [arc for arc in all_into if int(timing.driver[arc]) not in columns]
        out = [arc for arc in all_out if int(timing.cell[arc]) not in columns]
        within = {
            arc: float(timing.wire[arc])
            if cluster_of[int(timing.driver[arc])] == cluster_of[int(timing.cell[arc])]
            else min(_BESIDE, float(timing.wire[arc]))
            for arc in inner
        }
        nets = {int(timing.source[arc]) for arc in all_out}
        arrival = {net: np.full(len(self._x), timing.base[net]) for net in nets}
        remain = {net: np.full(len(self._x), -np.inf) for net in nets}
        cost = np.zeros(len(self._x))

        def wire(own: int, other: int) -> Floats:
            across = self._x + columns[own] - placed.x[other]
            return wire_delay(np.abs(across), np.abs(self._y - placed.y[other]))

        def after(target: int) -> Floats | float:
            return remain[target] if target in remain else float(self._remain[target])

        arriving = []
        wires: dict[tuple[int, int], Floats] = {}
        for arc in into:
            source, target, cell = int(timing.source[arc]), int(timing.target[arc]), int(timing.cell[arc])
            key = (source, columns[cell])
            if key not in wires:
                wires[key] = wire(cell, int(timing.driver[arc]))
                cost += _DISTANCE / 80 * wires[key]
            length = self._arrival[source] + wires[key] + timing.fixed[arc]
            arriving.append((length, target))
            if target in arrival:
                arrival[target] = np.maximum(arrival[target], length)
        inner.sort(key=lambda arc: int(timing.level[timing.source[arc]]))
        for arc in inner:
            source, target = int(timing.source[arc]), int(timing.target[arc])
            if target in arrival:
                length = arrival[source] + within[arc] + timing.fixed[arc]
                arrival[target] = np.maximum(arrival[target], length)
        fans = defaultdict(int)
        for arc in out:
            fans[int(timing.source[arc])] += 1
        for arc in out:
            source = int(timing.source[arc])
            length = wire(int(timing.driver[arc]), int(timing.cell[arc]))
            cost += _DISTANCE / 80 / max(1, fans[source] / 3) * length
            length += timing.fixed[arc] + self._remain[timing.target[arc]]
            remain[source] = np.maximum(remain[source], length)
            cost += self._over(arrival[source] + length)
        for arc in reversed(inner):
            source, target = int(timing.source[arc]), int(timing.target[arc])
            remain[source] = np.maximum(remain[source], within[arc] + timing.fixed[arc] + after(target))
        for length, target in arriving:
            cost += self._over(length + after(target))
        return cost

    def _over(self, length: Floats) -> Floats:
        return np.maximum(length - self._limit, 0) ** 2 / 1e6

"""Clusters of logic on late paths move to where these are shorter, by the estimate that nextpnr makes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from tensaw.fpga.late import LatePaths, arcs_of, over
from tensaw.fpga.placed import Placed
from tensaw.fpga.tiles import Cluster, Site, Tiles
from tensaw.fpga.timing import Timing, wire_delay

__all__ = ["Moves"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

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
_GATHERED, _BESIDE = 24, 640.0
"""Cells that are moved side by side at most, and the delay in ps of the wires between them then."""
_NEAR, _NEARLY_LATE = 960.0, 0.8
"""What drives a group over wires of so many ps at most, on paths over this share of the limit, is moved with it."""
_CROWDED = 1.3
"""A tile where others must go is taken if it saves so much more than the best that is free."""


class Moves:
    """Moves of clusters of a placed design; ``done``: how many there were."""

    def __init__(self, placed: Placed, timing: Timing, tiles: Tiles) -> None:
        self._placed, self._timing, self._tiles = placed, timing, tiles
        self._x, self._y = np.array(self._tiles.tiles, dtype=np.int64).reshape(-1, 2).T
        self._into, self._out = arcs_of(timing, tiles.cluster_of)
        self._paths = LatePaths(timing, 0.0)
        self.done = 0

    def improve(self, limit: float) -> None:
        """Move what lies on paths longer than ``limit``, in ps."""
        idle: dict[int, int] = {}  # clusters that had no better place, and the length of their path then
        for _ in range(_ROUNDS):
            self._paths.look(limit)
            before = self.done
            for cluster, length in self._critical():
                if idle.get(cluster) != length and not self._move(cluster) and not self._gather(cluster):
                    idle[cluster] = length
            if self.done - before < _FEW:
                break

    def _critical(self) -> list[tuple[int, int]]:
        """Clusters on long paths and the lengths of these in ps, the longest first."""
        timing = self._timing
        length = self._paths.through(np.arange(len(timing.source)))
        found: dict[int, float] = {}
        for arc in np.flatnonzero(length > self._paths.limit).tolist():
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
        tiles = self._tiles
        arcs = np.array(sorted({arc for other, _ in places for arc in self._into[other] + self._out[other]}))
        if len(moved) == len(places) and self._paths.better(arcs, _GAIN / 10):
            self.done += len(moved)
            return True
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
        windows = [(first, last) for first in range(here + 1) for last in range(max(here, first + 1), len(path))]
        windows.sort(key=lambda window: (window[1] - window[0], window))
        groups = [path[first : last + 1] for first, last in windows]
        for group in groups + [wider for group in groups if (wider := self._with_beside(group)) != group]:
            if sum(len(tiles.clusters[other]) for other in group) > _GATHERED:
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

    def _with_beside(self, group: list[int]) -> list[int]:
        """A group and what lies beside it and would make another path late if left behind."""
        timing = self._timing
        arcs = np.array([arc for number in group for arc in self._into[number]], dtype=np.int64)
        late = self._paths.through(arcs) > _NEARLY_LATE * self._paths.limit
        near = late & (timing.wire[arcs] <= _NEAR)
        drivers = (self._tiles.cluster_of.get(cell) for cell in timing.driver[arcs[near]].tolist())
        return [*group, *sorted({number for number in drivers if number is not None} - set(group))]

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
        lengths = self._paths.through(np.array(arcs))
        return arcs[int(np.argmax(lengths))] if lengths.max() > self._paths.limit else None

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
            return remain[target] if target in remain else float(self._paths.remain[target])

        arriving = []
        wires: dict[tuple[int, int], Floats] = {}
        for arc in into:
            source, target, cell = int(timing.source[arc]), int(timing.target[arc]), int(timing.cell[arc])
            key = (source, columns[cell])
            if key not in wires:
                wires[key] = wire(cell, int(timing.driver[arc]))
                cost += _DISTANCE / 80 * wires[key]
            length = self._paths.arrival[source] + wires[key] + timing.fixed[arc]
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
            length += timing.fixed[arc] + self._paths.remain[timing.target[arc]]
            remain[source] = np.maximum(remain[source], length)
            cost += over(arrival[source] + length, self._paths.limit)
        for arc in reversed(inner):
            source, target = int(timing.source[arc]), int(timing.target[arc])
            remain[source] = np.maximum(remain[source], within[arc] + timing.fixed[arc] + after(target))
        for length, target in arriving:
            cost += over(length + after(target), self._paths.limit)
        return cost

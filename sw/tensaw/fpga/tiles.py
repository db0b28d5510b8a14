"""Which cells of an ECP5 lie where, what must move together, and what a tile takes.

Eight lanes of a LUT and a flip-flop each are in a tile, two lanes in a slice. Flip-flops of a slice share their enable,
those of a tile their clock and reset. A carry, a wide function and a flip-flop fed by its own LUT lie beside each other
in a way that wires cannot stand in for: such cells form a cluster.

Source: the rules are those of nextpnr's ``Arch::slices_compatible`` for ECP5 (ISC licence, retold), with two more:
nothing moves into a tile that holds distributed RAM, and no cluster has cells in several rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tensaw.fpga.placed import COMB, FF, LANES, Placed

__all__ = ["Cluster", "Site", "Tiles"]

Tile = tuple[int, int]
Site = tuple[int, int, int]
"""Where a cluster is: tile of its first cells, and how many lanes above its first place."""
_HARD = -1
_MEMORY = ("TRELLIS_RAMW", "DPRAM")


@dataclass(frozen=True)
class Cluster:
    """Cells that move together.

    Attributes
    ----------
    cells : tuple of (cell, 0 for a LUT or 1 for a flip-flop, columns right of the first, lane in the first place)
    shifts : tuple of int
        By how many lanes it may move within a tile.
    """

    cells: tuple[tuple[int, int, int, int], ...]
    shifts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.cells)


class Tiles:
    """The lanes of all tiles of logic, as far as the device is used: from the least to the greatest column, in each row
    that holds something.

    Attributes
    ----------
    clusters : list of Cluster
        All that can move.
    cluster_of : cell → int
        Its cluster's number.
    tiles : list of (column, row)
        Where clusters can go.
    """

    def __init__(self, placed: Placed) -> None:
        self._placed = placed
        self._lanes: dict[Tile, tuple[list[int], list[int]]] = {}
        self._wide: set[int] = set()
        self._carry: set[int] = set()
        self._by_pin: set[int] = set()
        self._enable: dict[int, tuple] = {}
        self._control: dict[int, tuple] = {}
        memory: set[Tile] = set()
        net, parameter = placed.net, placed.parameter
        for cell, kind in enumerate(placed.kinds):
            if kind not in (COMB, FF, *_MEMORY):
                continue
            tile = (int(placed.x[cell]), int(placed.y[cell]))
            lanes = self._lanes.setdefault(tile, ([-1] * LANES, [-1] * LANES))
            mode = parameter(cell, "MODE")
            if kind in _MEMORY or mode in _MEMORY:
                memory.add(tile)
            if kind == COMB:
                lanes[0][placed.lane[cell]] = cell
                if mode == "CCU2":
                    self._carry.add(cell)
                if any(net(cell, port) is not None for port in ("M", "OFX", "FXA", "FXB")):
                    self._wide.add(cell)
            elif kind == FF:
                lanes[1][placed.lane[cell]] = cell
                if net(cell, "M") is not None:
                    self._by_pin.add(cell)
                self._enable[cell] = (net(cell, "CE"), parameter(cell, "CEMUX"), parameter(cell, "GSR"))
                self._control[cell] = (
                    net(cell, "CLK"), net(cell, "LSR"),
                    *(parameter(cell, name) for name in ("CLKMUX", "LSRMUX", "SRMODE")),
                )  # fmt: skip
        self._memory = memory
        columns, rows = {column for column, _ in self._lanes}, {row for _, row in self._lanes}
        for column in range(min(columns, default=0), max(columns, default=-1) + 1):
            for row in rows:
                self._lanes.setdefault((column, row), ([-1] * LANES, [-1] * LANES))
        self.tiles = sorted(tile for tile in self._lanes if tile not in memory)
        self.clusters = [self._cluster(cells) for cells in self._together()]
        self.cluster_of = {cell: number for number, cluster in enumerate(self.clusters) for cell, *_ in cluster.cells}

    def _together(self) -> Iterator[list[int]]:
        """Cells of each cluster, from left to right."""
        placed = self._placed
        logic = {cell for lanes in self._lanes.values() for kind in lanes for cell in kind if cell >= 0}
        logic |= {cell for cell, kind in enumerate(placed.kinds) if kind in _MEMORY}
        parent = {cell: cell for cell in logic}

        def root(cell: int) -> int:
            while parent[cell] != cell:
                parent[cell] = cell = parent[parent[cell]]
            return cell

        for net, (cell, _) in placed.driver.items():
            for other, pin in placed.sinks.get(net, ()):
                written = placed.kinds[cell] in _MEMORY
                if cell in logic and other in logic and (written or pin in ("FCI", "FXA", "FXB", "F1", "DI")):
                    parent[root(cell)] = root(other)
        for cell in self._carry:
            other = self._lanes[int(placed.x[cell]), int(placed.y[cell])][0][placed.lane[cell] ^ 1]
            if other in self._carry:
                parent[root(cell)] = root(other)
        groups: dict[int, list[int]] = defaultdict(list)
        for cell in sorted(logic):
            groups[root(cell)].append(cell)
        for cells in groups.values():
            tiles = {(int(placed.x[cell]), int(placed.y[cell])) for cell in cells}
            if len({row for _, row in tiles}) == 1 and not tiles & self._memory:
                yield sorted(cells, key=lambda cell: (placed.x[cell], placed.lane[cell]))

    def _cluster(self, cells: list[int]) -> Cluster:
        placed = self._placed
        first = int(placed.x[cells[0]])
        members = tuple(
            (cell, int(placed.kinds[cell] == FF), int(placed.x[cell]) - first, int(placed.lane[cell])) for cell in cells
        )
        luts = [cell for cell, kind, _, _ in members if kind == 0]
        if members[-1][2]:
            shifts: tuple[int, ...] = (0,)
        elif len(luts) <= 1 and not self._wide.union(self._carry).intersection(luts):
            shifts = tuple(range(1 - LANES, LANES))
        elif any(placed.net(cell, "FXA") is not None for cell in luts):
            shifts = (-4, 0, 4)
        else:
            shifts = (-6, -4, -2, 0, 2, 4, 6)
        lanes = [lane for *_, lane in members]
        return Cluster(
            members, tuple(shift for shift in shifts if min(lanes) + shift >= 0 > max(lanes) + shift - LANES)
        )

    def where(self, number: int) -> Site:
        """Site of a cluster."""
        cell, _, across, lane = self.clusters[number].cells[0]
        placed = self._placed
        return int(placed.x[cell]) - across, int(placed.y[cell]), int(placed.lane[cell]) - lane

    def lift(self, number: int) -> None:
        """Take a cluster off its tiles."""
        placed = self._placed
        for cell, kind, _, _ in self.clusters[number].cells:
            self._lanes[int(placed.x[cell]), int(placed.y[cell])][kind][placed.lane[cell]] = -1

    def put(self, number: int, site: Site) -> None:
        """Put a cluster, which is lifted, at a site that is free for it."""
        placed, (x, y, shift) = self._placed, site
        for cell, kind, across, lane in self.clusters[number].cells:
            placed.x[cell], placed.y[cell], placed.lane[cell] = x + across, y, lane + shift
            self._lanes[x + across, y][kind][lane + shift] = cell

    def free(self, number: int, tile: Tile) -> Site | None:
        """A site in a tile that is free for a cluster, which is lifted."""
        for shift in self.clusters[number].shifts:
            if self._obstacle(number, (*tile, shift)) is None:
                return (*tile, shift)
        return None

    def cleared(self, number: int, site: Site, most: int, largest: int) -> list[int] | None:
        """Clusters that must leave a site for another, which is lifted: at most ``most``, each of at most ``largest``
        cells. None if that does not do."""
        gone: list[int] = []
        found: list[int] | None = None
        while True:
            obstacle = self._obstacle(number, site)
            if obstacle is None:
                found = gone
            elif obstacle != _HARD and len(gone) < most and len(self.clusters[obstacle]) <= largest:
                self.lift(obstacle)
                gone.append(obstacle)
                continue
            break
        for other in gone:
            self.put(other, self.where(other))
        return found

    def _obstacle(self, number: int, site: Site) -> int | None:
        """A cluster that keeps another from a site, or _HARD; None if it is free."""
        x, y, shift = site
        taken = []
        obstacle = None
        for cell, kind, across, lane in self.clusters[number].cells:
            lanes = self._lanes.get((x + across, y))
            if lanes is None or (x + across, y) in self._memory:
                obstacle = _HARD
                break
            other = self._clash(lanes, cell, kind, lane + shift)
            if other is not None:
                obstacle = self.cluster_of.get(other, _HARD)
                break
            lanes[kind][lane + shift] = cell
            taken.append((lanes[kind], lane + shift))
        for places, lane in taken:
            places[lane] = -1
        return obstacle

    def _clash(self, lanes: tuple[list[int], list[int]], cell: int, kind: int, lane: int) -> int | None:
        """A cell beside which another cannot lie in a tile."""
        luts, registers = lanes
        if lanes[kind][lane] >= 0:
            return lanes[kind][lane]
        if kind == 0:
            other = luts[lane ^ 1]
            if other >= 0 and (other in self._carry) != (cell in self._carry):
                return other
            if cell in self._wide and registers[lane] in self._by_pin:
                return registers[lane]
            return None
        if cell in self._by_pin and luts[lane] in self._wide:
            return luts[lane]
        other = registers[lane ^ 1]
        if other >= 0 and self._enable[other] != self._enable[cell]:
            return other
        return next((other for other in registers if other >= 0 and self._control[other] != self._control[cell]), None)

    def legal(self) -> bool:
        """Whether all cells lie where rules allow them."""
        for lanes in self._lanes.values():
            for kind, cells in enumerate(lanes):
                for lane, cell in enumerate(cells):
                    if cell >= 0:
                        cells[lane] = -1
                        clash = self._clash(lanes, cell, kind, lane)
                        cells[lane] = cell
                        if clash is not None:
                            return False
        return True

"""Lengths of the wires of a placed design: half the perimeters of nets' bounding boxes."""

from __future__ import annotations

from collections import defaultdict

from tensaw.fpga.placed import Placed
from tensaw.fpga.tiles import Tiles

__all__ = ["Box", "Wires", "cost"]

_MOST_PINS = 150
"""Nets of more cells are left aside: one cell hardly changes their bounding box."""

Box = tuple[int, int, int, int, int, int]
"""Least and greatest column and row of a net's other cells, and columns of a cluster's own cells on it."""


class Wires:
    """Nets, and where their cells are, which :meth:`put` keeps up to date."""

    def __init__(self, placed: Placed, tiles: Tiles) -> None:
        self._tiles = tiles
        # Lists: single numbers of arrays are slow to read.
        self._x, self._y = placed.x.tolist(), placed.y.tolist()
        self._cells: list[list[int]] = []
        self._nets: dict[int, list[int]] = defaultdict(list)
        for net, (driver, _) in placed.driver.items():
            cells = sorted({driver, *(cell for cell, _ in placed.sinks.get(net, ()))})
            if placed.kinds[driver] not in ("DCCA", "EHXPLLL") and 2 <= len(cells) <= _MOST_PINS:
                for cell in cells:
                    self._nets[cell].append(len(self._cells))
                self._cells.append(cells)

    def length(self) -> int:
        """Of all nets, in tiles."""
        total = 0
        for cells in self._cells:
            columns, rows = [self._x[cell] for cell in cells], [self._y[cell] for cell in cells]
            total += max(columns) - min(columns) + max(rows) - min(rows)
        return total

    def put(self, number: int, column: int, row: int) -> None:
        """A cluster has moved."""
        for cell, _, across, _ in self._tiles.clusters[number].cells:
            self._x[cell], self._y[cell] = column + across, row

    def boxes(self, number: int) -> list[Box]:
        """Of a cluster's nets."""
        own = {cell: across for cell, _, across, _ in self._tiles.clusters[number].cells}
        boxes = []
        for net in sorted({net for cell in own for net in self._nets[cell]}):
            others = [cell for cell in self._cells[net] if cell not in own]
            if others:
                columns, rows = [self._x[cell] for cell in others], [self._y[cell] for cell in others]
                mine = [own[cell] for cell in self._cells[net] if cell in own]
                boxes.append((min(columns), max(columns), min(rows), max(rows), min(mine), max(mine)))
        return boxes


def cost(boxes: list[Box], x: int, y: int) -> int:
    """Length of nets with a cluster at a tile."""
    return sum(
        max(right, x + last) - min(left, x + first) + max(high, y) - min(low, y)
        for left, right, low, high, first, last in boxes
    )

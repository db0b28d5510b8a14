"""Shorter wires after nextpnr's placement: clusters go to where their nets' bounding boxes are smallest.

For each cluster the medians of its nets' borders say where its wires are shortest; it goes to the nearest place to that
which is free and better than its own. Nextpnr looks only three tiles around.

Source: the optimal region of "global swap" in M. Pan, N. Viswanathan, C. Chu, "An efficient and effective detailed
placement algorithm", ICCAD 2005; here only free places are taken.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from tensaw.fpga.placed import Placed
from tensaw.fpga.tiles import Site, Tiles

__all__ = ["Shortened", "shorten"]

_ROUNDS = 4
_MOST_PINS = 150
"""Nets of more cells are left aside: one cell hardly changes their bounding box."""
_AROUND = 12
"""Tiles from the best place that are looked at."""
_TRIES = 40
"""Places no better than a cluster's own after which it stays."""
_FEW = 200
"""Moves in a round after which no further is tried."""


@dataclass(frozen=True)
class Shortened:
    """Half the perimeters of all nets' bounding boxes, in tiles, before and after, and clusters that moved."""

    before: int
    after: int
    moves: int


def shorten(placed: Placed, tiles: Tiles, seed: int = 0) -> Shortened:
    """Move clusters of ``tiles``, those of ``placed``, to where their wires are shorter, in an order drawn with
    ``seed``. Nothing else changes."""
    wires = _Wires(placed, tiles)
    before, moves = wires.length(), 0
    random = np.random.default_rng(seed)
    for _ in range(_ROUNDS):
        moved = sum(wires.move(int(number)) for number in random.permutation(len(tiles.clusters)))
        moves += moved
        if moved < _FEW:
            break
    return Shortened(before, wires.length(), moves)


Box = tuple[int, int, int, int, int, int]
"""Least and greatest column and row of a net's other cells, and columns of a cluster's own cells on it."""


class _Wires:
    def __init__(self, placed: Placed, tiles: Tiles) -> None:
        self._tiles = tiles
        self._free = set(tiles.tiles)
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
        self._steps = sorted(
            ((x, y) for x in range(-_AROUND, _AROUND + 1) for y in range(-_AROUND, _AROUND + 1)
             if abs(x) + abs(y) <= _AROUND),
            key=lambda step: (abs(step[0]) + abs(step[1]), step),
        )  # fmt: skip

    def length(self) -> int:
        total = 0
        for cells in self._cells:
            columns, rows = [self._x[cell] for cell in cells], [self._y[cell] for cell in cells]
            total += max(columns) - min(columns) + max(rows) - min(rows)
        return total

    def _boxes(self, number: int) -> list[Box]:
        own = {cell: across for cell, _, across, _ in self._tiles.clusters[number].cells}
        boxes = []
        for net in sorted({net for cell in own for net in self._nets[cell]}):
            others = [cell for cell in self._cells[net] if cell not in own]
            if others:
                columns, rows = [self._x[cell] for cell in others], [self._y[cell] for cell in others]
                mine = [own[cell] for cell in self._cells[net] if cell in own]
                boxes.append((min(columns), max(columns), min(rows), max(rows), min(mine), max(mine)))
        return boxes

    def move(self, number: int) -> bool:
        """Move a cluster if that makes its wires shorter; returns whether."""
        tiles, boxes = self._tiles, self._boxes(number)
        home = tiles.where(number)
        if not boxes:
            return False
        columns = sorted(bound for box in boxes for bound in (box[0] - box[4], box[1] - box[4]))
        rows = sorted(bound for box in boxes for bound in box[2:4])
        middle = len(boxes)
        best = (
            min(max(home[0], columns[middle - 1]), columns[middle]),
            min(max(home[1], rows[middle - 1]), rows[middle]),
        )
        here = _cost(boxes, *home[:2])
        if _cost(boxes, *best) >= here:
            return False
        tiles.lift(number)
        site = self._site(number, boxes, here, best)
        tiles.put(number, site or home)
        if site is not None:
            for cell, _, across, _ in tiles.clusters[number].cells:
                self._x[cell], self._y[cell] = site[0] + across, site[1]
        return site is not None

    def _site(self, number: int, boxes: list[Box], here: int, best: tuple[int, int]) -> Site | None:
        """The free site nearest to the ``best`` tile that costs less than ``here``."""
        tries = 0
        for x, y in self._steps:
            tile = (best[0] + x, best[1] + y)
            if tile not in self._free:
                continue
            if _cost(boxes, *tile) < here:
                site = self._tiles.free(number, tile)
                if site is not None:
                    return site
            else:
                tries += 1
                if tries == _TRIES:
                    break
        return None


def _cost(boxes: list[Box], x: int, y: int) -> int:
    """Length of nets with a cluster at a tile."""
    return sum(
        max(right, x + last) - min(left, x + first) + max(high, y) - min(low, y)
        for left, right, low, high, first, last in boxes
    )

"""Shorter wires after nextpnr's placement: clusters go to where their nets' bounding boxes are smallest.

For each cluster the medians of its nets' borders say where its wires are shortest; it goes to the nearest place to that
which is free and better than its own. Nextpnr looks only three tiles around.

Source: the optimal region of "global swap" in M. Pan, N. Viswanathan, C. Chu, "An efficient and effective detailed
placement algorithm", ICCAD 2005; here only free places are taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tensaw.fpga.placed import Placed
from tensaw.fpga.tiles import Site, Tiles
from tensaw.fpga.wires import Box, Wires, cost

__all__ = ["Shortened", "shorten"]

_ROUNDS = 4
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
    shorter = _Shorter(placed, tiles)
    before, moves = shorter.wires.length(), 0
    random = np.random.default_rng(seed)
    for _ in range(_ROUNDS):
        moved = sum(shorter.move(int(number)) for number in random.permutation(len(tiles.clusters)))
        moves += moved
        if moved < _FEW:
            break
    return Shortened(before, shorter.wires.length(), moves)


class _Shorter:
    def __init__(self, placed: Placed, tiles: Tiles) -> None:
        self._tiles, self.wires = tiles, Wires(placed, tiles)
        self._free = set(tiles.tiles)
        self._steps = sorted(
            ((x, y) for x in range(-_AROUND, _AROUND + 1) for y in range(-_AROUND, _AROUND + 1)
             if abs(x) + abs(y) <= _AROUND),
            key=lambda step: (abs(step[0]) + abs(step[1]), step),
        )  # fmt: skip

    def move(self, number: int) -> bool:
        """Move a cluster if that makes its wires shorter; returns whether."""
        tiles, boxes = self._tiles, self.wires.boxes(number)
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
        here = cost(boxes, *home[:2])
        if cost(boxes, *best) >= here:
            return False
        tiles.lift(number)
        site = self._site(number, boxes, here, best)
        tiles.put(number, site or home)
        if site is not None:
            self.wires.put(number, *site[:2])
        return site is not None

    def _site(self, number: int, boxes: list[Box], here: int, best: tuple[int, int]) -> Site | None:
        """The free site nearest to the ``best`` tile that costs less than ``here``."""
        tries = 0
        for x, y in self._steps:
            tile = (best[0] + x, best[1] + y)
            if tile not in self._free:
                continue
            if cost(boxes, *tile) < here:
                site = self._tiles.free(number, tile)
                if site is not None:
                    return site
            else:
                tries += 1
                if tries == _TRIES:
                    break
        return None

"""Quadratic placement of a netlist on a grid: where cells would like to be, macros at sites of their own.

Nextpnr puts each block RAM and multiplier at the free site that is nearest to where it would like to be, one after the
other; where a design takes half of a device's sites, the last ones go far away, and all that hangs on them is spread
over the device. Here all macros of a kind are assigned to sites at once.

Sources: the net model is Bound2Bound (P. Spindler, U. Schlichtmann, F. M. Johannes, "Kraftwerk2", IEEE TCAD 2008); the
alternation of solving and spreading with anchors of growing strength follows M.-C. Kim, D.-J. Lee, I. L. Markov,
"SimPL", IEEE TCAD 2012; the assignment is SciPy's (Jonker–Volgenant).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse.linalg import cg
from threadpoolctl import threadpool_limits

__all__ = ["AREA", "FIXED", "Graph", "Grid", "Solver", "place_macros", "spread"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

AREA = {"LUT4": 1 / 8, "CCU2C": 1 / 4, "TRELLIS_FF": 1 / 16, "TRELLIS_DPR16X4": 3 / 4}
"""Share of a tile, which has eight LUTs and registers. Half of the registers share their place with a LUT."""
_ROUNDS = 120
_CENTRING = 5
"""Solutions without anchors, from random positions."""
_STARTS = 4
"""Arrangements that are compared. Where the first solutions come to lie, and which side of them is where, is chance,
and lengths differ by a tenth and more."""
_SETTLING = 25
"""Rounds for logic to find its place around macros."""
_TOLERANCE = 1e-2
"""Part of what a solution has to change that may be left."""
FIXED = 1e3
"""Weight of what shall not move."""
_NEAREST = 0.5
"""Distances count at least so much, in tiles."""
_FEW_CELLS = 64
"""Regions of fewer cells are not divided any further."""


@dataclass(frozen=True)
class Grid:
    """Tiles of a device.

    Attributes
    ----------
    width, height : int
        Tiles.
    room : (height,) float
        Logic that a tile of each row holds: 1, or 0 in rows of macros.
    sites : kind of macro → (n, 2) float
        Columns and rows of its sites.
    """

    width: int
    height: int
    room: Floats
    sites: Mapping[str, Floats]


@dataclass(frozen=True)
class Graph:
    """Cells and the nets between them.

    Attributes
    ----------
    area : (cells,) float
        Share of a tile that each cell takes; 0 for macros and for what lies within other cells.
    macros : kind of macro → (n,) int
        Its cells.
    net, cell : (pins,) int
        Net and cell of each pin, in the order of nets; a net has two cells or more, each once.
    weight : (nets,) float
        How much the net's length counts.
    """

    area: Floats
    macros: Mapping[str, Indices]
    net: Indices
    cell: Indices
    weight: Floats

    @property
    def first(self) -> Indices:
        """Number of each net's first pin."""
        return np.searchsorted(self.net, np.arange(len(self.weight)))

    @property
    def pins(self) -> Indices:
        """Pins of each net."""
        return np.bincount(self.net, minlength=len(self.weight))


def place_macros(
    graph: Graph, grid: Grid, seed: int, density: float, progress: Callable[[int, int], None] | None = None
) -> dict[str, Indices]:
    """For each kind of macro the site of each of its cells, by number; no two at the same.

    There must be as many sites as cells of each kind. Logic may fill ``density`` of a tile. ``progress`` gets the
    rounds done and their number. The same seed gives the same sites.
    """
    # Threads would wait for each other: vectors are short.
    with threadpool_limits(1, "blas"):
        return _place_macros(graph, grid, seed, density, progress)


def _place_macros(
    graph: Graph, grid: Grid, seed: int, density: float, progress: Callable[[int, int], None] | None
) -> dict[str, Indices]:
    random = np.random.default_rng(seed)
    solver = Solver(graph)
    best: dict[str, Indices] = {}
    least = np.inf
    for start in range(_STARTS):
        x = grid.width / 2 + random.normal(0, 3, len(graph.area))
        y = grid.height / 2 + random.normal(0, 3, len(graph.area))
        for _ in range(_CENTRING):
            x, y = solver.solve(x, grid.width / 2, 1e-4), solver.solve(y, grid.height / 2, 1e-4)
        for number in range(_ROUNDS):
            anchor_x, anchor_y = spread(graph, grid, density, x, y)
            weight = np.where(graph.area > 0, 0.01 * (number + 1), 0.0)
            for kind, chosen in _assign(graph, grid, x, y).items():
                cells = graph.macros[kind]
                anchor_x[cells], anchor_y[cells] = grid.sites[kind][chosen].T
                weight[cells] = (0.08 if number < _ROUNDS // 2 else 0.3) * (number + 1)
            x, y = solver.solve(x, anchor_x, weight), solver.solve(y, anchor_y, weight)
            if progress is not None:
                progress(start * _ROUNDS + number + 1, _STARTS * _ROUNDS)
        chosen_at = _assign(graph, grid, x, y)
        length = _length(graph, grid, density, solver, chosen_at, x, y)
        if length < least:
            best, least = chosen_at, length
    return best


def _length(
    graph: Graph, grid: Grid, density: float, solver: Solver, chosen: Mapping[str, Indices], x: Floats, y: Floats
) -> float:
    """Sum of half the perimeters of all nets, with macros at chosen sites and logic where that lets it go."""
    x, y = x.copy(), y.copy()
    for number in range(_SETTLING):
        anchor_x, anchor_y = spread(graph, grid, density, x, y)
        weight = np.where(graph.area > 0, 0.024 * (number + 1), 0.0)
        for kind, numbers in chosen.items():
            cells = graph.macros[kind]
            x[cells], y[cells] = anchor_x[cells], anchor_y[cells] = grid.sites[kind][numbers].T
            weight[cells] = FIXED
        x, y = solver.solve(x, anchor_x, weight), solver.solve(y, anchor_y, weight)
    total = 0.0
    for position in spread(graph, grid, density, x, y):
        values = position[graph.cell]
        spans = np.maximum.reduceat(values, graph.first) - np.minimum.reduceat(values, graph.first)
        total += float(spans @ graph.weight)
    return total


class Solver:
    """Least squares of one coordinate."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._first, self._pins = graph.first, graph.pins
        self._share = graph.weight / (self._pins - 1)

    def solve(self, x: Floats, anchor: Floats | float, weight: Floats | float) -> Floats:
        """Positions that minimise the nets' squared lengths, weighted so that at ``x`` these are their lengths, and the
        cells' distances from ``anchor``."""
        graph, count = self._graph, len(x)
        values = x[graph.cell]
        order = np.lexsort((values, graph.net))
        low, high = graph.cell[order[self._first]], graph.cell[order[self._first + self._pins - 1]]
        rows, columns, strengths = [low], [high], [self._share / np.maximum(np.abs(x[high] - x[low]), _NEAREST)]
        inner = (graph.cell != low[graph.net]) & (graph.cell != high[graph.net])
        net, cell = graph.net[inner], graph.cell[inner]
        for bound in (low[net], high[net]):
            rows.append(cell)
            columns.append(bound)
            strengths.append(self._share[net] / np.maximum(np.abs(x[cell] - x[bound]), _NEAREST))
        row, column, strength = (np.concatenate(parts) for parts in (rows, columns, strengths))
        edges = scipy.sparse.coo_matrix(
            (np.concatenate([-strength, -strength]), (np.concatenate([row, column]), np.concatenate([column, row]))),
            shape=(count, count),
        ).tocsr()
        pull = weight / np.maximum(np.abs(x - anchor), _NEAREST) if np.ndim(anchor) else np.full(count, weight)
        diagonal = -np.asarray(edges.sum(axis=1)).ravel() + pull + 1e-6
        matrix = edges + scipy.sparse.diags(diagonal)
        # The tolerance refers to what is on the right: solved for the steps, it is the same wherever the cells are.
        change, _ = cg(
            matrix, pull * anchor + 1e-6 * x - matrix @ x, rtol=_TOLERANCE, maxiter=200,
            M=scipy.sparse.diags(1 / diagonal),
        )  # fmt: skip
        return x + change


def _assign(graph: Graph, grid: Grid, x: Floats, y: Floats) -> dict[str, Indices]:
    """Sites that are nearest to where the macros are, all of a kind together."""
    chosen = {}
    for kind, cells in graph.macros.items():
        sites = grid.sites[kind]
        distance = np.abs(x[cells][:, None] - sites[:, 0]) + np.abs(y[cells][:, None] - sites[:, 1])
        chosen[kind] = linear_sum_assignment(distance)[1]
    return chosen


def spread(graph: Graph, grid: Grid, density: float, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Positions near the given ones at which no region holds more logic than it has room for.

    Regions are halved again and again; where a half holds too much, cells next to the cut move over, and what has moved
    is squeezed into its new half in its old order.
    """
    x, y = np.clip(x, 0.01, grid.width - 0.01), np.clip(y, 0.01, grid.height - 0.01)
    rows = np.concatenate([[0.0], np.cumsum(grid.room)])
    lines = np.arange(grid.height + 1)

    def room(left: float, right: float, low: float, high: float) -> float:
        return density * (right - left) * float(np.interp(high, lines, rows) - np.interp(low, lines, rows))

    def divide(cells: Indices, left: float, right: float, low: float, high: float) -> None:
        if len(cells) < _FEW_CELLS or (right - left <= 2 and high - low <= 2):
            return
        across = right - left >= high - low
        position, start, end = (x, left, right) if across else (y, low, high)
        middle = (start + end) / 2
        halves = ((left, middle, low, high), (middle, right, low, high))
        if not across:
            halves = ((left, right, low, middle), (left, right, middle, high))
        rooms = [room(*half) for half in halves]
        cells = cells[np.argsort(position[cells], kind="stable")]
        sums = np.cumsum(graph.area[cells])
        cut = int(np.searchsorted(position[cells], middle))
        total, before = float(sums[-1]), float(sums[cut - 1]) if cut else 0.0
        wanted = before
        if total > sum(rooms):
            wanted = total * (rooms[0] / sum(rooms) if sum(rooms) else 0.5)
        elif before > rooms[0]:
            wanted = rooms[0]
        elif total - before > rooms[1]:
            wanted = total - rooms[1]
        if wanted != before:
            cut = int(np.searchsorted(sums, wanted))
        for half, (begin, finish) in ((cells[:cut], (start, middle)), (cells[cut:], (middle, end))):
            _squeeze(position, half, begin, finish)
        divide(cells[:cut], *halves[0])
        divide(cells[cut:], *halves[1])

    divide(np.flatnonzero(graph.area > 0), 0.0, float(grid.width), 0.0, float(grid.height))
    return x, y


def _squeeze(position: Floats, cells: Indices, begin: float, end: float) -> None:
    """Scale the positions of ``cells``, which are sorted, so that they lie between ``begin`` and ``end``."""
    if not len(cells):
        return
    values = position[cells]
    first, last = values[0], values[-1]
    least, most = max(first, begin), min(last, end - 1e-3)
    if least >= most:  # all of them came from the other half
        least, most = begin, end - 1e-3
    if first < least or last > most:
        values = least + (values - first) * ((most - least) / max(last - first, 1e-9))
    position[cells] = np.clip(values, begin, end - 1e-3)

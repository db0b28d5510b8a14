"""Better use of the sites that macros have: those that work together side by side.

A quadratic placement pulls all macros of a wide data path to its middle, and where they find sites, the slices of a
path can lie through each other. Here macros change places among themselves, by simulated annealing (S. Kirkpatrick,
C. D. Gelatt, M. P. Vecchi, Science 1983). How much two of them have to do with each other is the share of random walks
through the netlist that, begun at one, meet the other first (P. G. Doyle, J. L. Snell, "Random Walks and Electric
Networks", 1984: the conductance between them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tensaw.fpga.placement import Graph, Grid

__all__ = ["affinity", "untangle"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_STEPS = 4
"""Nets that a walk passes at most: a register, a multiplexer and what is behind it."""
_MOVES = 400
"""Moves for each macro, over all temperatures."""
_TEMPERATURES = 60
_COOLING = 0.88


def affinity(graph: Graph, cells: Indices) -> tuple[Floats, Floats]:
    """Strengths between macros, (n, n) and symmetric, and of each with logic that leads to none of the others, (n,).

    A walk goes from a cell to one of its nets and from there to one of the net's other cells, each as likely as the
    net's weight, divided among its cells, says.
    """
    count, nets = len(graph.area), len(graph.weight)
    share = graph.weight / (graph.pins - 1)
    pins = scipy.sparse.csr_matrix((np.ones(len(graph.net)), (graph.cell, graph.net)), shape=(count, nets))
    strength = np.bincount(graph.cell, share[graph.net] * (graph.pins[graph.net] - 1), minlength=count)
    weights = scipy.sparse.diags(share)
    own = pins @ share  # a walk does not go from a net back to the cell it came from
    between = np.zeros((len(cells), len(cells)))
    rest = np.zeros(len(cells))
    inverse = 1 / np.maximum(strength, 1e-12)
    for first in range(0, len(cells), 64):
        part = cells[first : first + 64]
        walk = np.zeros((count, len(part)))
        walk[part, np.arange(len(part))] = strength[part]
        for _ in range(_STEPS):
            scaled = walk * inverse[:, None]
            walk = pins @ (weights @ (pins.T @ scaled)) - own[:, None] * scaled
            between[first : first + len(part)] += walk[cells].T
            walk[cells] = 0
        rest[first : first + len(part)] = walk.sum(axis=0)
    np.fill_diagonal(between, 0)
    return (between + between.T) / 2, rest


def untangle(
    graph: Graph, grid: Grid, chosen: dict[str, Indices], x: Floats, y: Floats, random: np.random.Generator
) -> dict[str, Indices]:
    """The sites of ``chosen``, dealt out anew among the macros of each kind so that those that belong together are
    near each other; ``x``, ``y``, in tiles, are where cells would like to be, which counts for what leads to logic
    alone. The same state of ``random`` gives the same sites."""
    kinds = list(chosen)
    cells = np.concatenate([graph.macros[kind] for kind in kinds])
    place = np.concatenate([grid.sites[kind][chosen[kind]] for kind in kinds])
    site = np.concatenate([chosen[kind] for kind in kinds])
    starts = np.cumsum([0, *(len(chosen[kind]) for kind in kinds)])
    between, rest = affinity(graph, cells)
    wanted = np.column_stack([x[cells], y[cells]])

    def change(one: int, other: int) -> float:
        """How much longer all is if two macros change places."""
        difference = between[other] - between[one]
        difference[[one, other]] = 0
        here = np.abs(place - place[one]).sum(axis=1)
        there = np.abs(place - place[other]).sum(axis=1)
        moved = rest[one] * (_distance(wanted[one], place[other]) - _distance(wanted[one], place[one]))
        moved += rest[other] * (_distance(wanted[other], place[one]) - _distance(wanted[other], place[other]))
        return float(difference @ (here - there)) + moved

    def pair() -> tuple[int, int]:
        one = int(random.integers(len(cells)))
        kind = int(np.searchsorted(starts, one, side="right")) - 1
        return one, int(random.integers(starts[kind], starts[kind + 1]))

    samples = [abs(change(*pair())) for _ in range(200)]
    temperature = float(np.median(samples)) / 2 if samples else 0.0
    for _ in range(_TEMPERATURES):
        for _ in range(_MOVES * len(cells) // _TEMPERATURES):
            one, other = pair()
            if one == other:
                continue
            longer = change(one, other)
            if longer <= 0 or random.random() < np.exp(-longer / max(temperature, 1e-9)):
                place[[one, other]] = place[[other, one]]
                site[[one, other]] = site[[other, one]]
        temperature *= _COOLING
    return {kind: site[starts[number] : starts[number + 1]] for number, kind in enumerate(kinds)}


def _distance(one: Floats, other: Floats) -> float:
    return float(np.abs(one - other).sum())
